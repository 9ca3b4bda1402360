"""What becomes of a file that is being written: the part of a staged file that knows where it is.

The methods that take an ingest run in worker threads, one at a time.
"""

from __future__ import annotations

import abc
import errno
import os
from typing import TYPE_CHECKING

from rossfs.store.contents import Contents
from rossfs.store.ingest import Ingest

if TYPE_CHECKING:
    from rossfs.tree.staged import Staged


class Place(abc.ABC):
    """Where a staged file is, and what becomes of it."""

    __slots__ = ()

    @property
    def algorithm(self) -> str:
        """With what the bytes are hashed as they arrive."""
        return "sha256"

    @property
    def path(self) -> str:
        """The file where the bytes are while it waits."""
        return ""

    @property
    def hidden(self) -> bool:
        """Whether others see what was there before until the last writer is gone."""
        return False

    @property
    def mapped(self) -> bool:
        """Whether a program that writes it may map it, too (mmap(2) with MAP_SHARED)."""
        return True

    @property
    def reason(self) -> bytes | None:
        """Why it was refused and waits."""
        return None

    # Beginning

    def size(self) -> int:
        """How long it will be after `fill`."""
        return 0

    def adopt(self, contents: Contents) -> Ingest:
        """It waits, and is opened for writing.  Busy if another process writes it."""
        return Ingest.adopt(contents, self.path, self.algorithm)

    def begin(self, contents: Contents, waits: bool, empty: bool) -> Ingest:
        """The bytes to write to: those that wait, none, or a copy of what was there before."""
        if waits:
            return self.adopt(contents)
        ingest = Ingest.create(contents, self.algorithm)
        if not empty:
            try:
                self.fill(ingest)
            except BaseException:
                ingest.abort()
                raise
        return ingest

    def renew(self, contents: Contents) -> Ingest:
        """Its bytes were published when a descriptor was closed, or when it was renamed, and are
        written further by another descriptor: a copy of them.  ESTALE where that cannot be."""
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def fill(self, ingest: Ingest) -> None:  # noqa: B027 - most files begin empty
        """It is opened for the first time, and not to be emptied: write what was there before."""

    def was_read(self) -> None:  # noqa: B027 - most places need not know
        """Who writes it has read what was there before.  In the event loop."""

    def revive(self) -> bool:
        """Somebody who looked before it was committed opens it now: whether it may begin anew."""
        return False

    def began(self, staged: Staged) -> None:  # noqa: B027 - not every place keeps account
        """It is open now.  In the event loop."""

    # Judging

    @abc.abstractmethod
    def judge(self, ingest: Ingest) -> bool:
        """Its writers may be done: make it durable, and accept it (True) so that nothing can go
        wrong any more, or let it wait (False).  RossfsError refuses it."""

    def check(self, ingest: Ingest) -> None:
        """fsync(2): make it durable; RossfsError if it is wrong already."""
        ingest.sync()

    def withdraw(self) -> None:  # noqa: B027 - not every place promises something
        """What was accepted is about to change.  Any thread."""

    # Ending

    @abc.abstractmethod
    def carry_out(self, ingest: Ingest) -> None:
        """It was accepted, and the last writer is gone.  Closes the ingest.  May be called again
        after an error."""

    @abc.abstractmethod
    def leave(self, ingest: Ingest, reason: str | None) -> bool:
        """It was not accepted, for *reason* if it was refused, and the last writer is gone.  Closes
        the ingest; returns whether there is a file that waits."""

    def ended(self, staged: Staged) -> None:  # noqa: B027 - not every place keeps account
        """The last writer is gone and all is done.  In the event loop."""
