"""How many descriptors layers take, and what happens when theirs are closed and opened again."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged, TooManyFiles
from rossfs.image import tables as table_files
from rossfs.image.cache import Cache
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.image.leases import Leases
from rossfs.image.mapping import map_file
from rossfs.oci.digest import Digest
from rossfs.store import smallfile
from rossfs.store.descriptors import EACH, Descriptors
from rossfs.store.store import Store
from tests.image.layering import (
    PACKED,
    by_tarfile,
    cache_of,
    contents,
    gzip,
    index_of,
    mixed_files,
    put,
    tar_of,
    whole,
)  # fmt: skip

KINDS = ["plain", "gzip", "zstd", "chunked"]
"""All that differ in what they keep open."""

DERIVED = {"gzip": "points", "zstd": "frames", "chunked": "frames"}

MOST = 2


def files_of(seed: int = 1) -> dict[str, bytes]:
    """A few hundred KB."""
    files = mixed_files(seed)
    return {
        "etc/os-release": files["etc/os-release"],
        "usr/text": files["usr/text"][:200_000],
        "usr/random": files["usr/random"][:100_000],
    }


TAR = tar_of(files_of())
FILES = by_tarfile(TAR)


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def small(number: int) -> bytes:
    return tar_of({"name": b"%d" % number, "more": bytes(5000)})


@pytest.fixture
def layers(store: Store) -> Iterator[Layers]:
    """At most two of these have something open."""
    made = Layers(store, cache_of(store), files=Descriptors(lambda: MOST))
    yield made
    made.close()


def crowd(layers: Layers) -> list[Layer]:
    """As many layers, read, as it takes that all others are closed."""
    made = [layers.open(put(layers.store, gzip(small(number)))) for number in range(MOST)]
    for number, layer in enumerate(made):
        assert whole(layer, index_of(layer, "name")) == b"%d" % number
    return made


def blob_of(layers: Layers, digest: Digest) -> Path:
    content = layers.store.contents.find(digest)
    assert content is not None
    return Path(content.path)


def tables_of(layers: Layers, digest: Digest) -> list[Path]:
    assert layers.cache.directory is not None
    return [path for path in Path(layers.cache.directory).iterdir() if digest.hex in path.name]


# How many


def test_a_map_needs_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000 + b"end")
    with open(tmp_path / "file", "rb") as file:
        before = descriptors()
        mapped = map_file(file.fileno(), 5003)
        assert descriptors() == before
    assert mapped[4999:] == b"xend"
    assert len(mapped) == 5003
    mapped.close()


def test_what_cannot_be_mapped_is_an_error(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="No such device"):
        map_file(fd, 100)
    os.close(fd)


@pytest.mark.parametrize("size", [table_files.IN_MEMORY, 0])
def test_a_layer_that_nobody_reads_takes_no_descriptor(
    store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(table_files, "IN_MEMORY", size)
    digest = put(store, gzip(TAR))
    Layers(store, cache_of(store)).open(digest)
    before = descriptors()
    layer = Layers(store, cache_of(store)).open(digest)
    assert index_of(layer, "usr/text")
    assert descriptors() == before


@pytest.mark.parametrize("packing", KINDS)
@pytest.mark.parametrize("again", [False, True], ids=["made", "found"])
def test_no_more_are_open_than_may_be(
    store: Store, layers: Layers, packing: str, again: bool
) -> None:
    digests = [put(store, PACKED[packing](small(number))) for number in range(6)]
    if again:
        for digest in digests:
            Layers(store, cache_of(store)).open(digest).prepare()
    before = descriptors()
    opened = [layers.open(digest) for digest in digests]
    assert descriptors() <= before + EACH * MOST
    for _ in range(2):
        for number, layer in enumerate(opened):
            assert whole(layer, index_of(layer, "name")) == b"%d" % number
            assert descriptors() <= before + EACH * MOST


def test_tables_without_a_name_count_too(store: Store) -> None:
    layers = Layers(store, Cache(None), files=Descriptors(lambda: MOST))
    before = descriptors()
    opened = [layers.open(put(store, gzip(small(number)))) for number in range(6)]
    assert descriptors() <= before + EACH * MOST
    for number, layer in enumerate(opened):
        assert whole(layer, index_of(layer, "name")) == b"%d" % number
        assert descriptors() <= before + EACH * MOST


@pytest.mark.parametrize("packing", PACKED)
def test_nothing_is_left_of_what_was_read_in_part(layers: Layers, packing: str) -> None:
    layer = layers.open(put(layers.store, PACKED[packing](TAR)))
    layers.files.relieve()
    before = descriptors()
    for _ in range(2):
        assert layer.read(index_of(layer, "usr/text"), 0, 1000)
        assert descriptors() > before
        layers.files.relieve()
        assert descriptors() == before


def test_the_layer_that_is_used_stays_open(layers: Layers) -> None:
    used = layers.open(put(layers.store, gzip(TAR)))
    used.prepare()
    for number in range(5):
        index = index_of(used, "etc/os-release")
        assert used.read(index, 0, 100)
        layers.open(put(layers.store, gzip(small(number)))).prepare()
        assert used.prepared
        assert used.read_ready(index, 0, 100) is not None
    crowd(layers)
    assert not used.prepared


# Opening again


@pytest.mark.parametrize("packing", KINDS)
def test_what_was_closed_is_read_on(layers: Layers, packing: str) -> None:
    layer = layers.open(put(layers.store, PACKED[packing](TAR)))
    index = index_of(layer, "usr/text")
    assert layer.read(index, 0, 1000) == FILES[b"usr/text"][:1000]
    crowd(layers)
    assert not layer.prepared
    assert layer.read_ready(index, 1000, 1000) is None
    assert layer.read(index, 1000, 1000) == FILES[b"usr/text"][1000:2000]
    assert contents(layer) == FILES


@pytest.mark.damages_store
@pytest.mark.parametrize("packing", KINDS)
def test_a_blob_that_was_replaced_is_not_served(layers: Layers, packing: str) -> None:
    digest = put(layers.store, PACKED[packing](TAR))
    layer = layers.open(digest)
    layer.prepare()
    crowd(layers)
    path = blob_of(layers, digest)
    path.unlink()
    path.write_bytes(PACKED[packing](TAR.replace(b"NAME=test", b"NAME=evil")))
    with pytest.raises(Damaged, match=digest.hex):
        layer.read(index_of(layer, "etc/os-release"), 0, 100)


@pytest.mark.parametrize("packing", DERIVED)
@pytest.mark.parametrize("what", ["deleted", "other", "cut", "text"])
@pytest.mark.expects_warnings
def test_a_table_that_was_replaced_is_made_again(layers: Layers, packing: str, what: str) -> None:
    digest = put(layers.store, PACKED[packing](TAR))
    other = put(layers.store, PACKED[packing](TAR.replace(b"NAME=test", b"NAME=evil")))
    for one in (digest, other):
        layers.open(one).prepare()
    layer = layers.open(digest)
    crowd(layers)
    (path,) = (path for path in tables_of(layers, digest) if DERIVED[packing] in path.name)
    data = path.read_bytes()
    path.unlink()
    if what == "other":
        (wrong,) = (path for path in tables_of(layers, other) if DERIVED[packing] in path.name)
        path.write_bytes(wrong.read_bytes())
    elif what != "deleted":
        path.write_bytes(data[:-10] if what == "cut" else b"text")
    assert contents(layer) == FILES


# What is deleted under an open file


@pytest.mark.parametrize("packing", KINDS)
def test_a_deleted_blob_stays_readable_for_an_open_file(layers: Layers, packing: str) -> None:
    digest = put(layers.store, PACKED[packing](TAR))
    layer = layers.open(digest)
    lease = layer.leases.current
    layer.prepare()
    assert whole(layer, index_of(layer, "usr/random"))
    layers.store.delete_blob(digest)
    for path in tables_of(layers, digest):
        path.unlink()
    crowd(layers)
    assert contents(layer) == FILES
    del lease
    crowd(layers)
    with pytest.raises(BlobNotFound):
        contents(layer)


def test_layers_with_open_files_are_closed_last(layers: Layers) -> None:
    held, other = (layers.open(put(layers.store, gzip(small(number)))) for number in (10, 11))
    lease = held.leases.current
    held.prepare()
    other.prepare()
    layers.open(put(layers.store, gzip(small(12)))).prepare()
    assert (held.prepared, other.prepared) == (True, False)
    del lease


def test_who_has_a_lease_is_known() -> None:
    leases = Leases()
    assert not leases.held()
    first = leases.current
    assert leases.held()
    second = leases.current
    assert first is not second
    del first
    assert leases.held()
    del second
    assert not leases.held()


# Many threads


@pytest.mark.parametrize("packing", KINDS)
def test_who_reads_while_all_is_closed_again_and_again_reads_right(
    layers: Layers, packing: str
) -> None:
    digests = [put(layers.store, PACKED[packing](tar_of(files_of(n)))) for n in range(3)]
    expected = [by_tarfile(tar_of(files_of(n))) for n in range(3)]
    before = descriptors()
    wrong: list[object] = []
    done = threading.Event()

    def read(number: int) -> None:
        try:
            if contents(layers.open(digests[number])) != expected[number]:
                wrong.append(number)
        except Exception as error:
            wrong.append(error)

    def close() -> None:
        while not done.wait(0.001):
            layers.files.relieve()

    closing = threading.Thread(target=close)
    closing.start()
    readers = [threading.Thread(target=read, args=(n % 3,)) for n in range(6)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join()
    done.set()
    closing.join()
    assert not wrong
    layers.files.relieve()
    assert descriptors() <= before + EACH * MOST


# Where something fails


def test_what_cannot_be_published_is_closed(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TooManyFiles("no more files")

    monkeypatch.setattr(Cache, "_evict", refuse)
    before = descriptors()
    file = layers.cache.create()
    with pytest.raises(TooManyFiles):
        layers.cache.publish(file, f"{'a' * 64}.toc")
    assert descriptors() == before


def test_a_cache_that_cannot_be_tidied_is_used(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = layers.cache.create()
    monkeypatch.setattr(smallfile, "open_regular", no_more_files)
    os.close(layers.cache.publish(layers.cache.create(), f"{'a' * 64}.toc"))
    left.close()
    assert layers.cache.size() == 0


def no_more_files(path: str) -> tuple[int, os.stat_result]:
    raise TooManyFiles(f"{path} cannot be opened")


def test_a_table_that_cannot_be_opened_is_not_made_again(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(layers.store, gzip(TAR))
    layers.open(digest)
    layers.close()
    (path, other) = tables_of(layers, digest)
    before = path.stat().st_ino, other.stat().st_ino
    with monkeypatch.context() as patched:
        patched.setattr(smallfile, "open_regular", no_more_files)
        with pytest.raises(TooManyFiles):
            layers.open(digest)
    assert contents(layers.open(digest)) == FILES
    assert (path.stat().st_ino, other.stat().st_ino) == before
