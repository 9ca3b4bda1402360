"""Names on the command line: short repositories, and the beginnings of digests."""

from __future__ import annotations

import itertools

from rossfs.oci.mediatype import OCI_INDEX
from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def test_a_repository_of_one_component_is_found_where_library_has_none(
    rossfs: Rossfs, store: Store
) -> None:
    made = builders.image(store, tag="library/app:v1")
    store.set_tag("lab", "new", made.manifest)
    assert rossfs("stat", "--json", "lab:new").json["digest"] == str(made.manifest)
    assert "new" in rossfs("tags", "lab").out
    rossfs("untag", "lab:new")
    rossfs("untag", "lab:new", status=3)


def test_library_goes_before_a_repository_of_one_component(rossfs: Rossfs, store: Store) -> None:
    one = builders.image(store, "one", tag="library/app:v1")
    two = builders.image(store, "two", tag="library/other:v1")
    store.set_tag("app", "v1", two.manifest)
    assert rossfs("stat", "--json", "app:v1").json["digest"] == str(one.manifest)
    rossfs("untag", "app:v1")
    assert rossfs("stat", "--json", "app:v1").json["digest"] == str(two.manifest)


def test_an_image_is_found_by_the_digits_that_images_shows(rossfs: Rossfs, store: Store) -> None:
    made = builders.image(store, tag="library/app:v1")
    assert made.manifest.hex[:12] in rossfs("images").out
    assert rossfs("stat", "--json", made.manifest.hex[:12]).json["digest"] == str(made.manifest)
    assert "no tag" in rossfs("stat", made.manifest.hex[:5], status=3).err


def test_the_beginning_of_several_digests_is_refused(rossfs: Rossfs, store: Store) -> None:
    seen: dict[str, bytes] = {}
    for number in itertools.count():
        data = builders.compact(
            {"schemaVersion": 2, "manifests": [], "annotations": {"n": f"{number}"}}
        )
        prefix = builders.digest_of(data).hex[:6]
        if prefix in seen:
            break
        seen[prefix] = data
    for document in (data, seen[prefix]):
        store.put_index(document, OCI_INDEX)
    ended = rossfs("stat", prefix, status=2)
    assert ended.err == f"rossfs: {prefix} begins 2 digests: give more digits\n"
