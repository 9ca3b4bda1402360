"""Layers for tests, and what tarfile says is in them."""

from __future__ import annotations

import io
import random
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rossfs.image.cache import Cache
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import OCI_LAYER
from tests.image.packing import bzip2, run, xz, zstd, zstd_chunked


def gzip(data: bytes) -> bytes:
    return run("gzip", "-nc", data=data)


def members(data: bytes) -> bytes:
    """gzip of several members, as pigz -i and eStargz write it."""
    third = len(data) // 3
    parts = data[:third], data[third : 2 * third], b"", data[2 * third :]
    return b"".join(map(gzip, parts))


def chunked(data: bytes) -> bytes:
    """zstd of many frames."""
    return zstd_chunked(data[at : at + 100_000] for at in range(0, len(data), 100_000))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip,
    "members": members,
    "zstd": zstd,
    "chunked": chunked,
    "bzip2": bzip2,
    "xz": xz,
}
"""All ways in which a layer may be compressed."""


def mixed_files(seed: int = 1) -> dict[str, bytes]:
    """Two MB: empty files, small ones, text, zeros, random bytes."""
    chance = random.Random(seed)
    files = {"empty": b"", "etc/os-release": b"NAME=test\n"}
    for number in range(200):
        size = chance.choice((1, 100, 511, 512, 513, 5000))
        files[f"usr/share/{number % 7}/{number}"] = chance.randbytes(size)
    words = [b"%x" % chance.getrandbits(20) for _ in range(500)]
    files["usr/text"] = b" ".join(chance.choices(words, k=150_000))
    files["usr/zeros"] = bytes(1_100_000)
    files["usr/random"] = chance.randbytes(300_001)
    return files


def tar_of(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def by_tarfile(tar: bytes) -> dict[bytes, bytes]:
    """Path and content of each regular file."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            if member.isreg():
                file = archive.extractfile(member)
                assert file is not None
                files[member.name.encode()] = file.read()
    return files


def regular(layer: Layer) -> Iterator[tuple[bytes, int]]:
    """Path and index of each regular file."""
    for index in range(layer.toc.count):
        if stat.S_ISREG(layer.toc.record(index).mode):
            yield layer.toc.path(index), index


def contents(layer: Layer) -> dict[bytes, bytes]:
    """Path and content of each regular file, read in the order of the tar."""
    found = sorted(regular(layer), key=lambda item: layer.toc.record(item[1]).data)
    return {path: whole(layer, index) for path, index in found}


def whole(layer: Layer, index: int, step: int = 1 << 20) -> bytes:
    """A file, read as the kernel reads it: until there is no more."""
    data = b""
    while piece := layer.read(index, len(data), step):
        data += piece
    return data


def index_of(layer: Layer, path: str) -> int:
    index = 0
    for name in path.encode().split(b"/"):
        index = layer.toc.find(index, name)
        assert index >= 0, path
    return index


def put(store: Store, blob: bytes) -> Digest:
    return store.put_blob(OCI_LAYER, blob)[0]


def cache_of(store: Store) -> Cache:
    return Cache(store.paths.cache)


def cached(cache: Cache) -> set[str]:
    """The names of all files in the cache."""
    assert cache.directory is not None
    directory = Path(cache.directory)
    return {path.name for path in directory.iterdir()} if directory.exists() else set()


@contextmanager
def opened(store: Store, cache: Cache | None = None) -> Iterator[Layers]:
    """Layers of *store*, with its own cache if there is no other."""
    layers = Layers(store, cache or cache_of(store))
    try:
        yield layers
    finally:
        layers.close()
