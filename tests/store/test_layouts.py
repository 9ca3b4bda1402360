"""Layouts as directories, and index.json of one writer after the other."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable

import pytest

from rossfs.errors import (
    Conflict,
    IndexTooLong,
    InvalidDocument,
    InvalidReference,
    MissingContent,
    ReadOnlyStore,
    RepositoryNotFound,
    RossfsError,
    TagConflict,
)
from rossfs.oci.digest import Digest
from rossfs.oci.layout import REF_NAME
from rossfs.store import layoutindex, layoutrecord
from rossfs.store.layouts import Layouts
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_FOREIGN,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    Image,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    manifest,
)
from tests.builders import index as image_index
from tests.store.layoutwriting import entry, index, names, read, write

APP = "library/app"


@pytest.fixture
def layouts(store: Store) -> Layouts:
    return store.layouts


@pytest.fixture
def one(store: Store) -> Image:
    return image(store, "one", tag=f"{APP}:v1")


@pytest.fixture
def two(store: Store) -> Image:
    return image(store, "two")


def tags(store: Store, repository: str = APP) -> dict[str, Digest]:
    return {info.tag: info.digest for info in store.list_tags(repository)}


# Directories


def test_directories_of_tags_and_of_layouts_are_one_tree(
    store: Store, layouts: Layouts, one: Image
) -> None:
    assert sorted(layouts.directories()) == ["library"]
    layouts.make_directory("lab/new")
    layouts.make_directory("library/other")
    store.tags.make_repository("library/third")
    assert sorted(layouts.directories()) == ["lab", "library"]
    assert sorted(layouts.directories("library")) == ["app", "other", "third"]
    assert list(layouts.directories("lab/new")) == []
    assert all(map(layouts.is_directory, ["", "lab", "library/app", "library/other"]))
    assert not any(map(layouts.is_directory, ["other", "LAB", "lab/new/.put", "../lab"]))
    with pytest.raises(RepositoryNotFound):
        layouts.directories("other")


def test_a_mere_directory_is_no_layout(layouts: Layouts, one: Image) -> None:
    layouts.make_directory("lab/new")
    assert layouts.is_layout(APP)
    assert not any(map(layouts.is_layout, ["", "lab", "lab/new", "library", "no/such", "../.."]))
    with pytest.raises(RepositoryNotFound):
        layouts.index("lab/new")
    with pytest.raises(RepositoryNotFound):
        layouts.listing("../lab")


def test_a_layout_is_made_empty(store: Store, layouts: Layouts) -> None:
    layouts.create("lab/new")
    assert layouts.is_layout("lab/new")
    assert read(layouts, "lab/new") == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [],
    }
    layouts.create("lab/new")
    assert list(layouts.listing("lab/new")) == []
    assert store.get_store_info().layouts == 1


def test_directories_are_made_where_nothing_is(layouts: Layouts, one: Image) -> None:
    for there in ("library", APP):
        with pytest.raises(Conflict):
            layouts.make_directory(there)
    for make in (layouts.make_directory, layouts.create):
        with pytest.raises(TagConflict):
            make(f"{APP}/v1")
        for bad in ("", "UPPER", "a//b", "a/../b", ".put"):
            with pytest.raises(InvalidReference):
                make(bad)


def test_directories_are_removed_when_they_are_empty(
    store: Store, layouts: Layouts, one: Image
) -> None:
    layouts.create("lab/new")
    for full in ("lab", "library", APP):
        with pytest.raises(OSError, match=full) as error:
            layouts.remove_directory(full)
        assert error.value.errno == errno.ENOTEMPTY
    layouts.remove_directory("lab/new")
    layouts.remove_directory("lab")
    with pytest.raises(RepositoryNotFound):
        layouts.remove_directory("lab")
    store.delete_tag(APP, "v1")
    layouts.remove_directory(APP)
    assert list(layouts.directories("library")) == []


def test_a_layout_that_holds_something_is_not_removed(
    store: Store, layouts: Layouts, one: Image
) -> None:
    write(layouts, "lab/untagged", entry(one.parts))
    layouts.put("lab/put", one.config)
    layouts.drop("lab/dropped", one.config)
    for full in ("lab/untagged", "lab/put"):
        with pytest.raises(OSError, match=full) as error:
            layouts.remove_directory(full)
        assert error.value.errno == errno.ENOTEMPTY
    layouts.remove_directory("lab/dropped")
    layouts.drop("lab/put", one.config)
    layouts.remove_directory("lab/put")
    write(layouts, "lab/untagged")
    layouts.remove_directory("lab/untagged")
    assert os.listdir(store.paths.layout("lab")) == []


def test_a_store_that_is_open_for_reading_is_shown_and_not_changed(
    store: Store, layouts: Layouts, one: Image
) -> None:
    write(layouts, APP, entry(one.parts, "v1"), x=1)
    with Store.open(store.paths.root, read_only=True) as shown:
        assert read(shown.layouts, APP)["x"] == 1
        for change in (shown.layouts.make_directory, shown.layouts.create):
            with pytest.raises(ReadOnlyStore):
                change("lab")
        with pytest.raises(ReadOnlyStore):
            shown.layouts.replace(APP, None, compact(index()))
        for about in (shown.layouts.put, shown.layouts.drop):
            with pytest.raises(ReadOnlyStore):
                about(APP, one.config)


# index.json


def test_tags_are_descriptors(store: Store, layouts: Layouts, one: Image, two: Image) -> None:
    store.set_tag(APP, "latest", two.manifest)
    text, version = layouts.index(APP)
    assert version == digest_of(text).hex
    assert layouts.index(APP) == (text, version)
    assert json.loads(text)["manifests"] == [entry(two.parts, "latest"), entry(one.parts, "v1")]


def test_what_a_tool_wrote_comes_back_to_the_byte(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    written = index(
        entry(two.parts, "v2", platform={"os": "linux", "architecture": "arm64"}, data="e30="),
        entry(one.parts, artifactType="application/x", unknown={"deep": [1, 2.5, None]}),
        entry(one.parts, "v1", annotations={"a": "ü"}),
        annotations={"top": "level"},
        another=[True],
    )
    text = json.dumps(written, indent=3).encode() + b"\n"
    assert layouts.replace(APP, layouts.index(APP)[0], text) == []
    assert layouts.index(APP) == (text, digest_of(text).hex)
    assert tags(store) == {"v1": one.manifest, "v2": two.manifest}
    before = os.stat(f"{store.paths.layout(APP)}/.layout")
    assert layouts.replace(APP, text, text) == []
    assert os.stat(f"{store.paths.layout(APP)}/.layout").st_ino == before.st_ino


def test_the_first_index_is_as_its_tool_wrote_it(layouts: Layouts, one: Image) -> None:
    text = json.dumps(index(entry(one.parts, "v1")), indent=1).encode()
    empty = compact(index(mediaType=OCI_INDEX))
    layouts.make_directory("lab/second")
    for repository, base in (("lab/first", None), ("lab/second", None), ("lab/third", empty)):
        layouts.replace(repository, base, text)
        assert layouts.index(repository)[0] == text


def test_a_descriptor_that_goes_takes_its_tag(store: Store, layouts: Layouts, one: Image) -> None:
    store.set_tag(APP, "v2", one.manifest)
    write(layouts, APP, entry(one.parts, "v2"))
    assert tags(store) == {"v2": one.manifest}
    write(layouts, APP)
    assert tags(store) == {}
    assert layouts.is_layout(APP)


def test_nothing_goes_that_its_writer_had_not_read(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    for base in (None, b"", b"{}", b'{"schemaVersion":2'):
        assert layouts.replace(APP, base, compact(index(entry(two.parts, "v2")))) == []
        assert tags(store) == {"v1": one.manifest, "v2": two.manifest}


def test_a_tag_that_two_changed_goes_to_the_later_and_the_log(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    base, _ = layouts.index(APP)
    three = image(store, "three")
    store.set_tag(APP, "v1", two.manifest)
    [line] = layouts.replace(APP, base, compact(index(entry(three.parts, "v1"))))
    assert tags(store) == {"v1": three.manifest}
    assert line == (
        f"tag {APP}:v1 was changed by two at once: {three.manifest} stays,"
        f" {two.manifest} does not count"
    )
    [line] = layouts.replace(APP, base, compact(index()))
    assert line.endswith(f"{three.manifest} stays, its removal does not count")
    odd = [compact(index(entry(each.parts, "a\n:b"))) for each in (one, two, three)]
    layouts.replace(APP, None, odd[0])
    layouts.replace(APP, odd[0], odd[1])
    [line] = layouts.replace(APP, odd[0], odd[2])
    assert line.isprintable()
    assert store.tags.get(APP, "v1").digest == three.manifest


def test_tags_that_change_elsewhere_show(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    first, second = (
        entry(one.parts, name, annotations={"said": "of one"}) for name in ("v1", "v2")
    )
    untagged = entry(two.parts)
    write(layouts, APP, first, untagged, second, x=1)
    store.set_tag(APP, "v1", two.manifest)
    store.set_tag(APP, "new", one.manifest)
    store.delete_tag(APP, "v2")
    document = read(layouts, APP)
    assert document == {
        **index(entry(two.parts, "v1"), untagged, entry(one.parts, "new")),
        "x": 1,
    }
    # What was said of content holds for that content.
    store.set_tag(APP, "v1", one.manifest)
    assert read(layouts, APP)["manifests"] == [first, untagged, entry(one.parts, "new")]


def test_the_layout_goes_along_when_tags_are_renamed(
    store: Store, layouts: Layouts, one: Image
) -> None:
    said = entry(one.parts, "v1", annotations={"a": "b"})
    write(layouts, APP, said)
    store.tags.rename_repository(APP, "some/where")
    assert read(layouts, "some/where")["manifests"] == [said]
    assert not layouts.is_directory(APP)


def test_tags_of_content_that_is_gone_are_left_out(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    write(layouts, APP, entry(one.parts, "v1"), entry(two.parts))
    store.delete_manifest(one.manifest)
    assert store.references.remove_unreferenced(two.manifest)
    assert read(layouts, APP)["manifests"] == []
    # Who writes that back is not refused, and the tag is not touched.
    write(layouts, APP, x=1)
    assert tags(store) == {"v1": one.manifest}
    image(store, "one")
    assert names(read(layouts, APP)) == ["v1"]


def test_what_went_since_it_was_read_does_not_hinder_a_writer(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    write(layouts, APP, entry(two.parts), entry(one.parts, "v1"))
    base, _ = layouts.index(APP)
    store.garbage_collect()
    three = image(store, "three")
    ours = index(entry(two.parts), entry(one.parts, "v1"), entry(three.parts, "v3"))
    assert layouts.replace(APP, base, compact(ours)) == []
    assert read(layouts, APP)["manifests"] == [entry(one.parts, "v1"), entry(three.parts, "v3")]
    store.delete_tag(APP, "v1")
    store.garbage_collect()
    base = compact(index(entry(one.parts, "v1"), entry(three.parts, "v3")))
    layouts.replace(APP, base, compact(index(entry(one.parts, "v1"), entry(three.parts, "v4"))))
    assert tags(store) == {"v4": three.manifest}


def test_names_that_can_be_no_tags_are_kept_in_the_layout(
    store: Store, layouts: Layouts, one: Image
) -> None:
    odd = entry(one.parts, "library/app:1.0")
    [line] = write(layouts, APP, odd, entry(one.parts, "v1"))
    assert "library/app:1.0" in line
    assert read(layouts, APP)["manifests"] == [odd, entry(one.parts, "v1")]
    assert tags(store) == {"v1": one.manifest}
    assert write(layouts, APP, odd, entry(one.parts, "v1"), x=1) == []
    store.delete_tag(APP, "v1")
    holder = store.references.holder_of(one.manifest)
    assert str(holder) == f"layout oci/{APP}"
    write(layouts, APP)
    assert store.references.holder_of(one.manifest) is None


def test_several_descriptors_of_one_name_follow_the_first(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    both = [entry(one.parts, "v1"), entry(two.parts, "v1", platform={"os": "a"})]
    write(layouts, APP, *both)
    assert tags(store) == {"v1": one.manifest}
    assert read(layouts, APP)["manifests"] == both
    store.set_tag(APP, "v1", two.manifest)
    assert read(layouts, APP)["manifests"] == [entry(two.parts, "v1")]
    store.delete_tag(APP, "v1")
    assert read(layouts, APP)["manifests"] == []


def test_an_index_lists_any_image(store: Store, layouts: Layouts) -> None:
    parts = image_parts("here")
    absent = image_parts("absent", architecture="arm64")
    of_both = image_index([(parts.manifest, "linux/amd64"), (absent.manifest, "linux/arm64")])
    image(store, "here")
    store.put_index(of_both, OCI_INDEX)
    write(layouts, APP, descriptor(of_both, OCI_INDEX, annotations={REF_NAME: "all"}))
    assert tags(store) == {"all": digest_of(of_both)}
    assert set(layouts.listing(APP)) == {
        digest_of(of_both),
        parts.digest,
        *(digest_of(data) for _, data in parts.blobs()),
    }


def test_foreign_layers_and_subjects_may_be_missing(store: Store, layouts: Layouts) -> None:
    foreign = manifest(
        b"{}",
        [b"foreign"],
        layer_types=[DOCKER_FOREIGN],
        subject=descriptor(b"subject", OCI_MANIFEST),
    )
    store.put_blob(OCTET_STREAM, b"{}")
    store.put_manifest(foreign, OCI_MANIFEST)
    write(layouts, APP, descriptor(foreign, OCI_MANIFEST, annotations={REF_NAME: "v1"}))
    assert tags(store) == {"v1": digest_of(foreign)}


def test_a_manifest_that_was_taken_for_a_blob_is_filed(store: Store, layouts: Layouts) -> None:
    parts = image_parts("app")
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    blob = f"{store.paths.root}/blobs/sha256/{parts.digest.hex}"
    with open(blob, "wb") as file:
        file.write(parts.manifest)
    write(layouts, APP, entry(parts, "v1"))
    assert tags(store) == {"v1": parts.digest}
    assert parts.digest in set(store.list_manifests())


def test_records_of_many_layouts_are_read_right(
    layouts: Layouts, one: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layoutrecord, "_KEPT", 1000)
    for _ in range(2):
        for number in range(5):
            write(layouts, f"lab/l{number}", entry(one.parts, "v1"), x=str(number))
        for number in range(5):
            assert read(layouts, f"lab/l{number}")["x"] == str(number)
    write(layouts, "lab/long", entry(one.parts, "v1"), x="long" * 1000)
    assert read(layouts, "lab/long")["x"] == "long" * 1000


# What is refused


def refused(store: Store, text: bytes, error: type[RossfsError], match: str) -> RossfsError:
    """Write *text*, which must change nothing."""
    layouts = store.layouts
    before = (layouts.index(APP), tags(store), os.listdir(store.paths.layouts))
    with pytest.raises(error, match=match) as caught:
        layouts.replace(APP, before[0][0], text)
    assert (layouts.index(APP), tags(store), os.listdir(store.paths.layouts)) == before
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"schemaVersion":2,"manifests":[}',
        b'{"manifests":[]}',
        b'{"schemaVersion":1,"manifests":[]}',
        b'{"schemaVersion":2,"manifests":{}}',
        b'{"schemaVersion":2,"manifests":[],"layers":[1],"config":{}}',
        b'{"schemaVersion":2,"manifests":[{"digest":"sha256:1","size":1,"mediaType":"a/b"}]}',
        b'{"schemaVersion":2,"manifests":[],"schemaVersion":2}',
        b"\xef\xbb\xbf" + compact(index()),
        compact(index())[:-5],
        compact(index()) + b" " * (4 << 20),
        compact(index(mediaType=OCI_MANIFEST)),
    ],
)
def test_what_is_no_index_is_refused(store: Store, one: Image, text: bytes) -> None:
    store.layouts.create("lab/new")
    error = refused(store, text, InvalidDocument, "index.json")
    assert error.errno == errno.EBADMSG


def test_what_names_missing_content_is_refused(store: Store, one: Image) -> None:
    store.layouts.create("lab/new")
    absent = image_parts("absent")
    text = compact(index(entry(one.parts, "v2"), entry(absent, "v3")))
    error = refused(store, text, MissingContent, str(absent.digest))
    assert error.errno == errno.EBADMSG
    odd = {"mediaType": OCI_MANIFEST, "digest": f"blake3:{'0' * 64}", "size": 1}
    refused(store, compact(index(odd)), MissingContent, "blake3")


@pytest.mark.damages_store
def test_a_manifest_that_lacks_a_layer_is_refused(store: Store, one: Image, two: Image) -> None:
    store.layouts.create("lab/new")
    store.delete_blob(two.layers[1])
    text = compact(index(entry(one.parts, "v1"), entry(two.parts, "v2")))
    error = refused(store, text, MissingContent, str(two.layers[1]))
    assert str(two.manifest) in str(error)
    assert error.errno == errno.EBADMSG


def test_a_wrong_size_is_refused(store: Store, one: Image, two: Image) -> None:
    store.layouts.create("lab/new")
    text = compact(index({**entry(two.parts, "v2"), "size": 5}))
    refused(store, text, InvalidDocument, "5 bytes")
    text = compact(index({**entry(one.parts, "v1"), "size": 5}))
    refused(store, text, InvalidDocument, "5 bytes")


def test_a_tag_names_no_blob(store: Store, one: Image) -> None:
    store.layouts.create("lab/new")
    layer = descriptor(one.parts.layers[0], OCI_LAYER_GZIP)
    text = compact(index({**layer, "annotations": {REF_NAME: "v2"}}))
    refused(store, text, InvalidDocument, "v2")
    write(store.layouts, "lab/new", layer)
    assert read(store.layouts, "lab/new")["manifests"] == [layer]


def test_a_tag_where_a_repository_is_is_refused(store: Store, one: Image, two: Image) -> None:
    image(store, "one", tag=f"{APP}/v2:x")
    store.layouts.create("lab/new")
    text = compact(index(entry(two.parts, "a"), entry(one.parts, "v2")))
    refused(store, text, TagConflict, f"{APP}/v2")
    with pytest.raises(TagConflict):
        write(store.layouts, f"{APP}/v1", entry(one.parts, "x"))
    with pytest.raises(InvalidReference):
        write(store.layouts, "UPPER", entry(one.parts, "x"))


def test_a_repository_of_too_many_tags_says_so(
    store: Store, one: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layoutindex, "MAX_DESCRIPTORS", 2)
    for tag in ("v2", "v3"):
        store.set_tag(APP, tag, one.manifest)
    with pytest.raises(IndexTooLong, match="tags/") as error:
        store.layouts.index(APP)
    assert error.value.errno == errno.EFBIG
    monkeypatch.setattr(layoutindex, "MAX_DESCRIPTORS", 3)
    monkeypatch.setattr(layoutindex, "MAX_BYTES", 100)
    with pytest.raises(IndexTooLong, match="bytes"):
        store.layouts.index(APP)


# Content


def test_the_listing_is_what_is_reached_and_what_was_put(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    reached = {one.manifest, one.config, *one.layers}
    assert sorted(layouts.listing(APP)) == sorted(reached)
    loose, _ = store.put_blob(OCTET_STREAM, b"loose")
    layouts.put(APP, loose)
    layouts.put(APP, one.config)
    layouts.put(APP, digest_of(b"to come"))
    assert sorted(layouts.listing(APP)) == sorted({*reached, loose})
    write(layouts, APP, entry(one.parts, "v1"), entry(two.parts))
    reached |= {two.manifest, two.config, *two.layers}
    assert sorted(layouts.listing(APP)) == sorted({*reached, loose})


def test_what_was_dropped_is_not_listed_until_it_is_put_or_needed_again(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    write(layouts, APP, entry(two.parts, "v2"))
    whole = set(layouts.listing(APP))
    for digest in (two.config, two.manifest):
        layouts.drop(APP, digest)
        layouts.drop(APP, digest)
    assert set(layouts.listing(APP)) == whole - {two.config, two.manifest}
    assert store.stat_blob(two.config) is not None
    layouts.put(APP, two.config)
    assert set(layouts.listing(APP)) == whole - {two.manifest}
    write(layouts, APP)
    write(layouts, APP, entry(two.parts, "v2"))
    assert set(layouts.listing(APP)) == whole
    layouts.drop(APP, digest_of(b"nothing"))
    assert os.listdir(f"{store.paths.layout(APP)}/.dropped") == []


# Times


def test_the_time_of_the_index_is_that_of_the_last_change(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    def aged() -> int:
        for directory, _, files in os.walk(store.paths.root):
            for name in files:
                os.utime(f"{directory}/{name}", (1000, 1000))
            os.utime(directory, (1000, 1000))
        return layouts.modified_ns(APP)

    changes: list[Callable[[], object]] = [
        lambda: store.set_tag(APP, "v2", two.manifest),
        lambda: store.delete_tag(APP, "v2"),
        lambda: write(layouts, APP, entry(one.parts, "v1"), x=1),
        lambda: write(layouts, APP, entry(one.parts, "v1"), x=2),
    ]
    for change in changes:
        assert aged() == 1000 * 10**9
        change()
        assert layouts.modified_ns(APP) > 1000 * 10**9
    assert layouts.modified_ns("no/such") == 0
    layouts.make_directory("lab/new")
    assert layouts.modified_ns("lab/new") > 0
