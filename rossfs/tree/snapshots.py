"""Listings that take too long for the loop: made in a worker thread, between the two halves of one
opendir.

`entries` asks `take`; where that has nothing it says `want` and raises Unsettled, the kernel's side
awaits `settle`, which calls `make`, and asks `entries` again.  Each listing is given out once, and
none that is older than a second, should its asker never come back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

import trio

from rossfs.tree.node import Listing

COMPLETE = 131_072
"""Names up to which the entries of a listing have their attributes, which saves the kernel a lookup
for each.  Beyond that they are names only: nobody stats so many files, and the kernel would keep an
inode for each of them."""

AT_ONCE = 64 * 1024
"""Bytes of a directory on disk up to which it is listed without a worker thread: some hundred
names."""

_FRESH = 1.0


class Snapshots:
    """The listings of one directory that are under way."""

    __slots__ = ("_made", "_wanted")

    def __init__(self) -> None:
        self._made: list[tuple[float, Listing]] = []
        self._wanted = 0

    def take(self) -> Listing | None:
        """A listing that `make` made and nobody has taken."""
        while self._made:
            made, listing = self._made.pop()
            self._wanted = max(0, self._wanted - 1)
            if time.monotonic() - made < _FRESH:
                return listing
        return None

    def want(self) -> None:
        """Somebody waits for a listing."""
        self._wanted += 1

    async def make(self, snapshot: Callable[[], Listing]) -> None:
        """If a listing is wanted, let *snapshot* make it in a worker thread."""
        if self._wanted:
            listing = await trio.to_thread.run_sync(snapshot, abandon_on_cancel=True)
            self._made.append((time.monotonic(), listing))


def is_small(directories: Iterable[str]) -> bool:
    """Whether these directories of the disk can be listed at once.

    On ext4, xfs, btrfs and tmpfs alike the size of a directory grows with its names.
    """
    size = 0
    for path in directories:
        try:
            size += os.stat(path).st_size
        except OSError:
            continue
    return size <= AT_ONCE
