"""The files of a directory that somebody else wrote."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from rossfs.errors import InvalidSource
from rossfs.image.files import clean
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store import smallfile

CHUNK = 1 << 20


class DirectoryFiles:
    """Regular files beneath a directory; symbolic links count while they stay beneath it."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._root = os.path.realpath(path)

    def size(self, path: str) -> int | None:
        """See Files.size."""
        try:
            fd, status = self._open(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        os.close(fd)
        return status.st_size

    def chunks(self, path: str) -> Iterator[bytes]:
        """See Files.chunks."""
        fd, _ = self._open(path)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while data := os.read(fd, CHUNK):
                yield data
        finally:
            os.close(fd)

    def stored(self, path: str) -> Digest | None:
        """See Files.stored: nothing is, before it is asked for."""
        return None

    def close(self) -> None:
        """See Files.close: nothing stays open."""

    def _open(self, path: str) -> tuple[int, os.stat_result]:
        whole = f"{self._root}/{clean(path, self.name)}"
        try:
            resolved = os.path.realpath(whole, strict=True)
            if not resolved.startswith(f"{self._root.rstrip('/')}/"):
                raise InvalidSource(f"{quote(path)} in {self.name} is a link that leads out of it")
            return smallfile.open_regular(resolved)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise FileNotFoundError(errno.ENOENT, "no such file", path) from error
            if error.errno in (errno.ELOOP, errno.EINVAL):
                raise InvalidSource(f"{quote(path)} in {self.name} is no regular file") from error
            raise
