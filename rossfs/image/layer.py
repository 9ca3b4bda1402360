"""One layer, opened: its table of contents, and the bytes of its files.

Bytes come from the blob, by way of whatever its compression needs for random access; they are never
those of a damaged blob or table.  Nothing but the table is open before file data is asked for.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from rossfs.errors import Damaged
from rossfs.image.layerdata import LayerData
from rossfs.image.record import SPARSE, Record
from rossfs.image.toc import Toc
from rossfs.oci.digest import Digest, hasher_for
from rossfs.store.hashing import BUFFER


class Layer:
    """An opened layer.  Thread safe, but for `close`; also closed when nobody refers to it."""

    __slots__ = ("__weakref__", "_data", "digest", "leases", "size", "toc")

    def __init__(self, digest: Digest, size: int, toc: Toc, data: LayerData) -> None:
        self.digest = digest
        self.size = size
        """Bytes of the blob."""
        self.toc = toc
        self._data = data
        self.leases = data.leases
        """For who has files of it open: they stay readable when the blob is deleted."""

    @property
    def diff_id(self) -> Digest:
        """The SHA-256 of the uncompressed layer."""
        return self.toc.diff_id

    @property
    def refusals(self) -> Sequence[tuple[bytes, str]]:
        """Entries of the tar that are not shown, and why; the first hundred."""
        return self.toc.refusals

    def read(self, index: int, offset: int, length: int) -> bytes:
        """Return bytes of the regular file that is record *index*; fewer than *length* only at its
        end.

        BlobNotFound; Damaged, InvalidLayer if the blob is wrong.  May wait for the disk, and decode
        up to a MiB more than it returns.  ValueError for what is no regular file.
        """
        record, length = self._range(index, offset, length)
        if not length:
            return b""
        if not record.flags & SPARSE:
            return self._stored(record.data + offset, length)
        return b"".join(
            bytes(count) if at < 0 else self._stored(record.data + at, count)
            for at, count in self._parts(index, offset, length)
        )

    def read_ready(self, index: int, offset: int, length: int) -> bytes | memoryview | None:
        """As `read`, if it needs no wait for the disk and at most 128 KiB of decoding; else
        None."""
        record, length = self._range(index, offset, length)
        if not length:
            return b""
        if not record.flags & SPARSE:
            return self._data.read_ready(record.data + offset, length)
        ready: list[bytes | memoryview] = []
        for at, count in self._parts(index, offset, length):
            part = bytes(count) if at < 0 else self._data.read_ready(record.data + at, count)
            if part is None:
                return None
            ready.append(part)
        return b"".join(ready)

    def read_tar(self, offset: int, length: int) -> bytes:
        """Return bytes of the uncompressed layer as it is; fewer than *length* only at its end.

        Errors as `read`.
        """
        return self._stored(offset, max(0, min(length, self.toc.length - offset)))

    def read_tar_ready(self, offset: int, length: int) -> bytes | memoryview | None:
        """As `read_tar`, if it needs no wait for the disk and at most 128 KiB of decoding; else
        None."""
        return self._data.read_ready(offset, max(0, min(length, self.toc.length - offset)))

    @property
    def prepared(self) -> bool:
        """Whether `prepare` was done: only then a read takes no longer than its length needs."""
        return self._data.prepared

    def prepare(self) -> None:
        """Do what the first read needs and may take as long as the layer is large: hashing the
        blob, making what is missing in the cache.  Errors as `read`."""
        self._data.prepare()

    def hash(self, algorithm: str) -> Digest:
        """The digest of the uncompressed layer; reads all of it."""
        hasher = hasher_for(algorithm)
        for offset in range(0, self.toc.length, BUFFER):
            hasher.update(self._stored(offset, min(BUFFER, self.toc.length - offset)))
        return Digest(algorithm, hasher.hexdigest())

    def close(self) -> None:
        """Let go of everything.  Nobody may use the layer any more."""
        self._data.close()
        self.toc.close()

    def _range(self, index: int, offset: int, length: int) -> tuple[Record, int]:
        record = self.toc.record(index)
        if not stat.S_ISREG(record.mode):
            raise ValueError(f"record {index} of layer {self.digest} is no regular file")
        return record, max(0, min(length, record.size - offset))

    def _stored(self, offset: int, length: int) -> bytes:
        data = self._data.read(offset, length)
        if len(data) != length:
            raise Damaged(
                f"layer {self.digest} ends at byte {offset + len(data)}, before byte "
                f"{offset + length} that its table names"
            )
        return data

    def _parts(self, index: int, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """The parts of a range of a sparse file, in order: (offset among the stored bytes, or -1
        for a hole; count)."""
        end = offset + length
        pieces = self.toc.sparse(index)
        if pieces is not None:
            for number in range(pieces.first(offset), len(pieces)):
                begin, count = pieces[number]
                if begin >= end:
                    break
                if begin > offset:
                    yield -1, begin - offset
                    offset = begin
                stop = min(begin + count, end)
                yield pieces.position(number) + offset - begin, stop - offset
                offset = stop
        if offset < end:
            yield -1, end - offset
