"""From what a node raised to the errno that the caller gets.

An exception other than FUSEError that leaves a handler ends the mount.  So everything is
translated here: deliberate errors carry their errno, system calls theirs, and what nobody foresaw
is logged with its traceback and becomes EIO.  trio.Cancelled is no Exception and passes.
"""

from __future__ import annotations

import errno
import logging
from collections import Counter

from pyfuse3 import FUSEError

from rossfs.errors import RossfsError

log = logging.getLogger("rossfs.fs")

_HIGHEST = 999
"""libfuse refuses to send more (fuse_lowlevel.c, fuse_send_reply_iov_nofree)."""

_TROUBLE = frozenset(
    (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)
"""What a system call says when the machine, not the caller, is at fault: worth a line in the
log."""


class Boundary:
    """Makes the FUSEError of a failure and counts it by errno."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def failure(self, request: str, error: Exception) -> FUSEError:
        """What to raise instead of *error*, which ended the handler of *request*."""
        number = _errno(request, error)
        self.counts[number] += 1
        return FUSEError(number)

    def lost(self, what: str, error: FUSEError) -> None:
        """Nobody waits for this answer: log it."""
        log.error("%s: %s", what, error)


def _errno(request: str, error: Exception) -> int:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # a nursery wraps what its only task raised
    number: int | None
    if isinstance(error, (FUSEError, RossfsError)):
        number = error.errno
    elif isinstance(error, OSError):
        number = error.errno
        if number in _TROUBLE:
            log.error("%s: %s", request, error)
    else:
        log.error("%s: unforeseen error, answered EIO", request, exc_info=error)
        return errno.EIO
    if number == errno.ENOSYS:
        return errno.EOPNOTSUPP  # ENOSYS would tell the kernel never to ask such a thing again
    if number is None or not 0 < number <= _HIGHEST:
        return errno.EIO  # 0 would be success without an answer
    return number
