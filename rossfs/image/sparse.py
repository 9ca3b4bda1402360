"""Sparse maps: which parts of a file an archive stores, in each of the four forms of GNU tar.

    old GNU    offsets and lengths in the header block (type S) and in blocks that follow it
    PAX 0.0    a pair of records for each piece; `pax.parse` makes it 0.1
    PAX 0.1    one record with all numbers
    PAX 1.0    decimal lines at the head of the file's content, padded to a block

The stored pieces follow each other without gaps.  A map is right if its pieces are in order, do not
overlap, end inside the file and are together as long as what is stored; any other is refused, since
nobody could say what the file holds.  Source: GNU tar manual, "Storing Sparse Files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rossfs.image import pax
from rossfs.image.tarheader import BLOCK, number

PIECE_LIMIT = 1 << 20
"""Pieces of one file: about 130 MB while they are read."""

SIZE_LIMIT = 1 << 63

_MAJOR, _MINOR = b"GNU.sparse.major", b"GNU.sparse.minor"
_NAME = b"GNU.sparse.name"
_SIZES = (b"GNU.sparse.realsize", b"GNU.sparse.size")
_MARKS = frozenset((_MAJOR, pax.SPARSE_MAP, *_SIZES))
_LINE_LIMIT = 19  # digits
_NUMBER = re.compile(rb"([0-9]{1,19})(?:,(?=.)|\Z)", re.DOTALL)


class SparseMap:
    """The pieces of one file, checked as they come.

    A map that is wrong is remembered as that; `pieces` says so at the end, when it is known where
    the archive goes on.
    """

    counted = 0
    """How many bytes of each block of the map count as content of the entry."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of the file as it is read, with its holes."""
        self.complete = True
        """Whether no block with more of the map follows."""
        self._pieces: list[tuple[int, int]] = []
        self._count = self._end = self._stored = 0
        self._error = ""

    def add(self, block: bytes) -> None:
        """Take the next block of a map that is not complete."""

    def pieces(self, stored: int) -> tuple[tuple[int, int], ...]:
        """Return (offset, length) of all pieces that are not empty; ValueError, with the reason, if
        the map is wrong.  *stored* is how many bytes the archive has of the file."""
        if not self._error and self._stored != stored:
            self._error = "has a sparse map that is not that of its content"
        if self._error:
            raise ValueError(self._error)
        return tuple(self._pieces)

    def _set_size(self, size: int) -> None:
        if not 0 <= size < SIZE_LIMIT:
            raise ValueError("is a sparse file of no possible size")
        self.size = size

    def _add_piece(self, offset: int, length: int) -> None:
        self._count += 1
        if self._count > PIECE_LIMIT:
            raise ValueError(f"is a sparse file of more than {PIECE_LIMIT} pieces")
        if offset < self._end or length < 0 or offset + length > self.size:
            raise ValueError("has a sparse map whose pieces overlap or lie past its end")
        self._end = offset + length
        if length:  # writers put an empty one at the end
            self._pieces.append((offset, length))
            self._stored += length

    def _fail(self, error: ValueError) -> None:
        self._error = str(error)
        self._pieces.clear()


class OldMap(SparseMap):
    """The form of old GNU: offsets and lengths in the header, and in blocks that follow it."""

    def __init__(self, header: bytes) -> None:
        super().__init__()
        try:
            self._set_size(number(header[483:495]))
        except ValueError as error:
            self._fail(error)
        self._add_fields(header[386:482])
        self.complete = not header[482]

    def add(self, block: bytes) -> None:
        self._add_fields(block[:504])
        self.complete = not block[504]

    def _add_fields(self, fields: bytes) -> None:
        if self._error:
            return
        try:
            for at in range(0, len(fields), 24):
                if not fields[at]:  # GNU and BSD tar end there, too
                    break
                self._add_piece(number(fields[at : at + 12]), number(fields[at + 12 : at + 24]))
        except ValueError as error:
            self._fail(error)


class RecordMap(SparseMap):
    """The forms PAX 0.0 and 0.1: all numbers in one record."""

    def __init__(self, records: pax.Records) -> None:
        super().__init__()
        try:
            if records.get(_MAJOR, b"0") != b"0":
                raise ValueError("is a sparse file of an unknown format")
            self._set_size(_real_size(records))
            numbers = _numbers(records.get(pax.SPARSE_MAP, b""))
            for offset in numbers:
                self._add_piece(offset, next(numbers, -1))  # refused: the last number is missing
        except ValueError as error:
            self._fail(error)


class ContentMap(SparseMap):
    """The form PAX 1.0: the number of pieces, then offset and length of each, a line each, at the
    head of the content."""

    counted = BLOCK

    def __init__(self, records: pax.Records) -> None:
        super().__init__()
        self.complete = False
        self._left = -1  # numbers that are still to come, -1: how many is the first of them
        self._rest = b""
        self._offset = 0
        try:
            self._set_size(_real_size(records))
        except ValueError as error:
            self._fail(error)

    def add(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        try:
            for line in lines:
                if not self._left:
                    break
                self._add_number(pax.decimal(line))
            if self._left and len(self._rest) > _LINE_LIMIT:
                raise ValueError("has a sparse map that cannot be read")
        except ValueError as error:
            self._fail(error)
        self.complete = not self._left or bool(self._error)

    def pieces(self, stored: int) -> tuple[tuple[int, int], ...]:
        if not self.complete:
            self._error = "has a sparse map that is cut"
        return super().pieces(stored)

    def _add_number(self, value: int) -> None:
        if self._left < 0:
            if not 0 <= value <= PIECE_LIMIT:
                raise ValueError(f"is a sparse file of {value} pieces")
            self._left = 2 * value
            return
        if self._left % 2 == 0:
            self._offset = value
        else:
            self._add_piece(self._offset, value)
        self._left -= 1


def name(records: pax.Records) -> bytes:
    """Return the name of a sparse file, b"" if the records do not have it: `path` is an invented
    one, for readers that know nothing of sparse files."""
    return records.get(_NAME, b"")


def pax_map(records: pax.Records) -> SparseMap | None:
    """Return the map that the records give or announce; None if the file is not sparse."""
    if records.keys().isdisjoint(_MARKS):
        return None
    if records.get(_MAJOR) == b"1" and records.get(_MINOR) == b"0":
        return ContentMap(records)
    return RecordMap(records)


def _real_size(records: pax.Records) -> int:
    for key in _SIZES:
        if key in records:
            return pax.decimal(records[key])
    raise ValueError("is a sparse file without a size")


def _numbers(text: bytes) -> Iterator[int]:
    """The numbers between the commas; ValueError if there is anything else."""
    position = 0
    while position < len(text):
        match = _NUMBER.match(text, position)
        if match is None:
            raise ValueError("has a sparse map that cannot be read")
        yield int(match[1])
        position = match.end()
