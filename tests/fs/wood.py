"""A forest (forest.py) with what its files may also be: at hand, and passive when they are open.

What the index of a file ends with says which it is; times, attributes and values differ from each
other wherever they may, so that what is mixed up is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rossfs.tree.handle import Handle
from rossfs.tree.node import Attr, Caller, Node, is_writing, read_only
from rossfs.tree.numbers import INDEX
from tests.fs.forest import Forest, Leaf, LeafHandle

PASSIVE = 2
"""At hand; keeps its pages; nothing to do when it is closed."""

ACTIVE = 3
"""At hand; somebody waits for its flush and release."""

AWAY = 4
"""As `PASSIVE`, but only its first bytes are at hand."""

LEAF = 5
"""Nothing is at hand."""

NEAR = 100
"""How many bytes of an `AWAY` one are at hand."""

TIMES = (
    0,
    1,
    -1,
    -(10**9),
    -(10**9) - 1,
    -(1 << 33) * 10**9 + 5,
    (1 << 31) * 10**9,
    ((1 << 31) - 1) * 10**9 + 999_999_999,
    (1 << 33) * 10**9 + 7,
)
"""Before 1970, after 2038, and between."""


class Wood(Forest):
    """The tree."""

    def node(self, ino: int) -> Node:
        node = super().node(ino)
        index = ino & INDEX
        if index > 1 and index % 10 in (PASSIVE, ACTIVE, AWAY):
            return Plank(self, index)
        return node

    def attr(self, index: int) -> Attr:
        mtime, ctime, atime = (TIMES[(index + more) % len(TIMES)] for more in range(3))
        return super().attr(index)._replace(mtime_ns=mtime, ctime_ns=ctime, atime_ns=atime)


class Plank(Leaf):
    """A file that is at hand."""

    __slots__ = ()

    def xattrs(self) -> Mapping[bytes, bytes]:
        return {
            b"security.capability": b"%d" % self.index,
            b"trusted.empty": b"",
            b"user.shown": b"as listed",
            b"user.mine": b"as the tar says",
        }

    async def xattr(self, name: bytes) -> bytes | None:
        """One more than is listed, and one that is not what the tar says."""
        own = {b"user.hidden": b"not listed", b"user.mine": b"what we say"}
        return own.get(name) or self.xattrs().get(name)

    async def open(self, flags: int, caller: Caller) -> Handle:
        return self.open_ready(flags)

    def open_ready(self, flags: int) -> Handle:
        if is_writing(flags):
            raise read_only()
        kind = {PASSIVE: Passive, ACTIVE: Active, AWAY: Away}[self.index % 10]
        return kind(b"%d" % self.index * 100)


class Active(LeafHandle):
    """All of it is at hand."""

    __slots__ = ()

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        return self._data[offset : offset + size]


class Passive(Active):
    """All of it is at hand, in a buffer that is not bytes."""

    __slots__ = ()

    keep_cache: ClassVar[bool] = True
    passive: ClassVar[bool] = True

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        return memoryview(self._data)[offset : offset + size]

    async def flush(self) -> None:
        raise AssertionError("nobody asks a passive one")

    async def release(self) -> None:
        raise AssertionError("nobody asks a passive one")


class Away(Passive):
    """The beginning is at hand."""

    __slots__ = ()

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        return None if offset + size > NEAR else super().read_ready(offset, size)
