"""What is found out about layers while they are imported."""

from __future__ import annotations

import errno
import gzip
import io
import os
from pathlib import Path

import pytest

from rossfs.errors import DiffIdMismatch, DigestMismatch, IndexingFailed
from rossfs.image.deflate import Library
from rossfs.image.import_ import Import, import_images
from rossfs.image.layers import Layers
from rossfs.image.transport import parse_source
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import (
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    config,
    digest_of,
    image_parts,
    layer,
    manifest,
    tar,
)
from tests.image.layering import PACKED, cache_of, cached, contents, opened
from tests.image.sources import (
    blob_path,
    docker_archive,
    entry,
    layout,
    layout_of,
    tar_of,
    write_tree,
)

TREE = tar({"etc": None, "etc/motd": b"hello\n"})


def take(store: Store, source: Path) -> Import:
    return import_images(store, parse_source(str(source)), cache=cache_of(store))


def image_of(
    directory: Path, blobs: list[bytes], diff_ids: list[str], layer_types: list[str] | None = None
) -> Path:
    """A layout with one image of these layers."""
    config_data = config(diff_ids)
    manifest_data = manifest(config_data, blobs, layer_types=layer_types)
    described = entry(manifest_data, OCI_MANIFEST, "v1")
    return write_tree(directory, layout([described], [manifest_data, config_data, *blobs]))


def is_read_without_indexing(store: Store, digest: Digest) -> bool:
    told: list[object] = []
    contents(Layers(store, cache_of(store), told.append).open(digest))
    return not told


@pytest.mark.parametrize("packed", PACKED)
def test_layers_have_their_tables_when_they_are_imported(
    store: Store, tmp_path: Path, packed: str
) -> None:
    blob = PACKED[packed](TREE)
    source = image_of(tmp_path / "app", [blob], [str(digest_of(TREE))])
    assert take(store, source).warnings == ()
    digest = digest_of(blob)
    expected = {"plain": set(), "gzip": {"points"}, "members": {"points"}, "zstd": {"frames"}}
    kinds = expected.get(packed, {"frames"} if packed == "chunked" else set()) | {"toc"}
    assert cached(cache_of(store)) == {f"{digest.hex}.{kind}" for kind in kinds}
    assert is_read_without_indexing(store, digest)
    with opened(store) as layers:
        found = layers.open(digest)
        assert contents(found) == {b"etc/motd": b"hello\n"}
        assert (found.digest, found.diff_id) == (digest, digest_of(TREE))
        layers.check_diff_id(found, digest_of(TREE))


def test_nothing_else_gets_a_table(store: Store, tmp_path: Path) -> None:
    parts = image_parts(layers=3)
    take(store, write_tree(tmp_path / "app", layout_of({"v1": parts})))
    names = {name.partition(".")[0] for name in cached(cache_of(store))}
    assert names == {digest_of(data).hex for data in parts.layers}


