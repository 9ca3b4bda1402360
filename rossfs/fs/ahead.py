"""Pages of the directories that a walk comes to next, made while the walker is busy.

A walk of a tree (find, ls -R, tar, rsync) asks for one directory after the other, and between two
requests the server waits for it.  Which directory is next is seldom in doubt: the first one in the
directory that was listed last or, where a program goes from the last to the first, the last one;
after a directory without any, its neighbour.  So pages are made in that order, in small steps, for
a request that comes meanwhile shall hardly wait.

Only trees: what cannot change may be answered from what was made before it was asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from rossfs.fs.pages import LARGEST, Page, Pages
from rossfs.tree.node import Directory, Rows
from rossfs.tree.numbers import TREE_SHIFT
from rossfs.tree.trees import Trees

READY = 8
"""Pages that are made before one of them is asked for."""

FEW = 1024
"""Names in a directory from which on its page is not made ahead: nobody may ask for it, and merging
it takes longer than anybody shall wait."""

STEP = 16
"""Names between two looks at whether there is a request: 20 microseconds."""

COMING = 1024
"""Directories that a walk is known to come to, at most: what comes last is left out."""

Work = Generator[None, None, Page | None]


class Ahead:
    """What is made ahead in one mount, for one walk at a time."""

    def __init__(self, pages: Pages, trees: Trees) -> None:
        self._pages = pages
        self._trees = trees
        self._size = 0
        # Of the directory that is being listed: what did not fit into its last page.
        self._rest: Page | None = None
        self._rest_of: tuple[int, int] = (0, 0)
        """The number of that directory, and the offset that is asked for next."""
        self._rest_work: Work | None = None
        self._inside: list[int] = []
        """The first directories in it, as far as it is listed."""
        self._below = 0
        """How many of them are on top of `_coming`, had nothing been made ahead: all, once it is
        listed."""
        # Of those that come after it.
        self._known = False
        """This is a walk, not just somebody who lists one directory."""
        self._coming: list[int] = []
        """What the walk comes to after what is ready, the next one last."""
        self._ready: deque[tuple[int, Page]] = deque()
        self._making = 0
        self._work: Work | None = None
        """What comes after those; 0 and None: nothing is being made."""
        self._goes_on = False
        self._backward = False

    def forget(self) -> None:
        """Keep nothing."""
        self._coming.clear()
        self._ready.clear()
        self._inside = []
        self._below = self._making = 0
        self._rest_of = 0, 0
        self._rest = self._rest_work = self._work = None
        self._known = self._goes_on = False

    def take(self, ino: int, offset: int, size: int) -> Page | None:
        """The page of the directory *ino* from *offset* on in at most *size* bytes, if it was
        made."""
        page = self._take_rest(ino, offset) if offset else self._take_next(ino)
        if page is None or not page.fits(size):
            return None
        if offset:
            self._inside_too(page)
            self._follow(page)
            return page
        self._ready.popleft()
        self._inside = list(page.directories)
        self._below = 0 if page.full else len(self._inside)
        if page.full:
            self._follow(page)
        return page

    def asked(self, ino: int, offset: int, page: Page, size: int) -> None:
        """*page* is the answer to who asked for the directory *ino* from *offset* on, in at most
        *size* bytes: it had not been made."""
        self._size = min(size, LARGEST)
        if offset and self._rest_of == (ino, offset):
            self._inside_too(page)
        elif not offset:
            self._take_back()
            self._known = self._find(ino)
            self._inside = list(page.directories)
            self._below = 0
        else:
            return
        self._follow(page)

    def step(self) -> bool:
        """Do a little; whether there was something to do."""
        if self._rest_work is not None:
            try:
                next(self._rest_work)
            except StopIteration as end:
                self._rest, self._rest_work = end.value, None
            except Exception:  # whoever asks for it will be told
                self._rest_work = None
            return True
        if self._work is None:
            if not self._goes_on or not self._coming or len(self._ready) >= READY:
                return False
            self._making = self._coming.pop()
            self._work = self._make(self._making)
        try:
            next(self._work)
        except StopIteration as end:
            self._made(end.value)
        except Exception:  # as above
            self._made(None)
        return True

    def _take_rest(self, ino: int, offset: int) -> Page | None:
        if (ino, offset) != self._rest_of:
            return None
        while self._rest_work is not None:
            self.step()
        return self._rest

    def _take_next(self, ino: int) -> Page | None:
        while ino == self._making and not self._ready:
            self.step()
        return self._ready[0][1] if self._ready and self._ready[0][0] == ino else None

    def _find(self, ino: int) -> bool:
        """Let the walk be at *ino*; whether it was coming."""
        coming, below = self._coming, self._below
        if coming and coming[-1] == ino:
            coming.pop()
        elif 1 < below <= len(coming) and coming[-below] == ino:  # the other end
            self._backward = not self._backward
            coming[-below:] = reversed(coming[-below:])
            coming.pop()
        elif ino in coming:
            del coming[coming.index(ino) :]  # what came before it is left out
        else:
            coming.clear()
            return False
        return True

    def _inside_too(self, page: Page) -> None:
        if len(self._inside) < COMING:
            self._inside += page.directories

    def _follow(self, page: Page) -> None:
        """*page* is on its way to the kernel, and not among what was ready: what is next?"""
        self._rest = self._rest_work = None
        self._rest_of = 0, 0
        self._goes_on = False
        if page.full:
            self._rest_of = page.directory.ino, page.offset
            self._rest_work = self._fill(page.directory, page.listing, page.offset)
        else:
            self._push(self._inside)
            self._below = min(len(self._inside), len(self._coming))
            self._goes_on = self._known

    def _push(self, directories: list[int]) -> None:
        coming = self._coming
        coming += directories if self._backward else reversed(directories)
        del coming[:-COMING]

    def _made(self, page: Page | None) -> None:
        ino, self._making, self._work = self._making, 0, None
        if page is None:
            self._coming.append(ino)
            self._goes_on = False
            return
        self._ready.append((ino, page))
        if page.full:
            self._goes_on = False  # what is in it is not known yet
        else:
            self._push(page.directories)

    def _take_back(self) -> None:
        """Let what is coming be what it was before anything was made."""
        if self._making:
            self._coming.append(self._making)
            self._making, self._work = 0, None
        while self._ready:
            ino, page = self._ready.pop()
            if page.directories and not page.full:
                del self._coming[-len(page.directories) :]
            self._coming.append(ino)

    def _make(self, ino: int) -> Work:
        tree = self._trees.get(ino >> TREE_SHIFT)
        directory = tree.node(ino) if tree is not None else None
        if not isinstance(directory, Directory) or directory.about() > FEW:
            return None
        yield
        listing = directory.entries()
        assert isinstance(listing, Rows)
        yield
        return (yield from self._fill(directory, listing, 0))

    def _fill(self, directory: Directory, listing: Rows, offset: int) -> Work:
        size = self._size
        page = self._pages.begin(directory, listing, offset, size, memoryview(bytearray(size)))
        while not page.add(STEP):
            yield
        return page
