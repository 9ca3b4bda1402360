"""The tar-split data of layers, compressed with gzip as containers/storage keeps them: made when
they are first asked for, kept in cache/ from then on.

They belong to a layer in its place over others, because only what is there in overlay form can be
left out (tarsplit.py), and are named by the ID that the layer has in containers/storage: the diff
ID of the lowest layer, else the SHA-256 of the ID of the layer below, "+" and the diff ID.

    <layer ID>.tarsplit     gzip, then 8 bytes MAGIC, then BLAKE3 of all before it
"""

from __future__ import annotations

import os
import threading
import zlib
from typing import BinaryIO

from blake3 import blake3

from rossfs.image.cache import Cache
from rossfs.image.layer import Layer
from rossfs.image.rootfs import Rootfs
from rossfs.image.tarsplit import TarSplitWriter

MAGIC = b"rosssplt"

_KIND = "tarsplit"
_TRAILER = len(MAGIC) + 32
_CHUNK = 1 << 20
_LEVEL = 6
_GZIP = 31
"""wbits of zlib for gzip."""


class TarSplit:
    """Tar-split data of one layer; thread safe.  Closed when nobody refers to it."""

    __slots__ = ("_fd", "size")

    def __init__(self, fd: int) -> None:
        """Take over *fd*, of a file of the cache."""
        self._fd = fd
        self.size = os.fstat(fd).st_size - _TRAILER
        """Bytes, compressed."""

    def __del__(self) -> None:
        os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """A range of the compressed data; fewer bytes than *length* only at the end."""
        return os.pread(self._fd, max(0, min(length, self.size - offset)), offset)

    def is_sound(self) -> bool:
        """Whether the file is what was written."""
        hasher = blake3()
        end = self.size + len(MAGIC)
        at = 0
        while at < end:
            data = os.pread(self._fd, min(_CHUNK, end - at), at)
            if not data:
                return False
            hasher.update(data)
            at += len(data)
        trailer = os.pread(self._fd, _TRAILER, max(0, self.size))
        return self.size >= 0 and trailer == MAGIC + hasher.digest()


class TarSplits:
    """Makes and finds them.  Thread safe; one is made at a time."""

    __slots__ = ("_cache", "_making")

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._making = threading.Lock()

    def open(self, layer_id: str, rootfs: Rootfs, position: int, layer: Layer) -> TarSplit:
        """The data of the layer that has the ID *layer_id* (64 hex digits), *layer*, which is at
        *position* (0 is the lowest) of *rootfs*.

        May take as long as the layer is large.  InvalidLayer, BlobNotFound, Damaged; CacheFull if
        there is no room for it at all.
        """
        name = f"{layer_id}.{_KIND}"
        with self._making:
            found = self._found(name)
            return found if found is not None else self._made(name, rootfs, position, layer)

    def _found(self, name: str) -> TarSplit | None:
        fd = self._cache.open(name)
        if fd is None:
            return None
        found = TarSplit(fd)
        if found.is_sound():
            return found
        self._cache.discard(name)
        return None

    def _made(self, name: str, rootfs: Rootfs, position: int, layer: Layer) -> TarSplit:
        with self._cache.create() as file:
            packed = _Gzip(file)
            writer = TarSplitWriter(rootfs.stack.trees[position], packed.write)
            for offset in range(0, layer.toc.length, _CHUNK):
                writer.feed(layer.read_tar(offset, _CHUNK))
            writer.finish()
            packed.finish()
            return TarSplit(self._cache.publish(file, name))


class _Gzip:
    """Compresses what is written, in pieces that are worth a system call."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._hasher = blake3()
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        self._pending += self._packer.compress(data)
        if len(self._pending) >= _CHUNK:
            self._put()

    def finish(self) -> None:
        self._pending += self._packer.flush() + MAGIC
        self._hasher.update(self._pending)
        self._file.write(self._pending + self._hasher.digest())
        self._pending.clear()

    def _put(self) -> None:
        self._hasher.update(self._pending)
        self._file.write(self._pending)
        self._pending.clear()
