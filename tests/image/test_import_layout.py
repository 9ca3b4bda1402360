"""Importing OCI layouts: what is taken, and what is not taken twice."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from rossfs.image.import_ import import_images
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
from tests.image.imports import nothing_tagged, tags, take
from tests.image.sources import blob_path, entry, layout, layout_of, tar_of, write_tree


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


def test_an_index_may_hold_nothing_or_an_index(store: Store, tmp_path: Path) -> None:
    empty = compact({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None})
    outer = compact(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(empty, OCI_INDEX)]}
    )
    files = layout([entry(outer, OCI_INDEX, "v1")], [empty, outer])
    take(store, write_tree(tmp_path / "app", files))
    assert set(store.list_indexes()) == {digest_of(empty), digest_of(outer)}


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
            if len(self.begun) >= 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_images(store, parse_source(str(source)), None, Interrupting())
    assert nothing_tagged(store)
    assert list(store.pins.live()) == []
    assert not list(Path(store.paths.scratch).glob("*"))
    take(store, source)
    assert list(tags(store)) == ["library/app:v1"]
