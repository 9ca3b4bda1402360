"""The files of a tar archive on disk, each where it lies.

The headers are read once; contents only when they are asked for, so that what the store has already
is never read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from rossfs.errors import InvalidSource
from rossfs.image.files import clean, follow, link_target
from rossfs.image.tarstream import CHUNK, Entry, Kind, TarReader
from rossfs.oci.digest import Digest

ENTRY_LIMIT = 200_000
"""Entries of an archive; an image has a handful for each layer."""


class _Place(NamedTuple):
    offset: int
    size: int


class ArchiveFiles:
    """Files of an uncompressed archive that can be read anywhere."""

    def __init__(self, path: str, fd: int) -> None:
        """Take over *fd*, the open archive; InvalidSource if its headers cannot be read."""
        self.name = path
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._position = 0
        self._places: dict[str, _Place] = {}
        self._links: dict[str, str | None] = {}
        for number, entry in enumerate(TarReader(self._read, path, self._skip)):
            if number >= ENTRY_LIMIT:
                raise InvalidSource(f"{path} has more than {ENTRY_LIMIT} entries: no image archive")
            self._note(entry)

    def size(self, path: str) -> int | None:
        """See Files.size."""
        place = self._find(path)
        return None if place is None else place.size

    def chunks(self, path: str) -> Iterator[bytes]:
        """See Files.chunks."""
        place = self._find(path)
        assert place is not None, "size() comes first"
        offset, end = place.offset, place.offset + place.size
        while offset < end:
            data = os.pread(self._fd, min(CHUNK, end - offset), offset)
            if not data:
                raise InvalidSource(f"{self.name} became shorter while it was read")
            offset += len(data)
            yield data

    def stored(self, path: str) -> Digest | None:
        """See Files.stored: nothing is, before it is asked for."""
        return None

    def close(self) -> None:
        """Close the archive."""
        os.close(self._fd)

    def _find(self, path: str) -> _Place | None:
        return self._places.get(follow(clean(path, self.name), self._links, self.name))

    def _note(self, entry: Entry) -> None:
        name = clean(entry.name, self.name)
        # A path may come twice; the last one counts.
        self._places.pop(name, None)
        self._links.pop(name, None)
        if entry.kind is Kind.FILE:
            if entry.offset + entry.size > self._size:
                raise InvalidSource(f"{self.name} is truncated: it ends inside {name}")
            self._places[name] = _Place(entry.offset, entry.size)
        elif entry.kind is Kind.SYMLINK:
            self._links[name] = link_target(name, entry.target)
        elif entry.kind is Kind.HARDLINK:
            self._links[name] = clean(entry.target, self.name)

    def _read(self, size: int) -> bytes:
        data = os.pread(self._fd, size, self._position)
        while len(data) < size and (
            more := os.pread(self._fd, size - len(data), self._position + len(data))
        ):
            data += more
        self._position += len(data)
        return data

    def _skip(self, size: int) -> None:
        self._position += size