def test_without_a_cache_no_tables_are_made(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    assert import_images(store, parse_source(str(source))).warnings == ()
    assert cached(cache_of(store)) == set()


@pytest.mark.parametrize("compressed", [False, True])
def test_layers_of_a_docker_archive_have_tables(
    store: Store, tmp_path: Path, compressed: bool
) -> None:
    parts = image_parts()
    archive = tmp_path / "app.tar"
    archive.write_bytes(tar_of(docker_archive({"app:v1": parts}, compressed=compressed)))
    assert take(store, archive).warnings == ()
    layers = parts.layers if compressed else map(gzip.decompress, parts.layers)
    for data in layers:
        assert is_read_without_indexing(store, digest_of(data))


@pytest.mark.parametrize("kind", ["docker", "layout"])
def test_layers_that_come_through_a_pipe_have_tables(
    store: Store, tmp_path: Path, kind: str
) -> None:
    parts = image_parts()
    make = docker_archive if kind == "docker" else layout_of
    archive = tmp_path / "app.tar.gz"  # is read as a stream
    archive.write_bytes(gzip.compress(tar_of(make({"v1": parts}))))
    assert take(store, archive).warnings == ()
    layers = map(gzip.decompress, parts.layers) if kind == "docker" else parts.layers
    for data in layers:
        assert is_read_without_indexing(store, digest_of(data))


def test_a_blob_without_a_type_is_a_layer_if_it_looks_like_one(
    store: Store, tmp_path: Path
) -> None:
    source = image_of(
        tmp_path / "app",
        [TREE, b"statement"],
        [str(digest_of(TREE))] * 2,
        [OCTET_STREAM, OCTET_STREAM],
    )
    assert take(store, source).warnings == ()
    assert cached(cache_of(store)) == {f"{digest_of(TREE).hex}.toc"}


def test_wrong_diff_ids_are_a_warning_and_damage_when_they_are_used(
    store: Store, tmp_path: Path
) -> None:
    wrong = digest_of(b"something else")
    data = layer({"a": b"1"})
    done = take(store, image_of(tmp_path / "app", [data], [str(wrong)]))
    [warning] = done.warnings
    assert str(digest_of(data)) in warning
    assert str(wrong) in warning
    assert str(digest_of(gzip.decompress(data))) in warning
    assert len(done.images) == 1
    with opened(store) as layers:
        found = layers.open(digest_of(data))
        with pytest.raises(DiffIdMismatch, match=wrong.hex):
            layers.check_diff_id(found, wrong)


def test_wrong_diff_ids_are_a_warning_when_the_layer_was_here_before(
    store: Store, tmp_path: Path
) -> None:
    data = layer({"a": b"1"})
    right = str(digest_of(gzip.decompress(data)))
    assert take(store, image_of(tmp_path / "right", [data], [right])).warnings == ()
    wrong = take(store, image_of(tmp_path / "wrong", [data], [str(digest_of(b"x"))]))
    assert len(wrong.warnings) == 1
    assert wrong.blobs_copied == 1


def test_a_wrong_number_of_diff_ids_is_a_warning(store: Store, tmp_path: Path) -> None:
    data = layer({"a": b"1"})
    right = str(digest_of(gzip.decompress(data)))
    [warning] = take(store, image_of(tmp_path / "app", [data], [right, right])).warnings
    assert "1 layers" in warning
    assert "2 diff IDs" in warning


def test_a_layer_that_is_none_is_stored_with_a_warning(store: Store, tmp_path: Path) -> None:
    truncated = layer({"a": b"1" * 1000})[:-20]
    no_tar = gzip.compress(b"no tar" * 500)
    source = image_of(
        tmp_path / "app", [truncated, no_tar], [str(digest_of(b"1")), str(digest_of(b"2"))]
    )
    done = take(store, source)
    assert len(done.images) == 1
    for data in (truncated, no_tar):
        assert store.get_blob(digest_of(data)) == data
        assert sum(str(digest_of(data)) in warning for warning in done.warnings) == 1
    assert cached(cache_of(store)) == set()


def test_a_config_that_is_none_is_a_warning(store: Store, tmp_path: Path) -> None:
    data, no_config = layer({"a": b"1"}), b"[]"
    manifest_data = manifest(no_config, [data])
    described = entry(manifest_data, OCI_MANIFEST, "v1")
    files = layout([described], [manifest_data, no_config, data])
    done = take(store, write_tree(tmp_path / "app", files))
    assert len(done.warnings) == 1
    assert str(digest_of(manifest_data)) in done.warnings[0]


def test_a_layer_that_is_not_what_its_name_says_leaves_no_table(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    files = layout_of({"v1": parts})
    files[blob_path(parts.layers[0])] = layer({"other": b"1"}).ljust(len(parts.layers[0]), b"\0")
    with pytest.raises(DigestMismatch):
        take(store, write_tree(tmp_path / "app", files))
    assert not any(digest_of(parts.layers[0]).hex in name for name in cached(cache_of(store)))
    assert not any(name.startswith(".") for name in cached(cache_of(store)))


def test_a_bomb_is_stored_and_not_decompressed_to_its_end(store: Store, tmp_path: Path) -> None:
    inner = gzip.compress(bytes(400 << 20), 9)
    head = tar({"zeros": b""})[:512]
    bomb = gzip.compress(head) + inner
    done = take(store, image_of(tmp_path / "app", [bomb], [str(digest_of(b"1"))]))
    assert done.warnings == ()
    assert cached(cache_of(store)) == set()
    assert store.stat_blob(digest_of(bomb)) is not None


def test_a_cache_that_cannot_be_written_does_not_keep_images_out(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    (Path(store.paths.root) / "cache").write_bytes(b"a file")
    assert take(store, source).warnings == ()
    (Path(store.paths.root) / "cache").unlink()
    assert store.get_manifest(parts.digest)[0] == parts.manifest


def test_media_types_are_not_believed(store: Store, tmp_path: Path) -> None:
    stream = io.BytesIO(TREE)
    source = image_of(
        tmp_path / "app", [stream.getvalue()], [str(digest_of(TREE))], [OCI_LAYER_GZIP]
    )
    assert take(store, source).warnings == ()
    with opened(store) as layers:
        assert contents(layers.open(digest_of(TREE))) == {b"etc/motd": b"hello\n"}


@pytest.mark.parametrize("size", [5, 5000])
def test_without_a_library_for_gzip_layers_come_without_tables(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def nothing() -> tuple[Library, ...]:
        raise IndexingFailed("neither zlib-ng nor libz can be loaded")

    monkeypatch.setattr("rossfs.image.gzippass.libraries", nothing)
    data = gzip.compress(TREE).ljust(size, b"\0")[:size]
    done = take(store, image_of(tmp_path / "app", [data], [str(digest_of(TREE))]))
    assert len(done.images) == 1
    assert store.get_blob(digest_of(data)) == data
    assert cached(cache_of(store)) == set()


def test_an_import_that_has_no_room_to_read_tables_is_complete(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    done = take(store, image_of(tmp_path / "app", [TREE], [str(digest_of(b"other"))]))
    assert len(done.images) == 1
    assert done.warnings == ()
