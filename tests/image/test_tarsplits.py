from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound
from rossfs.image.cache import Cache
from rossfs.image.layer import Layer as OpenedLayer
from rossfs.image.layers import Layers
from rossfs.image.rootfs import Rootfs
from rossfs.image.tarsplits import TarSplit, TarSplits
from rossfs.store.store import Store
from tests.image.merging import rootfs_of
from tests.image.test_tarsplit import split
from tests.layers import Layer, image_of
from tests.tree.browsing import lose

ID = "0123456789abcdef" * 4
LOWER = Layer().directory("d").file("d/f", b"f" * 5000)
UPPER = Layer().whiteout("d").file("g", b"g" * 70_000).file("h", b"")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


@pytest.fixture
def opened(store: Store, cache: Cache) -> Iterator[list[OpenedLayer]]:
    image = image_of(LOWER, UPPER, packing="zstd")
    image.put(store)
    layers = Layers(store, cache)
    yield [layers.open(digest) for digest in image.layers]
    layers.close()


def content(found: TarSplit) -> bytes:
    data = b"".join(found.read(at, 100) for at in range(0, found.size, 100))
    assert len(data) == found.size
    assert found.read(found.size, 10) == b""
    return gzip.decompress(data)


def test_they_are_made_once(cache: Cache, opened: list[OpenedLayer]) -> None:
    rootfs, expected = Rootfs(opened), rootfs_of(LOWER, UPPER)
    for position, layer in enumerate(opened):
        name = f"{position:064x}"
        found = TarSplits(cache).open(name, rootfs, position, layer)
        assert content(found) == split(expected, position)
        path = Path(f"{cache.directory}/{name}.tarsplit")
        before = path.stat().st_ino
        assert content(TarSplits(cache).open(name, rootfs, position, layer)) == content(found)
        assert path.stat().st_ino == before


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_damaged_ones_are_made_again(cache: Cache, opened: list[OpenedLayer], damage: str) -> None:
    rootfs = Rootfs(opened)
    expected = content(TarSplits(cache).open(ID, rootfs, 1, opened[1]))
    path = Path(f"{cache.directory}/{ID}.tarsplit")
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    harmed = {"cut": bytes(data[:-1]), "changed": bytes(data), "emptied": b""}[damage]
    path.write_bytes(harmed)
    assert content(TarSplits(cache).open(ID, rootfs, 1, opened[1])) == expected
    assert path.read_bytes() not in (harmed, bytes(data))


def test_without_a_cache_they_are_in_memory(opened: list[OpenedLayer]) -> None:
    found = TarSplits(Cache(None)).open(ID, Rootfs(opened), 0, opened[0])
    assert content(found) == split(rootfs_of(LOWER, UPPER), 0)


def test_one_that_is_open_outlasts_the_cache(cache: Cache, opened: list[OpenedLayer]) -> None:
    found = TarSplits(cache).open(ID, Rootfs(opened), 0, opened[0])
    cache.discard(f"{ID}.tarsplit")
    assert content(found) == split(rootfs_of(LOWER, UPPER), 0)


def test_descriptors_go_with_them(cache: Cache, opened: list[OpenedLayer]) -> None:
    splits, rootfs = TarSplits(cache), Rootfs(opened)
    splits.open(ID, rootfs, 0, opened[0])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        splits.open(ID, rootfs, 0, opened[0])
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_asks_at_once_gets_the_same(cache: Cache, opened: list[OpenedLayer]) -> None:
    splits, rootfs, found = TarSplits(cache), Rootfs(opened), []
    threads = [
        threading.Thread(target=lambda: found.append(splits.open(ID, rootfs, 1, opened[1])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({os.fstat(each._fd).st_ino for each in found}) == 1


@pytest.mark.damages_store
def test_a_layer_that_is_gone(store: Store, cache: Cache, opened: list[OpenedLayer]) -> None:
    lose(store, opened[0].digest)
    with pytest.raises(BlobNotFound):
        TarSplits(cache).open(ID, Rootfs(opened), 0, opened[0])
    assert not Path(f"{cache.directory}/{ID}.tarsplit").exists()
    assert not [name for name in os.listdir(str(cache.directory)) if name.startswith(".rossfs")]
