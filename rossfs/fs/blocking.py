"""System calls that may never return, each made by a process of its own.

A request to a FUSE filesystem that its server has read and does not answer cannot be interrupted,
not even by SIGKILL: who makes one waits until the connection ends.  So whoever asks something of a
mount that somebody else serves asks a process that can be left behind.

This file is also that process's program.  It is run by its path (`python -I -S`), in 15 ms, and
imports the standard library only; its exit status is the errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

DEADLINE = 5.0
"""Seconds after which a filesystem counts as hanging.  A disk that has to spin up needs less."""

CONNECTIONS = "/sys/fs/fuse/connections"

# mount(2), umount2(2), unshare(2)
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_MS_REC_PRIVATE = 0x4000 | 0x40000
_CLONE_NEWNS = 0x20000


class Ended(NamedTuple):
    """How a process ended: its exit status (negative: the signal) and what it complained of."""

    status: int
    complaint: str


def run(argv: Sequence[str], deadline: float = DEADLINE) -> Ended | None:
    """Run *argv* without standard input and output.  None: it did not end within *deadline*
    seconds and was killed, which it may not notice.  OSError if it cannot be started."""
    with tempfile.TemporaryFile() as complaints:
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            {**os.environ, "LC_ALL": "C"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, complaints.fileno(), 2),
            ],
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGPIPE, signal.SIGTERM),
        )
        if not _ends(pid, deadline):
            os.kill(pid, signal.SIGKILL)
            if not _ends(pid, 0.1):
                return None  # left behind: it is gone when the connection is, or when we are
            os.waitpid(pid, 0)
            return None
        _, status = os.waitpid(pid, 0)
        complaints.seek(0)
        text = complaints.read(65536).decode("utf-8", "replace")
        return Ended(os.waitstatus_to_exitcode(status), text.strip())


def call(name: str, *arguments: str, deadline: float = DEADLINE) -> int | None:
    """Make the call *name* (a key of CALLS); returns its errno, 0 for success, or None if it does
    not return within *deadline* seconds."""
    ended = run([sys.executable, "-I", "-S", __file__, name, *arguments], deadline)
    if ended is None:
        return None
    if ended.status < 0 or ended.complaint:
        raise OSError(errno.EIO, f"{name} failed with status {ended.status}: {ended.complaint}")
    return ended.status


def _ends(pid: int, deadline: float) -> bool:
    """Wait for the child *pid*, at most *deadline* seconds."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        end = time.monotonic() + deadline
        while True:
            left = end - time.monotonic()
            if poll.poll(max(0.0, left) * 1000):
                return True
            if left <= 0:
                return False
    finally:
        os.close(descriptor)


def _statvfs(path: str) -> None:
    os.statvfs(path)


def _directory(path: str) -> None:
    if not stat.S_ISDIR(os.stat(path).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _umount(path: str) -> None:
    _system(ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(path), _UMOUNT_NOFOLLOW))


def _detach(path: str) -> None:
    flags = _MNT_DETACH | _UMOUNT_NOFOLLOW
    _system(ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(path), flags))


def _abort(minor: str) -> None:
    path = f"{CONNECTIONS}/{int(minor)}/abort"
    if not os.listdir(CONNECTIONS):
        # fusectl is not mounted on this machine: mount it where only this process sees it.
        libc = ctypes.CDLL(None, use_errno=True)
        _system(libc.unshare(_CLONE_NEWNS))
        _system(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None))
        place = CONNECTIONS.encode()
        _system(libc.mount(b"fusectl", place, b"fusectl", ctypes.c_ulong(0), None))
    with open(path, "w") as file:
        file.write("1")


def _system(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


CALLS: dict[str, Callable[[str], None]] = {
    "statvfs": _statvfs,
    "directory": _directory,
    "umount": _umount,
    "detach": _detach,
    "abort": _abort,
}
"""By name: statvfs(path); is it a directory (else ENOTDIR); umount(path); the same lazily; end the
FUSE connection of a minor device number."""


def _main(name: str, *arguments: str) -> int:
    try:
        CALLS[name](*arguments)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
