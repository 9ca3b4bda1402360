"""Reading the headers of a tar archive, forwards only, so that a pipe will do.

For the archives that images travel in: ustar, PAX (path, linkpath, size) and GNU long names, sizes
in base 256.  Nothing is ever extracted, and nothing that the archive says makes this reader keep
more than a few MiB.  Formats: pax(1), "pax Interchange Format"; tar(5), FreeBSD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from rossfs.errors import InvalidSource
from rossfs.oci.quotation import quote

BLOCK = 512
CHUNK = 1 << 20

_EXTENSION_LIMIT = 1 << 20  # a PAX header or long name; names of paths end at 4,096 anyway
_SIZE_LIMIT = 1 << 62
_ZEROS = bytes(BLOCK)
_KEPT = ("path", "linkpath", "size")
_SPARSE = "GNU.sparse."


class Kind(Enum):
    """What an entry of an archive is, as far as images need it."""

    FILE = "file"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    OTHER = "other"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
}


class Entry(NamedTuple):
    """One entry.  Names are as the archive has them, bytes outside UTF-8 as surrogates."""

    name: str
    kind: Kind
    size: int
    """Bytes of content that follow; 0 for links."""
    target: str
    """Of a link."""
    offset: int
    """Where the content begins, in bytes from the beginning of the archive."""


class TarReader:
    """The entries of one archive, in order.

    *read* returns up to that many bytes, fewer only at the end.  *skip* passes over bytes without
    giving them; without it they are read.  Between two entries the content of the first can be read
    with `chunks`; what is left of it is skipped.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        source: str,
        skip: Callable[[int], None] | None = None,
    ) -> None:
        self._read = read
        self._source = source
        self._skip = skip
        self._offset = 0
        self._left = 0  # bytes of the entry's content that were not read yet
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        """Give each entry; raises InvalidSource for what is no tar archive or a damaged one."""
        extended: dict[str, str] = {}
        while (header := self._next_header()) is not None:
            kind, size = header[156:157], self._number(header[124:136])
            if kind in (b"x", b"L", b"K", b"g"):
                body = self._extension(size)
                if kind == b"x":
                    # Only what is asked for: any number of headers may come before an entry.
                    for key, value in self._records(body):
                        if key in _KEPT:
                            extended[key] = value
                        elif key.startswith(_SPARSE):
                            extended[_SPARSE] = ""
                elif kind != b"g":
                    extended["path" if kind == b"L" else "linkpath"] = _text(body)
                continue
            yield self._entry(header, kind, size, extended)
            extended = {}

    def chunks(self) -> Iterator[bytes]:
        """Give the content of the current entry in pieces of at most 1 MiB."""
        while self._left:
            data = self._exactly(min(self._left, CHUNK))
            self._left -= len(data)
            yield data

    def drain(self) -> None:
        """Read what follows the archive's end, so that whoever writes the pipe is not cut off."""
        while self._read(CHUNK):
            pass

    def _entry(self, header: bytes, kind: bytes, size: int, extended: dict[str, str]) -> Entry:
        name = _text(header[:100])
        if header[257:263] == b"ustar\0" and (prefix := _text(header[345:500])):
            name = f"{prefix}/{name}"
        name = extended.get("path", name)
        target = extended.get("linkpath", _text(header[157:257]))
        if "size" in extended:
            size = self._decimal(extended["size"])
        which = _KINDS.get(kind, Kind.OTHER)
        if which is Kind.FILE and (name.endswith("/") or _SPARSE in extended):
            which = Kind.OTHER
        # tar(5): links have no content, whatever their size field says; pax allows it for hard
        # links, and then nobody writes it.
        if which in (Kind.SYMLINK, Kind.HARDLINK) or kind in (b"3", b"4", b"5", b"6"):
            size = 0
        self._left, self._padding = size, -size % BLOCK
        return Entry(name, which, size, target, self._offset)

    def _next_header(self) -> bytes | None:
        self._pass_content()
        header = self._read(BLOCK)
        # Some writers leave the two blocks of zeros at the end out.
        if not header or header == _ZEROS:
            return None
        if len(header) < BLOCK:
            raise InvalidSource(
                self._truncated()
                if self._offset
                else f"{self._source} is no tar archive, or truncated: it has {len(header)} bytes"
            )
        stated = self._number(header[148:156])
        if stated != sum(header) - sum(header[148:156]) + 8 * 0x20:
            where = f" at byte {self._offset}" if self._offset else ""
            raise InvalidSource(f"{self._source} is no tar archive, or a damaged one{where}")
        self._offset += BLOCK
        return header

    def _pass_content(self) -> None:
        """Go on to where the next header is."""
        if self._skip is None:
            while self._left:
                self._left -= len(self._exactly(min(self._left, CHUNK)))
        else:
            self._skip(self._left)
            self._offset += self._left
        # The last entry may lack its padding.
        self._offset += len(self._read(self._padding)) if self._padding else 0
        self._left = self._padding = 0

    def _extension(self, size: int) -> bytes:
        if size > _EXTENSION_LIMIT:
            raise InvalidSource(f"{self._source} has a header of {size} bytes")
        body = self._exactly(size)
        self._padding = -size % BLOCK
        return body

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        self._offset += len(data)
        if len(data) < size:
            raise InvalidSource(self._truncated())
        return data

    def _truncated(self) -> str:
        return f"{self._source} is truncated: it ends after {self._offset} bytes"

    def _records(self, body: bytes) -> Iterator[tuple[str, str]]:
        """The records `length key=value\\n` of a PAX header."""
        position = 0
        while position < len(body):
            digits, space, _ = body[position : position + 20].partition(b" ")
            length = int(digits) if space and digits.isdigit() else 0
            record = body[position + len(digits) + 1 : position + length]
            key, equals, value = record.partition(b"=")
            if position + length > len(body) or not equals or not record.endswith(b"\n"):
                raise InvalidSource(f"{self._source} has a PAX header that cannot be read")
            yield _text(key), value[:-1].decode("utf-8", "surrogateescape")
            position += length

    def _number(self, field: bytes) -> int:
        """An octal number, or one in base 256 if the first bit is set."""
        if field[0] == 0x80:
            number = int.from_bytes(field[1:], "big")
        else:
            digits = field.strip(b" \0")
            try:
                number = int(digits, 8) if digits else 0
            except ValueError:
                number = -1
        if not 0 <= number < _SIZE_LIMIT:
            raise InvalidSource(f"{self._source} is no tar archive, or a damaged one")
        return number

    def _decimal(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > 19:
            raise InvalidSource(f"{self._source} has an entry of {quote(text)} bytes")
        return int(text)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
