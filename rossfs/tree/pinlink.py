"""A pin as a node: a symbolic link in incoming/ to the content that a file became."""

from __future__ import annotations

import os
import stat
from typing import ClassVar

from rossfs.tree.node import Attr, AttrChange, Caller, Symlink


class PinLink(Symlink):
    """A pin.  What it says is true of one moment: its number changes with its name, its text and
    its age, and the kernel asks each time.

    It has no extended attributes: Linux refuses user.* on symbolic links (xattr(7)); the content
    has them.
    """

    __slots__ = ("_modified_ns", "_path")

    ttl: ClassVar[float] = 0.0

    def __init__(self, ino: int, text: bytes, path: str, modified_ns: int) -> None:
        super().__init__(ino, text)
        self._path = path
        self._modified_ns = modified_ns

    def attr(self) -> Attr:
        return Attr(
            stat.S_IFLNK | 0o777,
            size=len(self.text),
            mtime_ns=self._modified_ns,
            ctime_ns=self._modified_ns,
            atime_ns=self._modified_ns,
        )

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """`touch -h` makes the pin young again, or old; owners are ignored."""
        if change.mtime_ns is not None:
            times = (change.mtime_ns, change.mtime_ns)
            os.utime(self._path, ns=times, follow_symlinks=False)
            self._modified_ns = change.mtime_ns
