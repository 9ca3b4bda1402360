"""From the names and inodes of a layer to its table: breadth first, sorted, hard links counted."""

from __future__ import annotations

import itertools
import struct
from array import array
from typing import BinaryIO
from zlib import crc32

import msgpack

from rossfs.errors import InvalidLayer
from rossfs.image.entrytree import INODE, MAX_HEAP, ROOT, TEXT, EntryTree
from rossfs.image.record import HAS_WHITEOUTS, IMPLIED, RECORD_SIZE, WHITEOUT
from rossfs.image.tocformat import HEADER_SIZE, Header, checksum
from rossfs.oci.digest import Digest

_NAME = struct.Struct("=IH")
_REST = struct.Struct("=IIIIII")  # parent, nlink, inode, rare, flags, extra
_DATA = struct.Struct("=Q")
_FLAGS = struct.Struct("=II")  # flags, extra
_INODE = struct.Struct("=I")
_DATA_OFFSET, _INODE_OFFSET, _FLAGS_OFFSET = 32, 48, 56

_NAMES_KEPT = 1 << 16
"""How many names are remembered, to be in the heap once."""


class Records:
    """The records, keys and names of the tree that they are made from, which is used up.

    *lower*: the targets of those inodes that are links to lower layers; *later*: the inodes that
    stand in for some of them.
    """

    def __init__(self, tree: EntryTree, lower: dict[int, bytes], later: dict[int, int]) -> None:
        self.records = bytearray()
        self.keys = array("Q", [0])
        self.implied = array("I")
        self.heap = tree.heap
        self._tree = tree
        self._lower = lower
        self._later = later
        self._waiting: list[tuple[int, int]] = []  # records, and what stands in for them
        self._offsets: dict[bytes, int] = {}
        self._places = array("I")  # of the first record of each inode, where there are hard links
        self._nlinks = array("I")
        if tree.linked:
            self._count_links()
        self._add_directories()
        for index, inode in self._waiting:
            start = RECORD_SIZE * index
            _INODE.pack_into(self.records, start + _INODE_OFFSET, self._places[inode])

    def _count_links(self) -> None:
        self._places.frombytes(bytes(4 * len(self._tree.flags)))
        self._nlinks.frombytes(bytes(4 * len(self._tree.flags)))
        nlinks = self._nlinks
        for names in self._tree.children.values():
            for inode in names.values():
                nlinks[inode] += 1
        for inode, other in self._later.items():
            nlinks[other] += nlinks[inode]
        for inode, other in self._later.items():
            nlinks[inode] = nlinks[other]

    def _add_directories(self) -> None:
        """Make the records, the children of one directory at a time."""
        tree = self._tree
        queue, places = array("I", [ROOT]), array("I", [0])
        self._add(b"", ROOT, 0, 0)
        done = 0
        while done < len(queue):
            directory, place = queue[done], places[done]
            done += 1
            if tree.flags[directory] & IMPLIED:
                self.implied.append(place)
            names = tree.children.pop(directory, None)
            if not names:
                continue
            first = index = len(self.keys)
            keys = []
            seen = 0
            for name in sorted(names):
                inode = names[name]
                if inode in tree.parents:
                    queue.append(inode)
                    places.append(index)
                seen |= self._add(name, inode, index, place)
                keys.append(crc32(name) << 32 | index)
                index += 1
            keys.sort()
            self.keys.extend(keys)
            start = place * RECORD_SIZE
            _DATA.pack_into(self.records, start + _DATA_OFFSET, first)
            flags = tree.flags[directory] | (HAS_WHITEOUTS if seen & WHITEOUT else 0)
            _FLAGS.pack_into(self.records, start + _FLAGS_OFFSET, flags, index - first)

    def _add(self, name: bytes, inode: int, index: int, parent: int) -> int:
        """Add a record; returns its flags."""
        tree = self._tree
        offset = self._offsets.get(name)
        if offset is None:
            offset = self._store(name)
        flags = tree.flags[inode]
        extra = 0
        if flags & TEXT:
            flags &= ~TEXT
            target = self._lower.get(inode)
            extra = tree.size(inode) if target is None else len(target)
        nlink, same = 1, index
        if self._nlinks and self._nlinks[inode] > 1:
            nlink = self._nlinks[inode]
            same = self._places[inode] = self._places[inode] or index
            if inode in self._later:
                self._waiting.append((index, self._later[inode]))
        start = INODE.size * inode
        self.records += (
            _NAME.pack(offset, len(name))
            + tree.inodes[start : start + INODE.size]
            + _REST.pack(parent, nlink, same, tree.rare[inode], flags, extra)
        )
        return flags

    def _store(self, name: bytes) -> int:
        """Put a name into the heap; raises InvalidLayer if there are too many."""
        offset = len(self.heap)
        if offset + len(name) > MAX_HEAP:
            raise InvalidLayer(f"the layer has more than {MAX_HEAP} bytes of names")
        self.heap += name
        if len(self._offsets) >= _NAMES_KEPT:
            self._offsets.clear()
        self._offsets[name] = offset
        return offset


class Table:
    """A table in memory, but for what its header says of the layer."""

    def __init__(self, records: Records, rare: list[bytes], notes: object) -> None:
        starts = array("Q", itertools.accumulate(map(len, rare), initial=0))
        packed = msgpack.packb(notes)
        self._count = len(records.keys)
        self._numbers = len(records.implied), len(rare), len(records.heap), len(packed)
        parts = [
            records.records, records.keys.tobytes(), records.implied.tobytes(),
            starts.tobytes() + b"".join(rare), records.heap, packed,
        ]  # fmt: skip
        self._parts: list[bytes | bytearray] = []
        self._places: list[int] = []
        place = HEADER_SIZE
        for part in parts:
            self._places.append(place)
            padding = -len(part) % 8
            self._parts += [part, bytes(padding)]
            place += len(part) + padding
        self._file_size = place

    def write(self, file: BinaryIO, digest: Digest, diff_id: Digest, length: int) -> None:
        """Write the table of the layer *digest*, *length* bytes long when uncompressed."""
        records, keys, implied, rare, heap, notes = self._places
        implied_count, rare_count, heap_length, notes_length = self._numbers
        header = Header(
            self._count, length, self._file_size, records, keys, implied, implied_count, rare,
            rare_count, heap, heap_length, notes, notes_length, digest, diff_id,
        )  # fmt: skip
        file.write(header.pack(checksum(header.pack(), *self._parts)))
        for part in self._parts:
            file.write(part)
