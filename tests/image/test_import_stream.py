"""Importing from a pipe: whatever order the archive has, and wherever it breaks off."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
import threading
from pathlib import Path

import pytest

from rossfs.errors import DigestMismatch, InvalidSource, MissingContent, RossfsError
from rossfs.image import received
from rossfs.image.import_ import Import, import_images
from rossfs.image.transport import parse_source
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, OCTET_STREAM, digest_of, image_parts
from tests.image import sources
from tests.image.sources import (
    blob_path,
    docker_archive,
    entry,
    layout,
    layout_of,
    plain_layers,
    tar_of,
)


def pour(store: Store, path: Path, data: bytes, name: str | None = None) -> Import:
    """Import *data* through a fifo; all of it must be taken."""
    os.mkfifo(path)
    left = len(data)

    def write() -> None:
        nonlocal left
        fd = os.open(path, os.O_WRONLY)
        try:
            while left:
                left -= os.write(fd, data[len(data) - left :][: 1 << 16])
        except BrokenPipeError:
            pass
        finally:
            os.close(fd)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = import_images(store, parse_source(str(path)), name)
    finally:
        writer.join(30)
        path.unlink()
    assert not writer.is_alive()
    assert left == 0
    return done


def names(store: Store) -> list[str]:
    return sorted(map(str, store.tags.names()))


def shuffled(files: sources.Files, seed: int) -> sources.Files:
    order = list(files)
    random.Random(seed).shuffle(order)
    return {path: files[path] for path in order}


@pytest.mark.parametrize("seed", range(6))
def test_blobs_may_come_in_any_order(store: Store, tmp_path: Path, seed: int) -> None:
    amd, arm = image_parts("a"), image_parts("b", architecture="arm64")
    index = builders.index([(amd.manifest, "linux/amd64"), (arm.manifest, "linux/arm64")])
    files = layout_of({"1": amd, "2": arm})
    files |= layout([entry(index, OCI_INDEX, "lab/app:v1")], [index])
    pour(store, tmp_path / "fifo", tar_of(shuffled(files, seed)))
    assert names(store) == ["lab/app:v1"]
    assert store.get_index(digest_of(index))[0] == index
    for parts in (amd, arm):
        for media_type, data in parts.blobs():
            info = store.stat_blob(digest_of(data))
            assert info is not None
            assert (info.media_type, store.get_blob(info.digest)) == (media_type, data)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("compressed", [False, True])
def test_docker_archives_too(store: Store, tmp_path: Path, seed: int, compressed: bool) -> None:
    parts = image_parts()
    files = docker_archive({"lab/app:v1": parts}, compressed=compressed)
    pour(store, tmp_path / "fifo", tar_of(shuffled(files, seed)))
    assert names(store) == ["lab/app:v1"]
    for data in parts.layers if compressed else plain_layers(parts):
        assert store.get_blob(digest_of(data)) == data


def test_a_compressed_archive_is_decompressed(store: Store, tmp_path: Path) -> None:
    data = gzip.compress(tar_of(layout_of({"lab/app:v1": image_parts()})))
    pour(store, tmp_path / "fifo", data)
    (tmp_path / "app.tar.gz").write_bytes(data)
    import_images(store, parse_source(str(tmp_path / "app.tar.gz")), "from/file")
    assert names(store) == ["from/file:latest", "lab/app:v1"]


def test_a_blob_larger_than_any_buffer_streams(store: Store, tmp_path: Path) -> None:
    layer = builders.layer({"random": random.Random(1).randbytes(9_000_000)})
    config = builders.config(["sha256:" + "0" * 64])
    manifest = builders.manifest(config, [layer])
    entries = [entry(manifest, builders.OCI_MANIFEST, "lab/app:v1")]
    files = {blob_path(layer): layer} | layout(entries, [config, manifest])
    pour(store, tmp_path / "fifo", tar_of(files))
    assert store.get_blob(digest_of(layer)) == layer


def test_links_count_wherever_they_stand(store: Store, tmp_path: Path) -> None:
    parts = image_parts(layers=1)
    files = docker_archive({"lab/app:v1": parts})
    [path] = [path for path in files if path.endswith("layer.tar")]
    layer = files.pop(path)
    links = {path: (tarfile.SYMTYPE, "../real.tar")}
    pour(store, tmp_path / "fifo", tar_of(files | {"real.tar": layer}, links))
    assert store.get_blob(digest_of(layer)) == layer


def test_other_files_are_passed_over(store: Store, tmp_path: Path) -> None:
    more = {"README": b"read me", "empty": b"", "data.bin": b"\1\2\3" * 5000, "x.json": b"{}"}
    parts = image_parts()
    done = pour(store, tmp_path / "fifo", tar_of(more | layout_of({"lab/app:v1": parts})))
    assert done.blobs_copied == 3
    assert len(list(store.list_blobs())) == 3


def test_what_the_store_has_is_not_hashed_again(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"lab/app:v1": parts})
    pour(store, tmp_path / "fifo", tar_of(files))
    files[blob_path(parts.layers[0])] = bytes(len(parts.layers[0]))
    assert pour(store, tmp_path / "fifo", tar_of(files)).blobs_copied == 0


@pytest.mark.parametrize("compressed", [False, True])
def test_only_what_is_new_is_counted(store: Store, tmp_path: Path, compressed: bool) -> None:
    """The name of a layer of docker's says nothing of its digest: it is known when it is read."""
    data = tar_of(docker_archive({"lab/app:v1": image_parts()}, compressed=compressed))
    assert pour(store, tmp_path / "fifo", data).blobs_copied == 3
    again = pour(store, tmp_path / "fifo", data)
    assert (again.blobs_copied, again.bytes_copied) == (0, 0)
    (tmp_path / "app.tar").write_bytes(data)
    from_file = import_images(store, parse_source(str(tmp_path / "app.tar")))
    assert (from_file.blobs_copied, from_file.bytes_copied) == (0, 0)


