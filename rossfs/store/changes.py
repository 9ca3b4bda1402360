"""Whether directories of the store changed since they were last listed, by whatever process.

The question is answered by the kernel at the moment when it is asked (inotify(7)): an event is
queued before the call that caused it returns.  Watch a directory first, then list it: what comes
later is a change.  Where directories cannot be watched, or too many, everything counts as changed
when `BLIND` seconds are over.
"""

from __future__ import annotations

import os
import time

from inotify_simple import INotify, flags

BLIND = 1.0
"""Seconds for which a listing is believed that nobody watches."""

MOST = 8192
"""Directories that are watched; the kernel has a limit for each user, and others need some."""

_MASK = (
    flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.CLOSE_WRITE
    | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
)  # fmt: skip

_READ = 1 << 16


class Changes:
    """Watches directories.  `watch` may be called in any thread, the rest in one."""

    __slots__ = ("_blind", "_inotify", "_looked", "_watched")

    def __init__(self) -> None:
        self._watched: set[int] = set()
        self._blind = False
        self._looked = time.monotonic()
        try:
            self._inotify: INotify | None = INotify(nonblocking=True)
        except OSError:
            self._inotify = None
            self._blind = True

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
            self._blind = True

    def __del__(self) -> None:
        self.close()

    def watch(self, path: str) -> None:
        """Tell of changes in the directory *path* from now on.  One that is not there is told of
        by the directory in which it would be."""
        if self._inotify is None:
            return
        if len(self._watched) >= MOST:
            self._blind = True
            return
        try:
            self._watched.add(self._inotify.add_watch(path, _MASK))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            self._blind = True

    def happened(self) -> bool:
        """Whether something changed since this was asked last."""
        changed = False
        if self._inotify is not None:
            fd = self._inotify.fileno()
            try:
                while os.read(fd, _READ):
                    changed = True
            except BlockingIOError:
                pass
        now = time.monotonic()
        if changed or (self._blind and now - self._looked >= BLIND):
            self._looked = now
            return True
        return False
