"""One layout with several writers, tags and collections beside, against a model: dicts of tags."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rossfs.oci.layout import REF_NAME
from rossfs.store.store import Store
from tests.builders import OCTET_STREAM, compact, digest_of, image, image_parts
from tests.store.layoutwriting import entry, index, names

APP = "library/app"

PARTS = [image_parts(f"image{number}", layers=1) for number in range(4)]
NUMBER_OF = {str(parts.digest): number for number, parts in enumerate(PARTS)}

NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, len(PARTS) - 1)
WRITERS = st.integers(0, 2)
CHANGES = st.dictionaries(NAMES, st.none() | NUMBERS, min_size=1)

Tags = dict[str, int]


def tags_of(document: dict[str, Any]) -> Tags:
    return {
        each["annotations"][REF_NAME]: NUMBER_OF[each["digest"]]
        for each in document["manifests"]
        if each.get("annotations", {}).get(REF_NAME)
    }


class LayoutMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store = Store.create(f"{self.directory.name}/store")
        self.tags: Tags = {}
        self.members: dict[str, int] = {}
        self.bases: dict[int, bytes] = {}
        self.put: set[int] = set()

    def stored(self, number: int) -> None:
        image(self.store, f"image{number}", layers=1)

    def read(self) -> dict[str, Any]:
        if not self.store.layouts.is_layout(APP):
            return index()
        document: dict[str, Any] = json.loads(self.store.layouts.index(APP)[0])
        return document

    @rule(name=NAMES, number=NUMBERS)
    def set_a_tag(self, name: str, number: int) -> None:
        self.stored(number)
        self.store.set_tag(APP, name, PARTS[number].digest)
        self.tags[name] = number

    @rule(name=NAMES)
    def delete_a_tag(self, name: str) -> None:
        assert self.store.delete_tag(APP, name) is (self.tags.pop(name, None) is not None)

    @rule(writer=WRITERS)
    def begin_to_write(self, writer: int) -> None:
        self.bases.pop(writer, None)
        if self.store.layouts.is_layout(APP):
            self.bases[writer] = self.store.layouts.index(APP)[0]

    @rule(writer=WRITERS, changes=CHANGES, keeps=st.booleans(), member=NAMES, value=NUMBERS)
    def write(
        self, writer: int, changes: dict[str, int | None], keeps: bool, member: str, value: int
    ) -> None:
        """As skopeo, which leaves what loses its name (*keeps*), or as umoci, which does not."""
        base = self.bases.pop(writer, None)
        document = index() if base is None else json.loads(base)
        before = tags_of(document)
        wanted = dict(before)
        for name, number in changes.items():
            loses = [each for each in document["manifests"] if names(index(each)) == [name]]
            for each in loses:
                document["manifests"].remove(each)
                if keeps:
                    document["manifests"].append({**each, "annotations": {"was": name}})
            wanted.pop(name, None)
            if number is not None:
                document["manifests"].append(entry(PARTS[number], name))
                wanted[name] = number
        document[f"x-{member}"] = value
        for number in range(len(PARTS)):
            self.stored(number)
        self.store.layouts.replace(APP, base, compact(document))
        for name in {*before, *wanted}:
            old, new = before.get(name), wanted.get(name)
            if new == old:
                continue
            if new is not None:
                self.tags[name] = new
            elif self.tags.get(name) == old:
                self.tags.pop(name, None)
        if base is None or json.loads(base).get(f"x-{member}") != value:
            self.members[f"x-{member}"] = value

    @rule(number=NUMBERS)
    def put_a_blob(self, number: int) -> None:
        self.store.put_blob(OCTET_STREAM, b"%d" % number)
        self.store.layouts.put(APP, digest_of(b"%d" % number))
        self.put.add(number)

    @rule(number=NUMBERS)
    def drop_a_blob(self, number: int) -> None:
        self.store.layouts.drop(APP, digest_of(b"%d" % number))
        self.put.discard(number)

    @rule()
    def collect(self) -> None:
        self.store.garbage_collect()
        # What has no name is gone, unless a tag holds the same.
        found = {NUMBER_OF[each["digest"]] for each in self.read()["manifests"]}
        assert found == {*self.tags.values()}

    @invariant()
    def the_index_is_the_tags(self) -> None:
        document = self.read()
        assert tags_of(document) == self.tags
        assert {info.tag: NUMBER_OF[str(info.digest)] for info in self.listed()} == self.tags
        members = {name: value for name, value in document.items() if name.startswith("x-")}
        assert members == self.members

    def listed(self) -> list[Any]:
        found = self.store.tags.is_repository(APP)
        return self.store.list_tags(APP) if found else []

    @invariant()
    def the_listing_is_what_is_reached_and_put(self) -> None:
        if not self.store.layouts.is_layout(APP):
            return
        wanted = {digest_of(b"%d" % number) for number in self.put}
        for each in self.read()["manifests"]:
            parts = PARTS[NUMBER_OF[each["digest"]]]
            wanted |= {parts.digest, *(digest_of(data) for _, data in parts.blobs())}
        listed = list(self.store.layouts.listing(APP))
        assert len(listed) == len(set(listed))
        assert set(listed) == wanted

    def teardown(self) -> None:
        assert list(map(str, self.store.fsck())) == []
        self.store.close()
        self.directory.cleanup()


TestLayouts = LayoutMachine.TestCase
TestLayouts.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
