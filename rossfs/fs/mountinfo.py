"""The kernel's table of mounts (proc_pid_mountinfo(5)).

Reading it asks nothing of the filesystems in it, so it is right to read it first, whatever hangs.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

KIND = "fuse.rossfs"
"""What the table calls a mount of ours."""

_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the table."""

    minor: int
    """Minor device number; for FUSE also the number of the connection."""
    path: str
    kind: str
    """Type of the filesystem, e.g. fuse.rossfs."""
    source: str
    """For a mount of ours the store."""
    options: str
    """Options of this mount and of the filesystem, with commas between them."""

    @property
    def ours(self) -> bool:
        """Whether rossfs serves it."""
        return self.kind in {KIND, "rossfs"}


def mounts() -> list[Mount]:
    """All mounts of this mount namespace; of those on one path the last is the one seen."""
    with open(_TABLE, "rb") as file:
        return [_parse(line) for line in file.read().splitlines()]


def mounts_on(path: str) -> list[Mount]:
    """The mounts whose mount point is *path* (absolute, no symbolic links), lowest first."""
    return [mount for mount in mounts() if mount.path == path]


def _parse(line: bytes) -> Mount:
    before, _, after = line.partition(b" - ")
    fields = before.split(b" ")
    kind, source, options = after.split(b" ", 2)
    return Mount(
        int(fields[2].split(b":")[1]),
        _text(fields[4]),
        _text(kind),
        _text(source),
        f"{_text(fields[5])},{_text(options)}",
    )


def _text(field: bytes) -> str:
    """A field as text: space, tab, newline and backslash stand there as octal numbers."""
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field))
