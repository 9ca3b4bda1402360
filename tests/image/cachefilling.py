"""The cache on a disk that fills up at each point, and on one that cannot be written.

    unshare -rm python -m tests.image.cachefilling DIRECTORY

mounts a small tmpfs on DIRECTORY, in a mount namespace of its own, which ends with the process.
Whatever room there is, a table is whole, on the disk or in memory, and a layer that needs a copy is
read.  Prints how often a table was moved to memory and kept on the disk, and a layer decoded live
and copied.
"""

from __future__ import annotations

import os
import sys

from rossfs.image.cache import Cache
from rossfs.image.compression import Compression
from rossfs.image.copieddata import CopiedData
from rossfs.image.packed import Packed
from rossfs.image.spans import SpanCache
from rossfs.oci.digest import Digest
from tests.crash.filling import fill, mount
from tests.image.packing import text, zstd

SIZE = 2 << 20
NAME = f"{'a' * 64}.toc"
TABLE = text(40_000)
LAYER = text(700_000)
BLOB = zstd(LAYER) + zstd(bytes(3 << 20))
LENGTH = len(LAYER) + (3 << 20)


def main(directory: str) -> None:
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", directory)
    cache = Cache(f"{directory}/cache")
    os.mkdir(f"{directory}/cache")
    counts = {"memory": 0, "disk": 0, "live": 0, "copied": 0}
    for pages in range(14):
        filler = fill(f"{directory}/filler", pages)
        counts["disk" if write_table(cache) else "memory"] += 1
        empty(cache)
        os.unlink(filler)
    for pages in range(0, 220, 15):
        filler = fill(f"{directory}/filler", pages)
        counts["copied" if read_layer(cache) else "live"] += 1
        empty(cache)
        os.unlink(filler)
    assert write_table(cache)
    mount("-o", "remount,ro", directory)
    assert cache.open(NAME) is not None
    assert not cache.writable()
    assert not write_table(cache)
    assert not read_layer(cache)
    print(*counts.values())


def write_table(cache: Cache) -> bool:
    """Whether it is on the disk; it is whole in any case."""
    with cache.create() as file:
        file.write(bytes(100))
        for begin in range(100, len(TABLE), 3000):
            file.write(TABLE[begin : begin + 3000])
        file.seek(0)
        file.write(TABLE[:100])
        assert not os.get_inheritable(file.fileno())
        on_disk = file.path is not None
        fd = cache.publish(file, NAME)
    assert os.pread(fd, len(TABLE) + 1, 0) == TABLE
    os.close(fd)
    return on_disk


def read_layer(cache: Cache) -> bool:
    """Whether a copy of it was made; it is read in any case."""
    packed = Packed(Digest.of(BLOB), Compression.ZSTD, lambda o, n: BLOB[o : o + n], len(BLOB))
    data = CopiedData(packed, LENGTH, cache, SpanCache())
    for offset in (0, 500_000, 100_000):
        assert data.read(offset, 10_000) == LAYER[offset : offset + 10_000]
    fd = cache.open(f"{packed.digest.hex}.frames")
    if fd is None:
        return False
    os.close(fd)
    return True


def empty(cache: Cache) -> None:
    """Nothing but published files may be there; remove them."""
    assert cache.directory is not None
    for name in os.listdir(cache.directory):
        assert not name.startswith("."), name
        cache.discard(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
