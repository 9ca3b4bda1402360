"""Opening and reading files that another program may have put in the store's place.

Only a regular file is ever opened: never a symbolic link (it could name any file of the machine),
never a fifo or a device (opening or reading one could hang its reader for ever).
"""

from __future__ import annotations

import errno
import os
import stat

from rossfs.store import descriptors

# O_NONBLOCK: open(2) of a fifo returns at once.  It has no effect on regular files.
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """Open the regular file *path* for reading; return its descriptor and status.

    OSError as open(2) has it; ELOOP for a symbolic link and EINVAL for anything else that is no
    regular file.  TooManyFiles.
    """
    try:
        fd = descriptors.open_file(path, FLAGS)
    except OSError as error:
        # ENXIO: a socket, or a device without a driver.
        if error.errno == errno.ENXIO:
            raise OSError(errno.EINVAL, "not a regular file", path) from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def read(path: str, limit: int) -> bytes:
    """Return the content of the regular file *path*, which has at most *limit* bytes.

    OSError as `open_regular`, and EFBIG for a longer file.
    """
    fd, status = open_regular(path)
    try:
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"more than {limit} bytes", path)
        data = os.read(fd, limit + 1)
        # A file system that reads short.
        while len(data) < status.st_size and (more := os.read(fd, limit + 1 - len(data))):
            data += more
    finally:
        os.close(fd)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", path)
    return data
