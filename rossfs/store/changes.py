"""Whether directories of the store changed since they were last listed, by whatever process.

The question is answered by the kernel at the moment when it is asked (inotify(7)): an event is
queued before the call that caused it returns.  Watch a directory first, then list it: what comes
later is a change.  Where directories cannot be watched, or too many, everything counts as changed
when `BLIND` seconds are over.
"""

from __future__ import annotations

import os
import time

from inotify_simple import INotify, flags, parse_events

BLIND = 1.0
"""Seconds for which a listing is believed that nobody watches."""

MOST = 8192
"""Directories that are watched; the kernel has a limit for each user, and others need some."""

_MASK = (
    flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.CLOSE_WRITE
    | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
)  # fmt: skip

_READ = 1 << 16

_MOST_NAMES = 10_000
"""Names that are told one by one."""

_WHOLE = flags.DELETE_SELF | flags.MOVE_SELF | flags.Q_OVERFLOW | flags.UNMOUNT

Told = dict[str, set[str]] | None
"""The names that changed, by the paths of their directories; None: anything may have changed."""


class Changes:
    """Watches directories.  `watch` may be called in any thread, the rest in one."""

    __slots__ = ("_blind", "_inotify", "_looked", "_names", "_quiet", "_told", "_watched")

    def __init__(self) -> None:
        self._watched: dict[int, str] = {}
        self._quiet: set[int] = set()
        self._told: Told = None
        self._names = 0
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

    def watch(self, path: str, quiet: bool = False) -> None:
        """Tell of changes in the directory *path* from now on.  One that is not there is told of
        by the directory in which it would be.  *quiet*: only `told` tells."""
        if self._inotify is None:
            return
        if len(self._watched) >= MOST:
            self._blind = True
            return
        try:
            number = self._inotify.add_watch(path, _MASK)
            self._watched[number] = path
            if quiet:
                self._quiet.add(number)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            self._blind = True

    def happened(self) -> bool:
        """Whether something changed since this was asked last."""
        changed = self._read()
        now = time.monotonic()
        if changed or (self._blind and now - self._looked >= BLIND):
            self._looked = now
            return True
        return False

    def told(self) -> Told:
        """What changed since this was asked last; None the first time."""
        self._read()
        told, self._told, self._names = self._told, {}, 0
        return None if self._blind else told

    def _read(self) -> bool:
        """Take note of what the kernel tells; whether there is something that was not quiet."""
        changed = False
        if self._inotify is not None:
            fd = self._inotify.fileno()
            try:
                while data := os.read(fd, _READ):
                    for event in parse_events(data):
                        changed = changed or event.wd not in self._quiet
                        self._note(event.wd, event.mask, event.name)
            except BlockingIOError:
                pass
        return changed

    def _note(self, number: int, mask: int, name: str) -> None:
        if mask & flags.IGNORED:
            self._watched.pop(number, None)
            self._quiet.discard(number)
            return
        path = self._watched.get(number)
        self._names += 1
        if path is None or mask & _WHOLE or self._names > _MOST_NAMES:
            self._told = None
        elif self._told is not None:
            self._told.setdefault(path, set()).add(name)
