"""Headers that say more of the entry after them: PAX (x, g) and GNU long names and links (L, K).

Where two say the same, it goes as in Go's archive/tar: a long name before a PAX record, a PAX
record before the header, the last PAX header before those in front of it; a record without a value
counts as none.
"""

from __future__ import annotations

from rossfs.image import pax, sparse
from rossfs.image.tarheader import text

FLAGS = frozenset((b"x", b"X", b"g", b"L", b"K"))  # X: x as Solaris wrote it

_PAX_LIMIT = 1 << 24
_NAME_LIMIT = 1 << 20


class Extensions:
    """What such headers said so far that still counts."""

    def __init__(self) -> None:
        self.present = False
        """Whether `apply` could change anything."""
        self._global: pax.Records = {}
        self._records: pax.Records | None = None
        self._long_name: bytes | None = None
        self._long_link: bytes | None = None

    @staticmethod
    def limit(flag: bytes) -> int:
        """Return how many bytes such a header may have.  Extended attributes may be large."""
        return _NAME_LIMIT if flag in (b"L", b"K") else _PAX_LIMIT

    def take(self, flag: bytes, body: bytes) -> None:
        """Take the body of a header; ValueError, with the reason, if it cannot be read."""
        if flag == b"L":
            self._long_name = text(body)
        elif flag == b"K":
            self._long_link = text(body)
        elif flag == b"g":
            records = pax.parse(body)
            self._global |= {key: records[key] for key in pax.GLOBAL if key in records}
        else:
            self._records = pax.parse(body)
        self.present = True

    def apply(self, path: bytes, link: bytes) -> tuple[bytes, bytes, pax.Records]:
        """Return name, link and records of the entry whose header has *path* and *link*, and forget
        what was said of that entry only."""
        records = self._global | (self._records or {})
        path = sparse.name(records) or self._long_name or records.get(pax.PATH) or path
        link = self._long_link or records.get(pax.LINKPATH) or link
        self._records = self._long_name = self._long_link = None
        self.present = bool(self._global)
        return path, link, records

    def are_pending(self) -> bool:
        """Whether an entry must follow."""
        return (self._records, self._long_name, self._long_link) != (None, None, None)
