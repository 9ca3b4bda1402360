import gc
import hashlib
import io
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged, InvalidLayer
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import OCI_LAYER, RossStore, digest_of
from tests.image.layering import (
    PACKED,
    by_tarfile,
    cache_of,
    contents,
    index_of,
    mixed_files,
    opened,
    put,
    tar_of,
    whole,
)

FILES = mixed_files()
TAR = tar_of(FILES)


@pytest.fixture
def layers(store: Store) -> Layers:
    return Layers(store, cache_of(store))


@pytest.mark.parametrize("packed", PACKED)
def test_a_layer_of_any_compression_reads_as_tarfile_does(layers: Layers, packed: str) -> None:
    blob = PACKED[packed](TAR)
    layer = layers.open(put(layers.store, blob))
    assert contents(layer) == by_tarfile(TAR)
    assert (layer.digest, layer.size) == (digest_of(blob), len(blob))
    assert layer.diff_id == digest_of(TAR)
    assert layer.toc.length == len(TAR)
    assert layer.refusals == []


@pytest.mark.parametrize("packed", PACKED)
def test_any_range_of_any_file_is_right(layers: Layers, packed: str) -> None:
    layer = layers.open(put(layers.store, PACKED[packed](TAR)))
    chance = random.Random(2)
    for _ in range(300):
        path = chance.choice(list(FILES))
        data = FILES[path]
        offset = chance.randrange(len(data) + 2)
        length = chance.choice((0, 1, 100, 4096, 131_072, 1 << 20))
        index = index_of(layer, path)
        expected = data[offset : offset + length]
        assert layer.read(index, offset, length) == expected
        # What was just read from memory may be had at once; if it is given, it is right.
        ready = layer.read_ready(index, offset, length)
        assert ready is None or bytes(ready) == expected


@pytest.mark.parametrize("packed", PACKED)
def test_a_second_process_reads_by_what_the_first_one_left(store: Store, packed: str) -> None:
    digest = put(store, PACKED[packed](TAR))
    with opened(store) as first:
        contents(first.open(digest))
    told: list[object] = []
    second = Layers(store, cache_of(store), told.append)
    assert contents(second.open(digest)) == by_tarfile(TAR)
    assert not told


def test_nothing_is_read_past_the_end_of_a_file(layers: Layers) -> None:
    layer = layers.open(put(layers.store, PACKED["gzip"](TAR)))
    index = index_of(layer, "etc/os-release")
    assert layer.read(index, 0, 1 << 20) == b"NAME=test\n"
    assert layer.read(index, 9, 100) == b"\n"
    assert layer.read(index, 10, 100) == b""
    assert layer.read(index, 1 << 62, 100) == b""
    assert layer.read(index_of(layer, "empty"), 0, 100) == b""


def test_only_regular_files_have_bytes(layers: Layers) -> None:
    layer = layers.open(put(layers.store, PACKED["gzip"](TAR)))
    with pytest.raises(ValueError, match="no regular file"):
        layer.read(index_of(layer, "usr"), 0, 1)


def test_opening_a_layer_again_needs_no_blob_before_its_files_are_read(store: Store) -> None:
    ross = RossStore(Path(store.paths.root))
    digest = ross.put_blob(OCI_LAYER, PACKED["gzip"](TAR))
    with opened(store) as layers:
        layers.open(digest)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with opened(store) as layers:
        layer = layers.open(digest)
        layer.toc.record(0)
        assert len(os.listdir("/proc/self/fd")) <= before + 1
        del layer


def test_what_is_let_go_of_leaves_nothing_open(store: Store) -> None:
    digests = [put(store, pack(TAR)) for pack in PACKED.values()]
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    with opened(store) as layers:
        for digest in digests:
            contents(layers.open(digest))
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_closed_layer_leaves_nothing_open(store: Store) -> None:
    digests = [put(store, pack(TAR)) for pack in PACKED.values()]
    layers = Layers(store, cache_of(store))
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    kept = [layers.open(digest) for digest in digests]
    for layer in kept:
        contents(layer)
        layer.close()
    layers.close()
    kept.clear()
    del layer
    assert sorted(os.listdir("/proc/self/fd")) == before


# Sparse files


def sparse_tar(tmp_path: Path, *options: str) -> tuple[bytes, bytes]:
    """A tar of GNU tar with one sparse file, and the bytes of that file."""
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(5_000_000)
        for offset, data in [
            (4096, b"one" * 2000),
            (1 << 20, b"two" * 5000),
            (4_900_000, b"x" * 9),
        ]:
            file.seek(offset)
            file.write(data)
    command = ["tar", "-C", str(tmp_path), "-cS", *options, "sparse"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return done.stdout, path.read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu",),
        ("--format=pax", "--sparse-version=0.0"),
        ("--format=pax", "--sparse-version=0.1"),
        ("--format=pax", "--sparse-version=1.0"),
    ],
    ids=["gnu", "pax-0.0", "pax-0.1", "pax-1.0"],
)
@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd"])
def test_sparse_files_read_as_they_were(
    layers: Layers, tmp_path: Path, options: tuple[str, ...], packed: str
) -> None:
    tar, data = sparse_tar(tmp_path, *options)
    assert len(tar) < 200_000
    layer = layers.open(put(layers.store, PACKED[packed](tar)))
    index = index_of(layer, "sparse")
    assert layer.toc.record(index).size == len(data)
    assert whole(layer, index) == data
    chance = random.Random(3)
    for _ in range(200):
        offset, length = chance.randrange(len(data)), chance.choice((1, 5000, 1 << 20))
        assert layer.read(index, offset, length) == data[offset : offset + length]
        ready = layer.read_ready(index, offset, length)
        assert ready is None or bytes(ready) == data[offset : offset + length]


