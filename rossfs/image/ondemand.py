"""A file that is computed: parts in a row, each made of bytes, of a stored content, or of a layer
uncompressed.

Its size is known before anything of it is read, every offset is as near as the first, and nothing
of it is kept anywhere.  The parts alone decide its bytes, so the same parts are the same file.
Bytes of the store are those of their digest, or reading them is an error.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from enum import IntEnum
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple, Protocol

from rossfs.errors import Damaged
from rossfs.image.blobdata import BlobBytes
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.image.leases import Lease
from rossfs.oci.digest import Digest

_OPENED = 4
"""Parts of one open file that stay opened: most programs read forwards."""


class Kind(IntEnum):
    """What the bytes of a stored part are."""

    BLOB = 1
    DOCUMENT = 2
    """A manifest or index."""
    LAYER = 3
    """The tar of a layer, whatever the compression of its blob."""


class Stored(NamedTuple):
    """A part whose bytes come from the store."""

    kind: Kind
    digest: Digest
    """Of the content in the store: of a layer that of the blob."""
    size: int
    """Bytes of the part: of a layer those of the tar."""


Part = bytes | Stored


class Recipe:
    """What a computed file consists of."""

    __slots__ = ("_starts", "fingerprint", "parts", "size")

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = tuple(_merged(parts))
        *starts, self.size = accumulate(map(_size, self.parts), initial=0)
        self._starts = starts
        hasher = blake2b(digest_size=16)
        for part in self.parts:
            if isinstance(part, bytes):
                hasher.update(b"%d bytes " % len(part) + part)
            else:
                hasher.update(f"{part.kind} {part.digest} {part.size} ".encode())
        self.fingerprint = hasher.digest()
        """Two recipes with the same one make the same bytes."""

    def ranges(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """The pieces of a range, in order: (number of the part, offset in it, count)."""
        end = min(offset + length, self.size)
        number = bisect_right(self._starts, offset) - 1
        while offset < end:
            start = self._starts[number]
            stop = min(end, start + _size(self.parts[number]))
            yield number, offset - start, stop - offset
            offset = stop
            number += 1


def _size(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.size


def _merged(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts without those that are empty, and bytes that follow each other as one."""
    pending: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            pending.append(part)
        elif part.size:
            if joined := b"".join(pending):
                yield joined
            pending.clear()
            yield part
    if joined := b"".join(pending):
        yield joined


class OnDemand:
    """An open computed file.  Thread safe; closed when nobody refers to it."""

    __slots__ = ("_layers", "_lock", "_opened", "recipe")

    def __init__(self, recipe: Recipe, layers: Layers) -> None:
        self.recipe = recipe
        self._layers = layers
        self._opened: OrderedDict[int, _Source] = OrderedDict()
        self._lock = threading.Lock()

    def prepared(self, offset: int, length: int) -> bool:
        """Whether reading this range takes as long as its length only, and not as what `prepare`
        does."""
        return all(source.prepared for source, _, _ in self._sources(offset, length))

    def prepare(self, offset: int, length: int) -> None:
        """Do what may take as long as the parts of this range are large: hashing, making tables.
        Errors as `read`."""
        for source, _, _ in self._sources(offset, length):
            source.prepare()

    def read(self, offset: int, length: int) -> bytes:
        """Return a range; fewer bytes than *length* only at the end.

        BlobNotFound, ManifestNotFound; Damaged, InvalidLayer if stored bytes are wrong; CacheFull.
        """
        pieces = [
            _whole(source.read(at, count), at, count, source)
            for source, at, count in self._sources(offset, length)
        ]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_ready(self, offset: int, length: int, buffer: memoryview) -> memoryview | None:
        """As `read`, if it needs no wait for the disk and little decoding; else None.

        What is returned is in *buffer*, and valid until that is used again.
        """
        length = max(0, min(length, self.recipe.size - offset))
        if length > len(buffer):
            return None
        begin = 0
        for source, at, count in self._sources(offset, length):
            end = begin + count
            if not source.fill_ready(buffer[begin:end], at):
                return None
            begin = end
        return buffer[:begin]

    def _sources(self, offset: int, length: int) -> Iterator[tuple[_Source, int, int]]:
        for number, at, count in self.recipe.ranges(offset, length):
            yield self._source(number), at, count

    def _source(self, number: int) -> _Source:
        part = self.recipe.parts[number]
        if isinstance(part, bytes):
            return _Plain(part)
        with self._lock:
            source = self._opened.get(number)
            if source is None:
                source = self._opened[number] = _open(part, self._layers)
                if len(self._opened) > _OPENED:
                    # Who reads it at this moment still has it.
                    self._opened.popitem(last=False)
            else:
                self._opened.move_to_end(number)
            return source


