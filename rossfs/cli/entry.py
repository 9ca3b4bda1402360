"""One path of an image, as commands show it."""

from __future__ import annotations

import os
import stat

from rossfs.cli.output import name_text, size_text
from rossfs.image.differences import Side

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
}


def type_text(side: Side) -> str:
    """What it is, in words."""
    return _TYPES.get(stat.S_IFMT(side.record.mode), "unknown")


def mode_text(side: Side) -> str:
    """The permissions as chmod(1) takes them: `0755`."""
    return f"{stat.S_IMODE(side.record.mode):04o}"


def owner_text(side: Side) -> str:
    """Owner and group, as numbers."""
    return f"{side.record.uid}:{side.record.gid}"


def extent_text(side: Side, *, exact: bool) -> str:
    """The size; of a device its numbers, as ls(1) shows them."""
    rdev = side.rdev
    if rdev is not None:
        return f"{os.major(rdev)},{os.minor(rdev)}"
    return size_text(side.record.size, exact=exact)


def target_text(side: Side) -> str:
    """Where a symbolic link points to, in a form that fits for a terminal; else empty."""
    target = side.target
    return "" if target is None else name_text(target)


def layer_text(side: Side) -> str:
    """Position and digest of the layer, as in the names below layers/ of a mount."""
    return "-" if side.layer is None else f"{side.place.position:02d}-{side.layer.digest.short}"


def as_json(side: Side) -> dict[str, object]:
    """Everything about it but its name.  A name that is no UTF-8 has escapes of PEP 383."""
    record = side.record
    described: dict[str, object] = {
        "type": type_text(side),
        "mode": mode_text(side),
        "uid": record.uid,
        "gid": record.gid,
        "size": record.size,
        "mtime": record.mtime_ns // 10**9,
        "links": record.nlink,
        "layer": None if side.layer is None else str(side.layer.digest),
    }
    target, rdev = side.target, side.rdev
    if target is not None:
        described["target"] = os.fsdecode(target)
    if rdev is not None:
        described |= {"major": os.major(rdev), "minor": os.minor(rdev)}
    if side.xattrs:
        described["xattrs"] = {
            os.fsdecode(name): os.fsdecode(value) for name, value in side.xattrs.items()
        }
    return described
