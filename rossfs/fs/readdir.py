"""Listings: READDIRPLUS, without OPENDIR before it and RELEASEDIR after it.

To OPENDIR the kernel is answered ENOSYS: then it asks for none any more, which saves a request for
each directory of a walk and another one behind it, and keeps listings that it has read to the end
(linux/fuse.h, FUSE_NO_OPENDIR_SUPPORT).  That is right for trees that cannot change.  Of all other
directories it must not keep them: so their listings never end for the kernel.  What ends them for
the caller is a reply too short for any entry, which is not the empty one that the kernel takes for
the end (fs/fuse/readdir.c, fuse_readdir_uncached).

A listing is a snapshot, taken when its first entry is asked for and again at rewinddir(3).  Without
an open directory to hang it on, the offset says which: the number of the snapshot, and in the low
half the position in it: 0 is ".", 1 is "..", 2 the first name.  So an entry keeps its offset
whatever is made or removed meanwhile (readdir(3) asks for no more).  Trees need no number.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Coroutine
from itertools import count

from pyfuse3 import FUSEError

from rossfs.fs import wire
from rossfs.fs.ahead import Ahead
from rossfs.fs.inodes import Inodes
from rossfs.fs.notify import Watcher
from rossfs.fs.pages import DOTS, LARGEST, Page, Pages
from rossfs.fs.settling import settled
from rossfs.tree.node import Directory, Listing, Rows, Tree, Unsettled
from rossfs.tree.numbers import TREE_SHIFT

Reply = bytes | memoryview

END = b""
"""No more entries, and the kernel may keep what it has."""

CLOSED = bytes(8)
"""No more entries, and the kernel must ask again next time."""

_POSITION = 32
"""Bits of an offset that are the position."""

_MOST = (1 << _POSITION) - 1
_HIGHEST = 1 << 63

SNAPSHOTS = 4096
"""Listings of directories that change that are kept although nobody may be reading them: that
somebody has closed a directory in the middle is not told."""

NAMES = 1 << 21
"""Names in them, all together; the last one is kept whatever it has."""

ENDED = 16
"""Those that were read to their end, kept because somebody may go back (seekdir(3))."""

SMALL = 4096
"""Names in one of these, at most."""

LISTINGS = 16
"""Listings of trees that are kept while they are read, so that no page makes them again."""


class Readdir:
    """Answers READDIRPLUS for one mount; *requests* counts."""

    def __init__(
        self, inodes: Inodes, watcher: Watcher, umask: int, requests: defaultdict[str, int]
    ) -> None:
        self._inodes = inodes
        self._trees = inodes.trees
        self._watcher = watcher
        self._requests = requests
        self._pages = Pages(inodes, umask)
        self._rows: dict[int, Rows] = {}
        self._listed = self._end = -1
        """The directory of a tree that was listed last, and the offset that is its end."""
        self._numbers = count(1)
        self._snapshots: dict[int, tuple[int, Listing]] = {}
        self._names = 0
        self._ended: dict[int, tuple[int, Listing]] = {}
        self.ahead = Ahead(self._pages, inodes.trees)
        inodes.tree_left = self._tree_left

    def __len__(self) -> int:
        """How many snapshots are kept that were not read to their end."""
        return len(self._snapshots)

    def answer(self, ino: int, body: memoryview) -> Reply | int | Coroutine[None, None, Reply]:
        """See direct.Answer; a coroutine where the listing has to be waited for."""
        _, offset, size = wire.READING.unpack_from(body)
        self._requests["readdir"] += 1
        if ino == self._listed and offset == self._end:
            return END
        if offset >= _HIGHEST:
            return errno.EINVAL
        tree = self._trees.get(ino >> TREE_SHIFT)
        if tree is not None:
            return self._of_tree(tree, ino, offset, size)
        directory = self._inodes.directory(ino)
        position = offset & _MOST
        if offset:
            number = offset >> _POSITION
            known = self._snapshots.get(number)
            if known is not None and known[0] == ino:
                self._snapshots[number] = self._snapshots.pop(number)  # in use: the last to go
            else:
                known = self._ended.get(number)
            if known is not None and known[0] == ino:
                return self._entries(directory, number, known[1], position, size)
        return self._begin(directory, position, size)

    # Trees

    def _of_tree(self, tree: Tree, ino: int, offset: int, size: int) -> Reply:
        ahead = self.ahead
        page = ahead.take(ino, offset, size)
        if page is not None:
            return self._send(ino, page)
        directory = tree.node(ino)
        if not isinstance(directory, Directory):
            raise FUSEError(errno.ENOTDIR)
        listing: Listing | Rows | None = self._rows.get(ino) if offset else None
        if listing is None:
            listing = directory.entries()
        assert isinstance(listing, Rows)
        if offset >= len(listing) + DOTS:
            return END
        page = self._pages.begin(directory, listing, offset, size)
        page.add(LARGEST)
        self._rows.pop(ino, None)
        if page.full:
            if not page.bytes:
                raise FUSEError(errno.EINVAL)  # no room; nothing would be the end
            if len(self._rows) >= LISTINGS:
                del self._rows[next(iter(self._rows))]
            self._rows[ino] = listing
        ahead.asked(ino, offset, page, size)
        return self._send(ino, page)

    def _send(self, ino: int, page: Page) -> Reply:
        if not page.full:
            self._listed, self._end = ino, page.offset
            self._rows.pop(ino, None)
        return self._pages.sent(page)

    def _tree_left(self, number: int) -> None:
        """The kernel knows nothing of the tree *number* any more: keep nothing of it open."""
        for ino in [ino for ino in self._rows if ino >> TREE_SHIFT == number]:
            del self._rows[ino]
        self._listed = -1
        self.ahead.forget()

    # Everything else

    def _begin(
        self, directory: Directory, position: int, size: int
    ) -> Reply | Coroutine[None, None, Reply]:
        """Answer from a new snapshot: at once if that is possible."""
        ino = directory.ino
        if ino in self._watcher.unwatched:
            self._watcher.watch(directory)
        if directory.loaded:
            try:
                with self._watcher.handling(ino):
                    return self._first(directory, directory.entries(), position, size)
            except Unsettled:
                pass
        return self._wait(directory, position, size)

    async def _wait(self, directory: Directory, position: int, size: int) -> Reply:
        with self._watcher.handling(directory.ino):
            listing = await settled(directory, directory.entries)
            return self._first(directory, listing, position, size)

    def _first(
        self, directory: Directory, listing: Listing | Rows, position: int, size: int
    ) -> Reply:
        assert not isinstance(listing, Rows)
        number = next(self._numbers) & _MOST >> 1
        self._snapshots[number] = directory.ino, listing
        self._names += len(listing)
        while len(self._snapshots) > SNAPSHOTS or (
            self._names > NAMES and len(self._snapshots) > 1
        ):
            self._drop(next(iter(self._snapshots)))
        return self._entries(directory, number, listing, position, size)

    def _entries(
        self, directory: Directory, number: int, listing: Listing, position: int, size: int
    ) -> Reply:
        reply = self._pages.entries(directory, listing, number << _POSITION, position, size)
        if reply is not None:
            return reply
        if number in self._snapshots:
            ended = self._drop(number)
            if len(listing) <= SMALL:
                self._ended[number] = ended
            if len(self._ended) > ENDED:
                del self._ended[next(iter(self._ended))]
        return CLOSED

    def _drop(self, number: int) -> tuple[int, Listing]:
        dropped = self._snapshots.pop(number)
        self._names -= len(dropped[1])
        return dropped
