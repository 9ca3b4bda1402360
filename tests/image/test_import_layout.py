"""Importing OCI layouts: what is taken, what it is called, and what is refused."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from rossfs.errors import (
    BlobNotFound,
    DigestMismatch,
    InvalidDigest,
    InvalidDocument,
    InvalidReference,
    InvalidSource,
    MissingContent,
    RossfsError,
    TagNotFound,
    UsageError,
)
from rossfs.image.import_ import Import, import_images
from rossfs.image.transport import parse_source
from rossfs.store.store import Store
from tests import builders
from tests.builders import (
    DOCKER_FOREIGN,
    DOCKER_LAYER,
    OCI_INDEX,
    OCI_MANIFEST,
    compact,
    descriptor,
    digest_of,
    image_parts,
)
from tests.image import sources
from tests.image.sources import blob_path, entry, layout, layout_of, tar_of, write_tree


def take(store: Store, source: Path | str, name: str | None = None) -> Import:
    return import_images(store, parse_source(str(source)), name)


def tags(store: Store) -> dict[str, str]:
    return {
        str(name): str(store.tags.get(name.repository, name.tag).digest)
        for name in store.tags.names()
    }


def nothing_tagged(store: Store) -> bool:
    return not list(store.tags.names()) and not list(store.list_manifests())


def test_an_image_comes_whole_and_byte_for_byte(store: Store, tmp_path: Path) -> None:
    parts = image_parts("app")
    done = take(store, write_tree(tmp_path / "app", layout_of({"v1": parts})))
    assert tags(store) == {"library/app:v1": str(parts.digest)}
    assert store.get_manifest(parts.digest) == (parts.manifest, OCI_MANIFEST)
    for media_type, data in parts.blobs():
        info = store.stat_blob(digest_of(data))
        assert info is not None
        assert (info.media_type, store.get_blob(info.digest)) == (media_type, data)
    assert (done.blobs_copied, done.bytes_copied) == (3, sum(len(b) for _, b in parts.blobs()))
    [image] = done.images
    assert (image.digest, image.media_type) == (parts.digest, OCI_MANIFEST)
    assert [str(reference) for reference in image.references] == ["library/app:v1"]


def test_an_archive_of_a_layout_is_the_same(store: Store, tmp_path: Path) -> None:
    parts = image_parts("app")
    archive = tmp_path / "app.tar"
    archive.write_bytes(tar_of(layout_of({"v1": parts})))
    assert take(store, archive).blobs_copied == 3
    assert tags(store) == {"library/app:v1": str(parts.digest)}


def test_every_tag_of_a_layout_is_imported(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("one"), image_parts("two")
    source = write_tree(tmp_path / "app", layout_of({"v1": one, "v2": two, "latest": two}))
    assert len(take(store, source).images) == 3
    assert tags(store) == {
        "library/app:v1": str(one.digest),
        "library/app:v2": str(two.digest),
        "library/app:latest": str(two.digest),
    }


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ("lab/app", "lab/app:latest"),
        ("app:v7", "library/app:v7"),
        ("docker.io/nginx", "library/nginx:latest"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
    ],
)
def test_the_name_that_is_said_counts(store: Store, tmp_path: Path, said: str, tag: str) -> None:
    take(store, write_tree(tmp_path / "app", layout_of({"v1": image_parts()})), said)
    assert list(tags(store)) == [tag]


def test_a_repository_for_several_images_keeps_their_tags(store: Store, tmp_path: Path) -> None:
    files = layout_of({"v1": image_parts("1"), "x/y:v2": image_parts("2")})
    take(store, write_tree(tmp_path / "app", files), "lab/all")
    assert sorted(tags(store)) == ["lab/all:v1", "lab/all:v2"]


def test_one_tag_cannot_name_several_images(store: Store, tmp_path: Path) -> None:
    files = layout_of({"v1": image_parts("1"), "v2": image_parts("2")})
    with pytest.raises(UsageError, match=r'2 images.*"v1", "v2"'):
        take(store, write_tree(tmp_path / "app", files), "lab/all:v3")
    assert nothing_tagged(store)


@pytest.mark.parametrize("selection", ["v2", "@1", "{digest}"])
def test_one_image_of_several_can_be_chosen(store: Store, tmp_path: Path, selection: str) -> None:
    one, two = image_parts("1"), image_parts("2")
    source = write_tree(tmp_path / "app", layout_of({"v1": one, "v2": two}))
    take(store, f"oci:{source}:{selection.format(digest=two.digest)}")
    assert tags(store) == {"library/app:v2": str(two.digest)}


def test_a_choice_that_is_not_there_lists_what_is(store: Store, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "app", layout_of({"v1": image_parts()}))
    with pytest.raises(TagNotFound, match='no image "v9"; it has "v1"'):
        take(store, f"oci:{source}:v9")


def test_images_without_names_must_be_chosen(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("1"), image_parts("2")
    both = layout_of({"1": one, "2": two})
    nameless = [entry(parts.manifest, OCI_MANIFEST) for parts in (one, two)]
    source = write_tree(tmp_path / "app", both | layout(nameless, []))
    with pytest.raises(UsageError, match="2 images without names"):
        take(store, source)
    take(store, f"oci:{source}:@1", "second")
    assert tags(store) == {"library/second:latest": str(two.digest)}


def test_what_has_a_name_is_taken_and_leftovers_are_not(store: Store, tmp_path: Path) -> None:
    """skopeo leaves the old manifest in index.json, without its name, when a tag moves."""
    old, new = image_parts("old"), image_parts("new")
    files = layout_of({"latest": new})
    entries = [entry(old.manifest, OCI_MANIFEST), entry(new.manifest, OCI_MANIFEST, "latest")]
    take(store, write_tree(tmp_path / "app", files | layout(entries, [])))
    assert tags(store) == {"library/app:latest": str(new.digest)}


def test_two_images_of_one_name_are_refused(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("1"), image_parts("2")
    both = layout_of({"1": one, "2": two})
    entries = [entry(parts.manifest, OCI_MANIFEST, "v1") for parts in (one, two)]
    with pytest.raises(UsageError, match="two images would be called library/app:v1"):
        take(store, write_tree(tmp_path / "app", both | layout(entries, [])))


def test_full_names_in_annotations_count_before_tags(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"v1": parts})
    named = [
        entry(parts.manifest, OCI_MANIFEST, "v1", "docker.io/lab/app:v1"),
        entry(parts.manifest, OCI_MANIFEST, "quay.io/other/app:v3"),
    ]
    take(store, write_tree(tmp_path / "dir", files | layout(named, [])))
    assert sorted(tags(store)) == ["lab/app:v1", "quay.io/other/app:v3"]


def test_a_name_that_cannot_be_a_tag_here_asks_for_one(store: Store, tmp_path: Path) -> None:
    files = layout_of({"a@b+c": image_parts()})
    with pytest.raises(InvalidReference):
        take(store, write_tree(tmp_path / "app", files))
    with pytest.raises(UsageError, match="give it a NAME"):
        take(store, write_tree(tmp_path / "My App", layout_of({"v1": image_parts()})))
    take(store, tmp_path / "app", "app:fine")
    assert list(tags(store)) == ["library/app:fine"]


def test_a_digest_in_the_name_must_be_that_of_the_image(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    with pytest.raises(TagNotFound, match="holds no image sha256:44"):
        take(store, source, "lab/app@sha256:" + "4" * 64)
    take(store, source, f"lab/app:v5@{parts.digest}")
    assert tags(store) == {"lab/app:v5": str(parts.digest)}


def test_an_index_comes_with_its_manifests(store: Store, tmp_path: Path) -> None:
    amd, arm = image_parts("a", architecture="amd64"), image_parts("b", architecture="arm64")
    index = builders.index([(amd.manifest, "linux/amd64"), (arm.manifest, "linux/arm64/v8")])
    files = layout_of({"1": amd, "2": arm}) | layout([entry(index, OCI_INDEX, "v1")], [index])
    [image] = take(store, write_tree(tmp_path / "app", files)).images
    assert (image.digest, image.media_type) == (digest_of(index), OCI_INDEX)
    assert store.get_index(digest_of(index))[0] == index
    assert set(store.list_manifests()) == {amd.digest, arm.digest}


def test_an_index_may_lack_platforms(store: Store, tmp_path: Path) -> None:
    amd, arm = image_parts("a"), image_parts("b", architecture="arm64")
    index = builders.index([(amd.manifest, "linux/amd64"), (arm.manifest, "linux/arm64")])
    files = layout_of({"1": amd}) | layout([entry(index, OCI_INDEX, "v1")], [index])
    take(store, write_tree(tmp_path / "app", files))
    assert list(store.list_manifests()) == [amd.digest]


def test_an_index_without_any_of_its_manifests_is_refused(store: Store, tmp_path: Path) -> None:
    amd = image_parts("a")
    index = builders.index([(amd.manifest, "linux/amd64")])
    files = layout([entry(index, OCI_INDEX, "v1")], [index])
    with pytest.raises(MissingContent, match=f"manifest {amd.digest} of {digest_of(index)}"):
        take(store, write_tree(tmp_path / "app", files))
    assert nothing_tagged(store)


def test_an_index_may_hold_nothing_or_an_index(store: Store, tmp_path: Path) -> None:
    empty = compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None})
    outer = compact(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(empty, OCI_INDEX)]}
    )
    files = layout([entry(outer, OCI_INDEX, "v1")], [empty, outer])
    take(store, write_tree(tmp_path / "app", files))
    assert set(store.list_indexes()) == {digest_of(empty), digest_of(outer)}


def test_indexes_that_are_too_deep_in_each_other_are_refused(store: Store, tmp_path: Path) -> None:
    inner, blobs = image_parts().manifest, [image_parts().config, *image_parts().layers]
    media_type = OCI_MANIFEST
    for _ in range(12):
        blobs.append(inner)
        inner = compact(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [descriptor(inner, media_type)],
            }
        )
        media_type = OCI_INDEX
    files = layout([entry(inner, OCI_INDEX, "v1")], [*blobs, inner])
    with pytest.raises(InvalidDocument, match="too deep"):
        take(store, write_tree(tmp_path / "app", files))


def test_an_index_that_claims_to_hold_itself_is_refused(store: Store, tmp_path: Path) -> None:
    """No bytes hash to a digest inside them, so a circle is always a wrong digest."""
    name = "a" * 64
    index = compact(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_INDEX, "digest": f"sha256:{name}", "size": 219}],
        }
    )
    top = {"mediaType": OCI_INDEX, "digest": f"sha256:{name}", "size": len(index)}
    files = layout([top], []) | {f"blobs/sha256/{name}": index}
    with pytest.raises(DigestMismatch, match=f"sha256:{name}"):
        take(store, write_tree(tmp_path / "app", files))


def test_missing_blobs_are_named_and_nothing_is_tagged(store: Store, tmp_path: Path) -> None:
    parts = image_parts(layers=9)
    files = layout_of({"v1": parts})
    for data in parts.layers[1:]:
        del files[blob_path(data)]
    with pytest.raises(MissingContent) as caught:
        take(store, write_tree(tmp_path / "app", files))
    assert str(digest_of(parts.layers[1])) in str(caught.value)
    assert str(caught.value).endswith(" and 3 more")
    assert nothing_tagged(store)
    assert not list(store.list_blobs())


def test_a_missing_manifest_is_named(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"v1": parts})
    del files[blob_path(parts.manifest)]
    with pytest.raises(MissingContent, match=str(parts.digest)):
        take(store, write_tree(tmp_path / "app", files))


def test_a_foreign_layer_may_be_missing_but_comes_if_it_is_there(
    store: Store, tmp_path: Path
) -> None:
    layers = [builders.layer({"a": b"1"}), builders.layer({"b": b"2"})]
    config = builders.config(["sha256:" + "0" * 64] * 2)
    manifest = builders.manifest(
        config, layers, docker=True, layer_types=[DOCKER_FOREIGN, DOCKER_LAYER]
    )
    blobs = [manifest, config, layers[1]]
    files = layout([entry(manifest, builders.DOCKER_MANIFEST, "v1")], blobs)
    take(store, write_tree(tmp_path / "app", files))
    assert store.stat_blob(digest_of(layers[0])) is None
    take(store, write_tree(tmp_path / "app", {blob_path(layers[0]): layers[0]}))
    assert store.get_blob(digest_of(layers[0])) == layers[0]


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
def test_content_with_a_flipped_bit_is_refused(store: Store, tmp_path: Path, which: str) -> None:
    parts = image_parts()
    data = {"manifest": parts.manifest, "config": parts.config, "layer": parts.layers[1]}[which]
    bad = bytearray(data)
    bad[len(bad) // 2] ^= 1
    files = layout_of({"v1": parts}) | {blob_path(data): bytes(bad)}
    with pytest.raises(DigestMismatch, match=digest_of(data).hex):
        take(store, write_tree(tmp_path / "app", files))
    assert nothing_tagged(store)
    with pytest.raises(BlobNotFound):
        store.get_blob(digest_of(data))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_blob_of_another_size_than_its_manifest_says_is_refused(
    store: Store, tmp_path: Path, change: int
) -> None:
    parts = image_parts()
    document = builders.manifest(parts.config, parts.layers)
    said = f'"size":{len(parts.layers[0])}'.encode()
    wrong = document.replace(said, f'"size":{len(parts.layers[0]) + change}'.encode())
    assert wrong != document
    files = layout_of({"old": parts}) | layout([entry(wrong, OCI_MANIFEST, "v1")], [wrong])
    with pytest.raises(DigestMismatch, match="its manifest says"):
        take(store, write_tree(tmp_path / "app", files))
    assert nothing_tagged(store)


def test_a_manifest_of_another_size_than_its_descriptor_says_is_refused(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    wrong = entry(parts.manifest, OCI_MANIFEST, "v1") | {"size": 3}
    files = layout_of({"v1": parts}) | layout([wrong], [])
    with pytest.raises(DigestMismatch, match="3 were said"):
        take(store, write_tree(tmp_path / "app", files))


def test_what_the_store_has_is_not_read_again(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    take(store, source)
    for _, data in parts.blobs():
        (source / blob_path(data)).write_bytes(b"not looked at")
    done = take(store, source, "app:v2")
    assert (done.blobs_copied, done.bytes_copied) == (0, 0)


def test_what_the_store_has_damaged_is_copied_again(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    take(store, source)
    found = store.contents.find(digest_of(parts.layers[0]))
    assert found is not None
    os.truncate(found.path, 5)
    assert take(store, source).blobs_copied == 1
    assert store.get_blob(digest_of(parts.layers[0])) == parts.layers[0]


def test_a_store_that_has_everything_needs_only_index_and_manifest(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    take(store, write_tree(tmp_path / "app", layout_of({"v1": parts})))
    bare = layout([entry(parts.manifest, OCI_MANIFEST, "v2")], [parts.manifest])
    take(store, write_tree(tmp_path / "bare", bare))
    assert sorted(tags(store)) == ["library/app:v1", "library/bare:v2"]


def test_content_inside_a_descriptor_counts_if_it_is_right(store: Store, tmp_path: Path) -> None:
    config, layer = b"{}", builders.layer({"a": b"1"})
    manifest = compact(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, "application/vnd.oci.empty.v1+json")
            | {"data": base64.b64encode(config).decode()},
            "layers": [descriptor(layer, builders.OCI_LAYER_GZIP)],
        }
    )
    files = layout([entry(manifest, OCI_MANIFEST, "v1")], [manifest, layer])
    take(store, write_tree(tmp_path / "app", files))
    assert store.get_blob(digest_of(config)) == config
    wrong = manifest.replace(base64.b64encode(config), base64.b64encode(b"[]"))
    files = layout([entry(wrong, OCI_MANIFEST, "v2")], [wrong])
    take(store, write_tree(tmp_path / "wrong", files))
    assert store.get_blob(digest_of(config)) == config


def test_content_by_sha512_is_imported(store: Store, tmp_path: Path) -> None:
    config = builders.config(["sha256:" + "0" * 64])
    layer = builders.layer({"a": b"1"})
    manifest = compact(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, builders.OCI_CONFIG),
            "layers": [
                descriptor(layer, builders.OCI_LAYER_GZIP)
                | {"digest": str(digest_of(layer, "sha512"))}
            ],
        }
    )
    files = layout([entry(manifest, OCI_MANIFEST, "v1")], [manifest, config])
    files[blob_path(digest_of(layer, "sha512"))] = layer
    take(store, write_tree(tmp_path / "app", files))
    assert store.get_blob(digest_of(layer, "sha512")) == layer


def test_content_by_a_digest_that_cannot_be_hashed_here_is_refused(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    digest = str(digest_of(parts.layers[0]))
    wrong = parts.manifest.replace(digest.encode(), digest.replace("sha256", "blake3").encode())
    files = layout_of({"old": parts}) | layout([entry(wrong, OCI_MANIFEST, "v1")], [wrong])
    with pytest.raises(InvalidDigest, match="blake3"):
        take(store, write_tree(tmp_path / "app", files))


def test_a_subject_need_not_be_there(store: Store, tmp_path: Path) -> None:
    subject = image_parts("subject")
    parts = image_parts()
    about = builders.manifest(
        parts.config, parts.layers, subject=descriptor(subject.manifest, OCI_MANIFEST)
    )
    files = layout_of({"x": parts}) | layout([entry(about, OCI_MANIFEST, "v1")], [about])
    take(store, write_tree(tmp_path / "app", files))
    assert store.get_manifest(digest_of(about))[0] == about
    take(store, write_tree(tmp_path / "app", layout_of({"s": subject})), "lab/subject")
    assert store.get_manifest(subject.digest)[0] == subject.manifest


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"oci-layout": None}, InvalidSource, "no oci-layout"),
        ({"index.json": None}, InvalidSource, "no index.json"),
        ({"oci-layout": b"{"}, InvalidDocument, "oci-layout of"),
        ({"oci-layout": b"{}"}, InvalidSource, "version none"),
        ({"oci-layout": b'{"imageLayoutVersion": "2.0.0"}'}, InvalidSource, '"2.0.0"'),
        ({"index.json": b"[]"}, InvalidDocument, "index.json of"),
        ({"index.json": b"{" * 100_000}, InvalidDocument, "index.json of"),
        ({"index.json": b" " * (5 << 20)}, InvalidSource, "limit"),
        ({"index.json": b'{"schemaVersion": 2}'}, TagNotFound, "no image"),
    ],
)
def test_what_is_no_layout_is_refused(
    store: Store,
    tmp_path: Path,
    change: dict[str, bytes | None],
    error: type[RossfsError],
    message: str,
) -> None:
    files = {**layout_of({"v1": image_parts()}), **change}
    source = write_tree(
        tmp_path / "app", {path: data for path, data in files.items() if data is not None}
    )
    with pytest.raises(error, match=message):
        take(store, f"oci:{source}")


def test_a_negative_size_is_refused(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    wrong = entry(parts.manifest, OCI_MANIFEST, "v1") | {"size": -5}
    with pytest.raises(InvalidDocument, match="size"):
        take(store, write_tree(tmp_path / "app", layout_of({"v1": parts}) | layout([wrong], [])))


def test_a_manifest_that_is_none_is_refused_by_digest(store: Store, tmp_path: Path) -> None:
    data = b'{"schemaVersion": 2, "config": 5}'
    files = layout([entry(data, OCI_MANIFEST, "v1")], [data])
    with pytest.raises(InvalidDocument, match=str(digest_of(data))):
        take(store, write_tree(tmp_path / "app", files))


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../secret", "../../../app2/secret"])
def test_a_link_out_of_the_layout_is_refused(store: Store, tmp_path: Path, target: str) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    write_tree(tmp_path, {"secret": b"secret", "app2/secret": b"secret"})
    blob = source / blob_path(parts.layers[0])
    blob.unlink()
    blob.symlink_to(target)
    with pytest.raises(InvalidSource, match="leads out of it"):
        take(store, source)


def test_a_link_inside_the_layout_is_followed(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    blob = source / blob_path(parts.layers[0])
    blob.rename(source / "elsewhere")
    blob.symlink_to("../../elsewhere")
    take(store, source)
    assert store.get_blob(digest_of(parts.layers[0])) == parts.layers[0]


def test_fifos_and_directories_in_place_of_blobs_are_refused(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    blob = source / blob_path(parts.layers[0])
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(InvalidSource, match="no regular file"):
        take(store, source)
    blob.unlink()
    blob.mkdir()
    with pytest.raises(InvalidSource, match="no regular file"):
        take(store, source)


def test_a_source_that_is_not_there_is_an_error_of_the_system(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take(store, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidSource, match="holds no image"):
        take(store, tmp_path / "empty")


def test_collection_during_an_import_loses_nothing(store: Store, tmp_path: Path) -> None:
    """Blobs that no manifest names yet are held until the tag is set."""
    parts = image_parts(layers=4)
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    collected = []

    class Collecting(sources.Watching):
        def end(self, name: str) -> None:
            collected.append(store.garbage_collect().digests)

    import_images(store, parse_source(str(source)), None, Collecting())
    assert len(collected) == 5
    assert all(not list(digests) for digests in collected)
    store.delete_tag("library/app", "v1")
    assert len(list(store.garbage_collect().digests)) == 6


def test_an_interrupted_import_leaves_no_tag_and_no_hold(store: Store, tmp_path: Path) -> None:
    parts = image_parts(layers=4)
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))

    class Interrupting(sources.Watching):
        def end(self, name: str) -> None:
            if len(self.begun) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_images(store, parse_source(str(source)), None, Interrupting())
    assert nothing_tagged(store)
    assert list(store.pins.live()) == []
    assert not list(Path(store.paths.scratch).glob("*"))
    take(store, source)
    assert list(tags(store)) == ["library/app:v1"]