def test_holes_are_ready_before_anything_is_decoded(layers: Layers, tmp_path: Path) -> None:
    tar, _ = sparse_tar(tmp_path, "--format=gnu")
    layer = layers.open(put(layers.store, PACKED["gzip"](tar)))
    index = index_of(layer, "sparse")
    assert layer.read_ready(index, 2_000_000, 4096) == bytes(4096)
    assert layer.read_ready(index, 4096, 10) is None


# What is wrong is never given


@pytest.mark.damages_store
@pytest.mark.parametrize("packed", PACKED)
def test_a_blob_that_is_written_to_after_it_was_verified_gives_no_wrong_byte(
    layers: Layers, packed: str
) -> None:
    blob = PACKED[packed](TAR)
    layer = layers.open(put(layers.store, blob))
    index = index_of(layer, "usr/random")
    data = FILES["usr/random"]
    assert layer.read(index, 0, 10) == data[:10]
    content = layers.store.contents.find(layer.digest)
    assert content is not None
    chance = random.Random(4)
    damaged = bytearray(blob)
    for _ in range(500):
        damaged[chance.randrange(len(blob))] ^= 1 << chance.randrange(8)
    with open(content.path, "r+b") as file:
        file.write(damaged)
    failures = 0
    for path in FILES:
        index = index_of(layer, path)
        try:
            assert whole(layer, index) == FILES[path]
        except Damaged:
            failures += 1
    # Copies in frames were made of right bytes, and stay so.
    assert failures or packed in ("zstd", "bzip2", "xz")


@pytest.mark.damages_store
@pytest.mark.parametrize("packed", PACKED)
def test_a_blob_that_was_damaged_before_is_not_opened(store: Store, packed: str) -> None:
    ross = RossStore(Path(store.paths.root))
    blob = PACKED[packed](TAR)
    digest = ross.put_blob(OCI_LAYER, blob)
    middle = len(blob) // 2
    ross.path(digest).write_bytes(blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :])
    with opened(store) as layers:
        for _ in range(2):
            with pytest.raises(Damaged, match=digest.hex):
                layers.open(digest)
    assert [damaged for damaged, _ in store.verifier.damaged()] == [digest]


@pytest.mark.parametrize("packed", PACKED)
def test_a_truncated_layer_stored_under_its_true_digest_is_no_layer(
    layers: Layers, packed: str
) -> None:
    blob = PACKED[packed](TAR)
    for cut in (len(blob) // 3, len(blob) * 2 // 3):
        digest = put(layers.store, blob[:cut])
        for _ in range(2):
            with pytest.raises(InvalidLayer, match=digest.hex):
                layers.open(digest)


@pytest.mark.parametrize("packed", ["gzip", "members", "zstd", "chunked", "bzip2", "xz"])
def test_what_is_no_tar_inside_is_no_layer(layers: Layers, packed: str) -> None:
    digest = put(layers.store, PACKED[packed](b"no tar at all" * 1000))
    with pytest.raises(InvalidLayer, match=digest.hex):
        layers.open(digest)


def test_an_empty_blob_is_an_empty_layer(layers: Layers) -> None:
    layer = layers.open(put(layers.store, b""))
    assert layer.toc.count == 1


@pytest.mark.parametrize("packed", PACKED)
def test_an_empty_tar_of_any_compression_is_an_empty_layer(layers: Layers, packed: str) -> None:
    layer = layers.open(put(layers.store, PACKED[packed](bytes(10240))))
    assert layer.toc.count == 1
    assert layer.diff_id == digest_of(bytes(10240))


def test_a_blob_that_is_not_stored_is_not_found(layers: Layers) -> None:
    digest = digest_of(b"foreign")
    with pytest.raises(BlobNotFound, match=digest.hex):
        layers.open(digest)


def test_a_blob_that_is_removed_later_is_not_found(layers: Layers) -> None:
    digest = put(layers.store, PACKED["gzip"](TAR))
    layer = layers.open(digest)
    layers.store.delete_blob(digest)
    with pytest.raises(BlobNotFound, match=digest.hex):
        layer.read(index_of(layer, "usr/text"), 0, 1)


@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd", "chunked"])
def test_a_layer_whose_digest_is_sha512_opens_too(layers: Layers, packed: str) -> None:
    blob = PACKED[packed](TAR)
    expected = Digest("sha512", hashlib.sha512(blob).hexdigest())
    digest, _ = layers.store.put_blob(OCI_LAYER, blob, expected)
    layer = layers.open(digest)
    assert contents(layer) == by_tarfile(TAR)
    assert layer.diff_id == digest_of(TAR)


def test_entries_that_are_not_shown_are_told(layers: Layers) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(tarfile.TarInfo("../escapes"))
    layer = layers.open(put(layers.store, stream.getvalue()))
    assert [path for path, _ in layer.refusals] == [b"../escapes"]
    assert list(contents(layer)) == [b"good"]
