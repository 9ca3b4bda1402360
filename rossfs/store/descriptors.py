"""What a process keeps open between two uses: how much, and what is closed first.

A process may open only so many files (RLIMIT_NOFILE).  What is kept open for speed alone, and can
be opened again, is entered here.  It may have half of the limit; the other half is for what users
hold open and for work under way.  Beyond that what was used least recently is closed, and last what
somebody still needs open.  Where the limit is met nevertheless, all of it is closed, and what
failed is tried once more.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar
from weakref import WeakSet

from rossfs.errors import TooManyFiles

EACH = 2
"""Descriptors of one keeper, at most."""

MOST = 4096
"""Keepers, at most, where nothing limits them."""

_SPARE = 8
"""One in so many is closed at once, so that not every opening has to look for one."""

_SHORTAGE = (errno.EMFILE, errno.ENFILE)

T = TypeVar("T")

_log = logging.getLogger("rossfs.store")


class Keeper(Protocol):
    """What keeps files open that it can open again."""

    used: int
    """`Descriptors.now` when it was used last."""

    def held(self) -> bool:
        """Whether somebody needs what is open to stay so, in case it is deleted."""

    def let_go(self) -> bool:
        """Close what is open, without waiting; False if that cannot be.  Who is reading at this
        moment goes on."""


def allowed() -> int:
    """How many keepers this process may have now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return max(1, min(soft // (2 * EACH), MOST))


class Descriptors:
    """The keepers of one process that have something open; they are not kept alive.  Thread safe.

    A use is marked by storing `now` in the keeper, which costs no lock: it goes up whenever
    something is opened, and the order of uses between two openings does not matter.
    """

    def __init__(self, most: Callable[[], int] = allowed) -> None:
        self.now = 0
        """Goes up when something is opened."""
        self._most = most
        self._lock = threading.Lock()
        self._keepers: WeakSet[Keeper] = WeakSet()

    def __len__(self) -> int:
        return len(self._keepers)

    def opened(self, keeper: Keeper) -> None:
        """*keeper* has something open now; others give way to it."""
        with self._lock:
            keeper.used = self.now + 1
            self.now += 2  # what is used from now on was used later than what was opened
            self._keepers.add(keeper)
            most = self._most()
            surplus = len(self._keepers) - most
            if surplus <= 0:
                return
            others = [other for other in self._order() if other is not keeper]
        self._close(others, surplus + most // _SPARE)

    def relieve(self) -> int:
        """Close all that can be closed; return how many keepers did."""
        with self._lock:
            keepers = self._order()
        return self._close(keepers, len(keepers))

    def _order(self) -> list[Keeper]:
        """What to close first.  Requires the lock."""
        return sorted(self._keepers, key=lambda keeper: (keeper.held(), keeper.used))

    def _close(self, keepers: list[Keeper], wanted: int) -> int:
        closed = 0
        for keeper in keepers:
            if closed == wanted:
                break
            # First taken out: who opens it again at this moment enters it again after that.
            with self._lock:
                self._keepers.discard(keeper)
            if keeper.let_go():
                closed += 1
            else:
                with self._lock:
                    self._keepers.add(keeper)
        return closed


PROCESS = Descriptors()
"""Those of this process."""


def again(work: Callable[[], T]) -> T:
    """Do *work*; once more if no more files could be opened, and some were closed then."""
    try:
        return work()
    except (OSError, TooManyFiles) as error:
        closed = PROCESS.relieve() if error.errno in _SHORTAGE else 0
        if not closed:
            raise
    _log.info("too many open files: closed what was kept open of %d layers", closed)
    return work()


def open_file(path: str, flags: int, mode: int = 0) -> int:
    """open(2), twice if need be, as `again`.  TooManyFiles; OSError."""
    try:
        return again(lambda: os.open(path, flags, mode))
    except OSError as error:
        if error.errno not in _SHORTAGE:
            raise
        failure = TooManyFiles(f"{path} cannot be opened: {error.strerror}")
        failure.errno = error.errno
        raise failure from error