def test_a_stream_needs_a_name_from_somebody(store: Store, tmp_path: Path) -> None:
    """A fifo has a file name; standard input has none (tests/cli)."""
    pour(store, tmp_path / "fifo", tar_of(layout_of({"v1": image_parts()})))
    assert names(store) == ["library/fifo:v1"]


def test_a_changed_blob_is_refused_where_it_comes(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"lab/app:v1": parts})
    files[blob_path(parts.layers[0])] = parts.layers[0][:-1] + b"x"
    with pytest.raises(DigestMismatch, match=digest_of(parts.layers[0]).hex):
        pour(store, tmp_path / "fifo", tar_of(files))
    assert names(store) == []
    assert not list(store.list_manifests())


def test_missing_blobs_are_named(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"lab/app:v1": parts})
    del files[blob_path(parts.layers[1])]
    with pytest.raises(MissingContent, match=str(digest_of(parts.layers[1]))):
        pour(store, tmp_path / "fifo", tar_of(files))
    assert names(store) == []


@pytest.mark.parametrize("compressed", [False, True])
def test_a_stream_that_breaks_off_is_refused(
    store: Store, tmp_path: Path, compressed: bool
) -> None:
    data = tar_of(layout_of({"lab/app:v1": image_parts()}))
    whole = gzip.compress(data) if compressed else data[: data.rindex(b"blobs/sha256")]
    for cut in [*range(1, len(whole), len(whole) // 17), len(whole) - 5]:
        with pytest.raises(RossfsError):
            pour(store, tmp_path / "fifo", whole[:cut])
    assert names(store) == []
    assert not list(Path(store.paths.scratch).glob("*"))


def test_a_damaged_gzip_stream_is_refused(store: Store, tmp_path: Path) -> None:
    data = bytearray(gzip.compress(tar_of(layout_of({"lab/app:v1": image_parts()}))))
    data[-6] ^= 1
    with pytest.raises(InvalidSource, match="damaged"):
        pour(store, tmp_path / "fifo", bytes(data))
    assert names(store) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello" * 300, "no tar archive"),
        (tar_of({"etc/passwd": b"root"}), "holds no image"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed with zstd"),
        (tar_of({"../x": b"1"}), "leads out of it"),
    ],
)
def test_what_is_no_image_is_refused(
    store: Store, tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(InvalidSource, match=message):
        pour(store, tmp_path / "fifo", data)


def test_documents_have_a_limit_in_all(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "KEPT_LIMIT", 1 << 20)
    many = {f"{number}.json": b"{" + bytes(300_000) for number in range(4)}
    with pytest.raises(InvalidSource, match="1 MiB of documents"):
        pour(store, tmp_path / "fifo", tar_of(many))


def test_entries_have_a_limit(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "ENTRY_LIMIT", 10)
    with pytest.raises(InvalidSource, match="more than 10 entries"):
        pour(store, tmp_path / "fifo", tar_of({str(number): b"" for number in range(11)}))


def test_collection_while_blobs_arrive_loses_nothing(store: Store, tmp_path: Path) -> None:
    """Nothing names the blobs before index.json comes, which here is last."""
    parts = image_parts(layers=3)
    files = docker_archive({"lab/app:v1": parts})
    removed: list[Digest] = []

    class Collecting(sources.Watching):
        def end(self, name: str) -> None:
            removed.extend(store.garbage_collect().digests)

    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(tar_of(files)))
    import_images(store, parse_source(str(path)), None, Collecting())
    assert removed == []
    assert names(store) == ["lab/app:v1"]


def test_a_manifest_may_travel_as_the_layer_of_another(store: Store, tmp_path: Path) -> None:
    inner = image_parts("inner")
    config = b"{}"
    outer = builders.manifest(config, [inner.manifest], layer_types=[builders.OCI_MANIFEST])
    files = layout(
        [entry(outer, builders.OCI_MANIFEST, "lab/app:v1")], [inner.manifest, config, outer]
    )
    pour(store, tmp_path / "fifo", tar_of(files))
    info = store.stat_blob(inner.digest)
    assert info is not None
    assert info.media_type == OCTET_STREAM
    assert list(store.list_manifests()) == [digest_of(outer)]
