"""A tar archive being written; the same files give the same bytes, whenever and by whomever."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable

from rossfs.image.tarstream import BLOCK
from rossfs.store import durable

_RECORD = 20 * BLOCK  # what tar(1) pads an archive to


class TarSink:
    """Writes to a descriptor, forwards only, so that a pipe will do."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._written = 0
        self._directories: set[str] = set()

    def has(self, path: str, size: int) -> bool:
        """See Sink.has: nothing is there before it is added."""
        return False

    def add(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """See Sink.add."""
        self._make_parents(path)
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = size, 0o644
        self._header(entry)
        for chunk in chunks:
            size -= len(chunk)
            self._write(chunk)
        assert size == 0, "content has the size that was said"
        self._write(bytes(-entry.size % BLOCK))

    def close(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * BLOCK))
        self._write(bytes(-self._written % _RECORD))

    def _make_parents(self, path: str) -> None:
        directory = posixpath.dirname(path)
        if directory and directory not in self._directories:
            self._make_parents(directory)
            self._directories.add(directory)
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            self._header(entry)

    def _header(self, entry: tarfile.TarInfo) -> None:
        # A new TarInfo has no owner and the time 0.
        self._write(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _write(self, data: bytes) -> None:
        durable.write_all(self._fd, data, self._name)
        self._written += len(data)
