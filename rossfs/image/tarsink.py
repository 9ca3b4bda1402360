"""A tar archive being written; the same files give the same bytes (tarframe.py)."""

from __future__ import annotations

from collections.abc import Iterable

from rossfs.image.tarframe import TarFrame
from rossfs.store import durable


class TarSink:
    """Writes to a descriptor, forwards only, so that a pipe will do."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._frame = TarFrame()

    def has(self, path: str, size: int) -> bool:
        """See Sink.has: nothing is there before it is added."""
        return False

    def add(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """See Sink.add."""
        self._write(self._frame.before(path, size))
        left = size
        for chunk in chunks:
            left -= len(chunk)
            self._write(chunk)
        assert left == 0, "content has the size that was said"
        self._write(self._frame.after(size))

    def close(self) -> None:
        """Write the end of the archive."""
        self._write(self._frame.end())

    def _write(self, data: bytes) -> None:
        durable.write_all(self._fd, data, self._name)
