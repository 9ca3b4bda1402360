"""The directory that is to be mounted on, and what may be mounted there already.

A mount whose server was killed is still in the table: every request to it fails with ENOTCONN, or,
where a thread of the server is stuck in the kernel, hangs.  stat(2) does not notice the first while
the attributes of the root are cached, and would hang in the second; so statvfs(2) is asked, by a
process that can be left behind.
"""

from __future__ import annotations

import errno
import os
from enum import Enum

from rossfs.errors import Busy, MountFailed, NotFound, UsageError
from rossfs.fs import blocking, presence, unmount
from rossfs.fs.mountinfo import Mount, mounts_on
from rossfs.store.paths import Paths

_STACK = 16  # dead mounts on one mount point; more than one only if somebody mounted over them


class Health(Enum):
    """How a mount answers."""

    ANSWERS = "answers"
    DEAD = "dead"
    """Its server is gone."""
    HANGS = "hangs"
    """It does not answer; its server may be busy, or be killed and stuck."""


def health(mount: Mount, deadline: float = blocking.DEADLINE) -> Health:
    """Ask the mount; takes at most *deadline* seconds."""
    match blocking.call("statvfs", mount.path, deadline=deadline):
        case None:
            return Health.HANGS
        case errno.ENOTCONN | errno.ECONNABORTED:
            return Health.DEAD
        case 0 if _refuses_us(mount) and presence.is_gone(mount.minor):
            return Health.DEAD
    return Health.ANSWERS


def _refuses_us(mount: Mount) -> bool:
    """Whether the kernel answers statvfs(2) with zeros without asking the server: a mount of
    another user without allow_other (fuse_statfs in the kernel)."""
    options = mount.options.split(",")
    return mount.ours and "allow_other" not in options and f"user_id={os.geteuid()}" not in options


def canonical(path: str) -> str:
    """*path* absolute and without symbolic links, as the table of mounts has it.

    The last component is not looked at if something is mounted there: it may hang.
    """
    path = os.path.abspath(path)
    if mounts_on(path):
        return path
    parent, name = os.path.split(path)
    place = os.path.join(os.path.realpath(parent), name)
    return place if mounts_on(place) else os.path.realpath(place)


def prepare(path: str, store: str) -> str:
    """Make sure that *store* can be mounted on *path*; returns the canonical mount point.

    What a killed server left there is unmounted.  Busy if a living server serves it, NotFound or
    UsageError if it is no directory, UsageError if it hides the store or a part of it (the server
    would wait for itself), MountFailed if what is there cannot be cleared away.
    """
    path = canonical(path)
    for _ in range(_STACK):
        there = mounts_on(path)
        if not there or not there[-1].ours:
            break
        _clear(there[-1])
    else:
        raise MountFailed(f"{path}: what a killed server left there cannot be unmounted")
    match blocking.call("directory", path) if there else _is_directory(path):
        case 0:
            pass
        case None:
            raise MountFailed(f"{path} hangs: the {there[-1].kind} mounted there does not answer")
        case errno.ENOENT:
            raise NotFound(f"mount point {path} does not exist")
        case errno.ENOTDIR:
            raise UsageError(f"mount point {path} is not a directory")
        case int(number):
            raise MountFailed(f"mount point {path}: {os.strerror(number)}")
    store_path = os.path.realpath(store)
    if os.path.commonpath([path, store_path]) == path:
        raise UsageError(f"the store {store} lies in the mount point {path}")
    if (hidden := Paths(store_path).directory_of(path)) is not None:
        raise UsageError(f"the mount point {path} lies in {hidden}, which belongs to the store")
    return path


def _is_directory(path: str) -> int:
    try:
        return 0 if os.path.isdir(path) else _errno_of_stat(path)
    except OSError as error:
        return error.errno or errno.EIO


def _errno_of_stat(path: str) -> int:
    os.stat(path)
    return errno.ENOTDIR


def _clear(mount: Mount) -> None:
    """Unmount what a killed server left; Busy if it is not dead."""
    state = health(mount)
    if state is Health.ANSWERS:
        raise Busy(f"{mount.path} is a mount of the store {mount.source} already")
    if state is Health.HANGS:
        if not presence.is_gone(mount.minor):
            raise Busy(f"{mount.path} is mounted and does not answer; its server is alive")
        presence.abort(mount.minor)
    unmount.detach(mount.path)
