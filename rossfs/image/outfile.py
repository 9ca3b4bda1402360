"""An archive on its way to its place: complete, or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from rossfs.errors import Conflict
from rossfs.image.transport import STREAM
from rossfs.store import durable

STANDARD_OUTPUT = 1


@contextlib.contextmanager
def open_output(path: str) -> Iterator[tuple[int, str]]:
    """Give a descriptor to write the archive *path* to, and its name for messages.

    A regular file is replaced at the end, when its bytes are on the disk; to a pipe, a device or
    standard output (`-`) bytes go at once.  Conflict if *path* is a directory.
    """
    if path == STREAM:
        yield STANDARD_OUTPUT, "standard output"
        return
    path = os.path.realpath(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise Conflict(f"{path} is a directory, not an archive")
    if not stat.S_ISREG(mode):
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield fd, path
        finally:
            os.close(fd)
        return
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise FileNotFoundError(errno.ENOENT, "No such directory", directory)
    with durable.replacing(path, directory, "export", _mode(path)) as fd:
        yield fd, path


def _mode(path: str) -> int:
    """The mode of the file that is replaced; of a new one, that of all files that are exported."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0o644
