"""Answers that have to wait: for a listing that takes too long for the loop, or for commits.

Whoever is told Unsettled awaits `settle` and asks again, in the same task.  What he waited for is
handed to him then, once, and no older than a second should he not come back.  Asking again whether
everything has come to rest would not do: beside busy writers it never has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Protocol

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


class Commits(Protocol):
    """Commits under way: whoever closed a file may look for it before it is there."""

    def settled(self) -> bool:
        """Whether there is nothing to wait for."""

    async def settle(self) -> None:
        """Wait for the commits that are under way now."""


class Absences:
    """Names of one directory that were not found while commits were under way."""

    __slots__ = ("_commits", "_final", "_open")

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._open: set[bytes] = set()
        self._final: dict[bytes, float] = {}

    def is_final(self, name: bytes) -> bool:
        """*name* was not found.  Whether that is the answer; if not, it is after `settle`."""
        if self._final and time.monotonic() - self._final.pop(name, 0.0) < _FRESH:
            return True
        if self._commits.settled():
            return True
        self._open.add(name)
        return False

    async def settle(self) -> None:
        """Wait until what is under way is done; the names are to be looked for once more then."""
        names, self._open = self._open, set()
        if names:
            await self._commits.settle()
            now = time.monotonic()
            self._final = {name: at for name, at in self._final.items() if now - at < _FRESH}
            self._final.update(dict.fromkeys(names, now))


class Snapshots:
    """The listings of one directory that are under way.

    `entries` asks `take`; where that has nothing it says `want` and raises Unsettled, and `settle`
    calls `make`.  Each task gets the listing that was made for it: another's may have been made
    before what this one knows to be there.
    """

    __slots__ = ("_made", "_wanted")

    def __init__(self) -> None:
        self._made: dict[object, tuple[float, Listing]] = {}
        self._wanted: dict[object, float] = {}

    def take(self) -> Listing | None:
        """The listing that was made for this task."""
        made = self._made.pop(_asker(), None)
        return made[1] if made is not None and time.monotonic() - made[0] < _FRESH else None

    def want(self) -> None:
        """This task waits for a listing."""
        now = time.monotonic()
        for asker, since in list(self._wanted.items()):
            if now - since >= _FRESH:  # it was cancelled, or it would have begun
                del self._wanted[asker]
        self._wanted[_asker()] = now

    @property
    def wanted(self) -> bool:
        """Whether this task waits for a listing."""
        return _asker() in self._wanted

    async def make(self, snapshot: Callable[[], Listing]) -> None:
        """Let *snapshot* make a listing for this task in a worker thread."""
        asker = _asker()
        self._wanted.pop(asker, None)
        listing = await trio.to_thread.run_sync(snapshot, abandon_on_cancel=True)
        now = time.monotonic()
        self._made = {who: made for who, made in self._made.items() if now - made[0] < _FRESH}
        self._made[asker] = now, listing


def _asker() -> object:
    return trio.lowlevel.current_task()


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
