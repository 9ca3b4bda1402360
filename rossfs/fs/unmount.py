"""Unmounting: as root by umount2(2), as an ordinary user by fusermount3, never without a deadline.

A plain unmount fails while somebody uses the mount, which a program that just ended still seems to
do for a moment.  A lazy one takes the mount out of the tree at once; it ends when the last user is
gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from rossfs.errors import Busy, MountFailed, NotFound
from rossfs.fs import blocking, presence
from rossfs.fs.mountinfo import Mount, mounts_on

PATIENCE = 1.0
"""Seconds for which a busy mount is tried again."""

GONE = 30.0
"""Seconds in which a server must have ended after its mount went: it only has to finish what was
written."""

_STEP = 0.05


def detach(path: str) -> None:
    """Unmount *path* lazily; MountFailed if that is not possible."""
    _check(path, _umount(path, lazy=True))


def unmount(path: str, *, lazy: bool = False, patience: float = PATIENCE) -> None:
    """Unmount the rossfs on *path* (canonical), and wait until its server has ended.

    NotFound if no rossfs is mounted there, Busy if it stays in use for *patience* seconds,
    MountFailed if it cannot be unmounted or the server does not end.  A lazy unmount waits for
    nobody.  A mount whose server is dead is always unmounted lazily: nobody can use it.
    """
    mount = _mounted(path)
    with contextlib.ExitStack() as stack:
        server = presence.find(mount.minor)
        if server is not None:
            stack.enter_context(server)
        end = time.monotonic() + patience
        number = _umount(path, lazy=lazy)
        while number == errno.EBUSY and time.monotonic() < end:
            time.sleep(_STEP)
            number = _umount(path, lazy=lazy)
        if number in {errno.EBUSY, None} and presence.is_gone(mount.minor):
            presence.abort(mount.minor)
            number = _umount(path, lazy=True)
        if number == errno.EBUSY:
            raise Busy(f"{path} is in use{_users(path)}")
        _check(path, number)
        if server is not None and not lazy and not server.wait_gone(GONE):
            raise MountFailed(f"{path} is unmounted, but its server {server.pid} has not ended")


def _mounted(path: str) -> Mount:
    there = mounts_on(path)
    if not there:
        raise NotFound(f"nothing is mounted on {path}")
    if not there[-1].ours:
        raise NotFound(f"what is mounted on {path} is {there[-1].kind}, not rossfs")
    return there[-1]


def _umount(path: str, *, lazy: bool) -> int | None:
    """The errno of unmounting *path*, 0 for success, None if it does not come back in time."""
    if os.geteuid() == 0:
        return blocking.call("detach" if lazy else "umount", path)
    try:
        ended = blocking.run(["fusermount3", "-u", *(["-z"] if lazy else []), "--", path])
    except FileNotFoundError as error:
        raise MountFailed("fusermount3 is not installed (package fuse3)") from error
    if ended is None:
        return None
    if ended.status == 0:
        return 0
    if os.strerror(errno.EBUSY) in ended.complaint:
        return errno.EBUSY
    raise MountFailed(f"cannot unmount {path}: {ended.complaint}")


def _check(path: str, number: int | None) -> None:
    if number is None:
        raise MountFailed(f"cannot unmount {path}: it hangs")
    if number:
        raise MountFailed(f"cannot unmount {path}: {os.strerror(number)}")


def _users(path: str) -> str:
    """Who uses the mount, as far as we may see, to stand behind a message; asks only /proc."""
    users = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            links = [f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
            links += [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
            if any(_is_below(link, path) for link in links):
                with open(f"/proc/{pid}/comm") as file:
                    users.append(f"{file.read().strip()} ({pid})")
    if not users:
        return ""
    return " by " + ", ".join(users[:5]) + (" and others" if len(users) > 5 else "")


def _is_below(link: str, path: str) -> bool:
    with contextlib.suppress(OSError):
        target = os.readlink(link)
        return target == path or target.startswith(f"{path}/")
    return False