def _whole(data: bytes, at: int, count: int, source: _Source) -> bytes:
    if len(data) != count:
        raise Damaged(f"{source.name} ends at byte {at + len(data)}, before byte {at + count}")
    return data


class _Source(Protocol):
    """Where the bytes of one part come from.  Made without waiting; thread safe."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def prepared(self) -> bool:
        """Whether `prepare` was done."""

    def prepare(self) -> None:
        """Do what the first read needs and may take long."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range that lies in the part."""

    def fill_ready(self, view: memoryview, offset: int) -> bool:
        """Fill *view* with the bytes at *offset*, if that does not wait; False: it would."""


def _open(part: Stored, layers: Layers) -> _Source:
    if part.kind is Kind.BLOB:
        return _Blob(part, layers)
    if part.kind is Kind.DOCUMENT:
        return _Document(part, layers)
    return _Tar(part, layers)


class _Plain:
    __slots__ = ("_data",)

    name = "the archive"
    prepared = True

    def __init__(self, data: bytes) -> None:
        self._data = data

    def prepare(self) -> None:
        """There is nothing to do."""

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def fill_ready(self, view: memoryview, offset: int) -> bool:
        view[:] = self._data[offset : offset + len(view)]
        return True


class _Blob:
    __slots__ = ("_blob", "_size", "name", "prepared")

    def __init__(self, part: Stored, layers: Layers) -> None:
        self.name = str(part.digest)
        self.prepared = False
        self._size = part.size
        self._blob = BlobBytes(layers.store.contents, part.digest)

    def prepare(self) -> None:
        if self._blob.size != self._size:
            raise Damaged(f"{self.name} has {self._blob.size} bytes, not {self._size}")
        self.prepared = True

    def read(self, offset: int, length: int) -> bytes:
        return self._blob.read(offset, length)

    def fill_ready(self, view: memoryview, offset: int) -> bool:
        return self.prepared and self._blob.fill_ready(view, offset)


class _Document:
    """Read whole: a manifest has at most 4 MiB, and the store hashes it each time."""

    __slots__ = ("_data", "_part", "_store", "name")

    def __init__(self, part: Stored, layers: Layers) -> None:
        self.name = str(part.digest)
        self._part = part
        self._store = layers.store
        self._data: bytes | None = None

    @property
    def prepared(self) -> bool:
        return self._data is not None

    def prepare(self) -> None:
        self._bytes()

    def read(self, offset: int, length: int) -> bytes:
        return self._bytes()[offset : offset + length]

    def fill_ready(self, view: memoryview, offset: int) -> bool:
        data = self._data
        if data is None:
            return False
        view[:] = data[offset : offset + len(view)]
        return True

    def _bytes(self) -> bytes:
        data = self._data
        if data is None:
            data, _ = self._store.get_manifest(self._part.digest)
            self._data = data
        return data


class _Tar:
    __slots__ = ("_layer", "_layers", "_lease", "_part", "name")

    def __init__(self, part: Stored, layers: Layers) -> None:
        self.name = f"layer {part.digest}"
        self._part = part
        self._layers = layers
        self._layer: Layer | None = None
        self._lease: Lease | None = None

    @property
    def prepared(self) -> bool:
        return self._layer is not None and self._layer.prepared

    def prepare(self) -> None:
        self._opened().prepare()

    def read(self, offset: int, length: int) -> bytes:
        return self._opened().read_tar(offset, length)

    def fill_ready(self, view: memoryview, offset: int) -> bool:
        layer = self._layer
        data = None if layer is None else layer.read_tar_ready(offset, len(view))
        if data is None or len(data) != len(view):
            return False
        view[:] = data
        return True

    def _opened(self) -> Layer:
        layer = self._layer
        if layer is None:
            layer = self._layers.open(self._part.digest)
            if layer.toc.length != self._part.size:
                raise Damaged(f"{self.name} has {layer.toc.length} bytes, not {self._part.size}")
            self._lease = layer.leases.current
            self._layer = layer
        return layer
