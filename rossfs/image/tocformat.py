"""The file that holds the table of one layer: its parts and their places.

    header      512 bytes: what the table is of, where the parts are, BLAKE3 of all other bytes
    records     64 bytes each (`record`), breadth first: the root is record 0, the children of a
                directory are contiguous and sorted by name, a child comes after its parent
    keys        8 bytes for each record: at the places of a directory's children, in ascending
                order, CRC-32 of a name << 32 | index of the child of that name; 0 for the root
    implied     4 bytes each: indices of implied directories, ascending
    rare        8 bytes for each rare thing and 8 more: offsets from the end of this list, in it;
                then the rare things: xattrs and pieces of sparse files (`rare`)
    heap        texts of symlinks, targets of hard links to lower layers, names
    notes       msgpack: [entries refused in all, [[path, reason], ...] of the first]

Parts begin at multiples of 8.  Integers are in the byte order of the machine: the file is derived
and stays on it; read on one of the other order, `version` is not VERSION.  CRC-32 is no defence:
where a stranger makes names collide, a lookup is a binary search by name.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from blake3 import blake3

from rossfs.errors import InvalidDigest, InvalidTable
from rossfs.image.record import RECORD_SIZE
from rossfs.oci.digest import Digest

MAGIC = b"rossftoc"
VERSION = 2
HEADER_SIZE = 512
CHECKSUM_OFFSET = HEADER_SIZE - 32

_HEADER = struct.Struct("=8sII12Q144s144s80x32s")
assert _HEADER.size == HEADER_SIZE


class Header(NamedTuple):
    """Where the parts of a table are (offsets in the file, lengths in bytes) and what it is of."""

    record_count: int
    length: int  # of the uncompressed layer
    file_size: int
    records: int
    keys: int
    implied: int
    implied_count: int
    rare: int
    rare_count: int
    heap: int
    heap_length: int
    notes: int
    notes_length: int
    digest: Digest
    diff_id: Digest

    def pack(self, checksum: bytes = bytes(32)) -> bytes:
        """Return the 512 bytes with *checksum* at their end."""
        count, *places, digest, diff_id = self
        texts = str(digest).encode(), str(diff_id).encode()
        return _HEADER.pack(MAGIC, VERSION, count, *places, *texts, checksum)

    @classmethod
    def parse(cls, data: bytes, file_size: int) -> Header:
        """Read the header of a file of *file_size* bytes; raises InvalidTable unless all parts lie
        in the file, in order."""
        if len(data) != HEADER_SIZE:
            raise InvalidTable(f"a table of a layer was cut: it has {file_size} bytes")
        magic, version, count, *places, digest, diff_id, _ = _HEADER.unpack(data)
        if magic != MAGIC:
            raise InvalidTable("no table of a layer: it begins with other bytes")
        if version != VERSION:
            raise InvalidTable(f"a table of a layer has version {version}, not {VERSION}")
        try:
            names = Digest.parse(digest.rstrip(b"\0")), Digest.parse(diff_id.rstrip(b"\0"))
        except InvalidDigest as error:
            raise InvalidTable(f"a table of a layer was altered: {error}") from None
        header = cls._make((count, *places, *names))
        if header.file_size != file_size:
            raise InvalidTable(
                f"a table of a layer was cut: it has {file_size} bytes, not {header.file_size}"
            )
        if not header._fits():
            raise InvalidTable("a table of a layer was altered: its parts do not fit into it")
        return header

    def _fits(self) -> bool:
        """Whether there is a root, and each part ends where or before the next begins."""
        ends = [
            (HEADER_SIZE, self.records),
            (self.records + RECORD_SIZE * self.record_count, self.keys),
            (self.keys + 8 * self.record_count, self.implied),
            (self.implied + 4 * self.implied_count, self.rare),
            (self.rare + 8 * (self.rare_count + 1), self.heap),
            (self.heap + self.heap_length, self.notes),
            (self.notes + self.notes_length, self.file_size),
        ]
        aligned = not (self.keys | self.implied | self.rare) % 8
        return self.record_count > 0 and aligned and all(end <= start for end, start in ends)


def checksum(header: bytes, *parts: bytes | bytearray | memoryview) -> bytes:
    """BLAKE3 of a header without its checksum and of all that follows it."""
    hasher = blake3(header[:CHECKSUM_OFFSET])
    for part in parts:
        hasher.update(part)
    return hasher.digest()
