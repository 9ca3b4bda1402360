"""What a tar archive has around the contents of its files: headers, padding, the end.

The same files give the same bytes, whenever and by whomever: no owner, the time 0, modes 0644 and
0755, PAX records only for what ustar has no room for (pax(1)).
"""

from __future__ import annotations

import posixpath
import tarfile

from rossfs.image.tarstream import BLOCK

_RECORD = 20 * BLOCK  # what tar(1) pads an archive to


class TarFrame:
    """The frame of one archive, asked for from its beginning to its end."""

    def __init__(self) -> None:
        self._length = 0
        self._directories: set[str] = set()

    def before(self, path: str, size: int) -> bytes:
        """What comes before the *size* bytes of the file *path*: its header, after those of the
        directories that it is in."""
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = size, 0o644
        data = self._parents(path) + _header(entry)
        self._length += len(data) + size
        return data

    def after(self, size: int) -> bytes:
        """What comes after the *size* bytes of a file."""
        return self._counted(bytes(-size % BLOCK))

    def end(self) -> bytes:
        """What comes after the last file."""
        length = 2 * BLOCK
        return self._counted(bytes(length + -(self._length + length) % _RECORD))

    def _counted(self, data: bytes) -> bytes:
        self._length += len(data)
        return data

    def _parents(self, path: str) -> bytes:
        directory = posixpath.dirname(path)
        if not directory or directory in self._directories:
            return b""
        self._directories.add(directory)
        entry = tarfile.TarInfo(directory)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        return self._parents(directory) + _header(entry)


def _header(entry: tarfile.TarInfo) -> bytes:
    # A new TarInfo has no owner and the time 0.
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
