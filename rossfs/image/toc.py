"""The table of one layer, mapped: every path of its tar, and where the bytes are.

Opening costs a mapping, and the check of the BLAKE3 of the file where it is asked for; nothing is
kept for each record.  The table never changes, so everything here may be used by several threads.
A table that was altered after its check, or opened without one, gives wrong answers or
InvalidTable, but no walk down or up in it is endless: a child's index is above its parent's.

The file must not get shorter while it is mapped: the kernel ends a process that reads past its end
(mmap(2), SIGBUS).
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

import msgpack

from rossfs.errors import InvalidTable
from rossfs.image import rare
from rossfs.image.mapping import map_file
from rossfs.image.rare import Pieces
from rossfs.image.record import LOWER_LINK, RECORD, RECORD_SIZE, SPARSE, XATTRS, Record
from rossfs.image.tocformat import CHECKSUM_OFFSET, HEADER_SIZE, Header, checksum
from rossfs.oci.digest import Digest

if TYPE_CHECKING:
    import mmap

_NAME = struct.Struct("=IH")
_DIRECTORY = struct.Struct("=6xH24xQ20xI")  # mode, data, extra
_PARENT = struct.Struct("=40xI")
_RANGE = struct.Struct("=QQ")
_unpack = RECORD.unpack_from
_new = tuple.__new__


class Toc:
    """A mapped table.  An index that is no record's is IndexError or InvalidTable."""

    __slots__ = ("_header", "_keys", "_view", "buffer", "count", "heap_offset", "implied",
                 "records_offset")  # fmt: skip

    buffer: mmap.mmap
    """The whole file; record *i* is the 64 bytes at `records_offset + 64 * i`."""
    records_offset: int
    heap_offset: int
    count: int
    """How many records there are; the root is 0."""
    implied: Sequence[int]
    """Indices of the directories that no entry of the tar names, those nearer to the root first."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], check: bool = True) -> Toc:
        """Map the table at *path*; see `from_fd`."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls.from_fd(fd, check)
        finally:
            os.close(fd)

    @classmethod
    def from_fd(cls, fd: int, check: bool = True) -> Toc:
        """Map the table that *fd* is open on; *fd* stays the caller's.

        With *check*, all bytes are hashed.  Raises InvalidTable if the table was cut, altered or is
        of another version.
        """
        return cls(fd, check)

    def __init__(self, fd: int, check: bool) -> None:
        size = os.fstat(fd).st_size
        if size < HEADER_SIZE:
            raise InvalidTable(f"a table of a layer was cut: it has {size} bytes")
        self.buffer = map_file(fd, size)
        self._view = memoryview(self.buffer).toreadonly()
        head = self.buffer[:HEADER_SIZE]
        header = self._header = Header.parse(head, size)
        if check and checksum(head, self._view[HEADER_SIZE:]) != head[CHECKSUM_OFFSET:]:
            raise InvalidTable(f"the table of layer {header.digest} was altered")
        self.count = header.record_count
        self.records_offset = header.records
        self.heap_offset = header.heap
        self._keys = self._view[header.keys : header.keys + 8 * header.record_count].cast("Q")
        end = header.implied + 4 * header.implied_count
        self.implied = self._view[header.implied : end].cast("I")

    def close(self) -> None:
        """Unmap the table; what still looks at parts of it keeps it mapped."""
        self._keys.release()
        self._view.release()
        self.implied = ()
        # Pieces that somebody holds are views of the map: it goes with the last of them.
        try:
            self.buffer.close()
        except BufferError:
            return

    def __enter__(self) -> Toc:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def digest(self) -> Digest:
        """The digest of the layer, as it is compressed."""
        return self._header.digest

    @property
    def diff_id(self) -> Digest:
        """The digest of the uncompressed layer."""
        return self._header.diff_id

    @property
    def length(self) -> int:
        """Bytes of the uncompressed layer."""
        return self._header.length

    @property
    def refusals(self) -> list[tuple[bytes, str]]:
        """The first entries that are not shown: path and reason, in the order of the tar."""
        return self._notes()[1]

    @property
    def refused(self) -> int:
        """How many entries are not shown."""
        return self._notes()[0]

    # --- the tree ---

    @property
    def keys(self) -> Sequence[int]:
        """For who looks for one name in many tables: CRC-32 of a name << 32 | index of its record.

        Those of a directory's children are at the indices of the children, in their own order.
        """
        return self._keys

    def find(self, directory: int, name: bytes) -> int:
        """The index of the child *name* of *directory*, -1 if there is none."""
        mode, first, count = self._directory(directory)
        if not count or mode & 0o170000 != stat.S_IFDIR:
            return -1
        wanted = crc32(name)
        end = first + count
        try:
            place = bisect_left(self._keys, wanted << 32, first, end)
            key = self._keys[place] if place < end else -1
        except (IndexError, ValueError, OverflowError):
            raise self._altered() from None
        if key >> 32 != wanted:
            return -1
        index = key & 0xFFFFFFFF
        if directory < index and self.name(index) == name:
            return index
        return self._search(directory, name)

    def _search(self, directory: int, name: bytes) -> int:
        """Find by binary search: two names of the directory have one CRC-32."""
        children = self.children(directory)
        place = bisect_left(children, name, key=self.name)
        if place < len(children) and self.name(children[place]) == name:
            return children[place]
        return -1

    def children(self, directory: int) -> range:
        """The indices of what is in *directory*, sorted by name; empty for what is none."""
        mode, first, count = self._directory(directory)
        if not count or mode & 0o170000 != stat.S_IFDIR:
            return range(0)
        if not directory < first <= first + count <= self.count:
            raise self._altered()
        return range(first, first + count)

    def _directory(self, index: int) -> tuple[int, int, int]:
        try:
            return _DIRECTORY.unpack_from(self.buffer, self.records_offset + RECORD_SIZE * index)
        except struct.error:
            raise self._altered() from None

    def name(self, index: int) -> bytes:
        """The last component of the path; empty for the root."""
        try:
            offset, length = _NAME.unpack_from(
                self.buffer, self.records_offset + RECORD_SIZE * index
            )
        except struct.error:
            raise self._altered() from None
        offset += self.heap_offset
        return self.buffer[offset : offset + length]

    def parent(self, index: int) -> int:
        """The index of the directory; the root is its own parent."""
        try:
            (parent,) = _PARENT.unpack_from(self.buffer, self.records_offset + RECORD_SIZE * index)
        except struct.error:
            raise self._altered() from None
        if parent >= index > 0:
            raise self._altered()
        return parent if index else 0

    def path(self, index: int) -> bytes:
        """The path from the root, without a leading slash; empty for the root."""
        names = []
        while index:
            names.append(self.name(index))
            index = self.parent(index)
        return b"/".join(reversed(names))

    # --- one record ---

    def record(self, index: int) -> Record:
        """All fields of one record."""
        try:
            return _new(Record, _unpack(self.buffer, self.records_offset + RECORD_SIZE * index))
        except struct.error:
            raise self._altered() from None

    def alone(self, index: int) -> Record:
        """What the name *index* is in this layer alone: its record, but of a hard link to a lower
        layer that of the later entry that stands in, if there is one."""
        record = self.record(index)
        return self.record(record.inode) if record.flags & LOWER_LINK else record

    def symlink_text(self, index: int) -> bytes:
        """What readlink(2) answers, in this layer alone; empty for what is no symlink."""
        record = self.alone(index)
        return self._text(record) if stat.S_ISLNK(record.mode) else b""

    def link_target(self, index: int) -> bytes:
        """The cleaned path that a hard link to a lower layer names; empty for everything else."""
        record = self.record(index)
        return self._text(record) if record.flags & LOWER_LINK else b""

    def _text(self, record: Record) -> bytes:
        start = self.heap_offset + record.data
        return self.buffer[start : min(start + record.extra, self._header.notes)]

    def rdev(self, index: int) -> int:
        """The number of a character or block device (os.makedev), in this layer alone; 0 for
        everything else."""
        record = self.alone(index)
        device = stat.S_ISCHR(record.mode) or stat.S_ISBLK(record.mode)
        return record.data if device else 0

    def xattrs(self, index: int) -> Mapping[bytes, bytes]:
        """The extended attributes; most have none."""
        record = self.record(index)
        return rare.xattrs(self._rare(record.rare)) if record.flags & XATTRS else {}

    def sparse(self, index: int) -> Pieces | None:
        """The stored pieces of a sparse file; None for everything else."""
        record = self.record(index)
        return rare.pieces(self._rare(record.rare)) if record.flags & SPARSE else None

    def _rare(self, number: int) -> memoryview:
        header = self._header
        if not 0 < number <= header.rare_count:
            raise self._altered()
        start, end = _RANGE.unpack_from(self.buffer, header.rare + 8 * (number - 1))
        base = header.rare + 8 * (header.rare_count + 1)
        if not start <= end <= header.heap - base or start % 8:
            raise self._altered()
        return self._view[base + start : base + end]

    def _notes(self) -> tuple[int, list[tuple[bytes, str]]]:
        start, length = self._header.notes, self._header.notes_length
        try:
            total, first = msgpack.unpackb(self._view[start : start + length])
            notes = [(path, reason) for path, reason in first]
        except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
            raise self._altered() from None
        sound = all([*map(type, note)] == [bytes, str] for note in notes)
        if not sound or type(total) is not int or total < len(notes):
            raise self._altered()
        return total, notes

    def _altered(self) -> InvalidTable:
        return InvalidTable(f"the table of layer {self.digest} was altered")
