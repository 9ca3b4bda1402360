"""The mount of a store, found in the kernel's table."""

from __future__ import annotations

import os

from rossfs.errors import MountFailed, NotFound
from rossfs.fs.mountinfo import Mount, mounts, mounts_on
from rossfs.fs.mountpoint import Health, canonical, health


def mount_of(store: str, mountpoint: str | None = None) -> Mount:
    """The mount on *mountpoint*, or else that of the store in the directory *store*, the youngest.

    NotFound if there is none; MountFailed if it does not answer.
    """
    if mountpoint is not None:
        path = canonical(mountpoint)
        there = mounts_on(path)[-1:]
        reason = f"no rossfs is mounted on {path}"
    else:
        path = os.path.realpath(store)
        there = mounts()
        reason = f"the store {store} is not mounted: rossfs mount {store} DIRECTORY"
    ours = [one for one in there if one.ours and (mountpoint or one.source == path)]
    if not ours:
        raise NotFound(reason)
    if health(ours[-1]) is not Health.ANSWERS:
        raise MountFailed(f"the mount on {ours[-1].path} does not answer")
    return ours[-1]
