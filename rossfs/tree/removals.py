"""What a process removed in a layout is gone for that process, until it is there anew.

Looking a digest up in a layout finds any content of the store.  But who unlinks a name expects not
to find it: tar makes each file with O_EXCL, unlinks what is in the way, and begins again, for ever
if the name is still there.  So a digest that was unlinked is absent for the process that did it,
until the digest is put into the layout again or an index.json is written there; all others find it.

A lookup does not say who looks, only one that found nothing does (`Directory.missed`).  So a digest
that somebody removed is first absent for everybody; who did not remove it is answered ESTALE, upon
which the kernel walks the path again, and for a second the digest is there for all.  (If the
remover looks in that second he finds it, and removes it again.)

Bounded: those removed the longest ago are found again first.
"""

from __future__ import annotations

import errno
import os
import time
from collections import OrderedDict
from collections.abc import Callable

from rossfs.oci.digest import Digest
from rossfs.tree.process import Process

_MOST = 1024
"""Digests that are remembered."""

_PROCESSES = 16
"""Processes that are remembered for each."""

_SHOWN = 1.0
"""Seconds; as long as a walk may take (fs/rewrite.py)."""


class _Removal:
    """One digest of one layout."""

    __slots__ = ("processes", "shown", "thread", "told")

    def __init__(self) -> None:
        self.processes: dict[Process | None, None] = {}
        """Who removed it; None: somebody who cannot be told from others."""
        self.shown = 0.0
        """Until then it is there for all."""
        self.thread = -1
        self.told = 0.0
        """Who was told last to walk again, and when."""


class Removals:
    """What was removed in the layouts of one mount.  `made` in any thread, all else in the event
    loop."""

    __slots__ = ("_clock", "_most", "_process_of", "_removed")

    def __init__(
        self,
        of: Callable[[int], Process | None],
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process_of = of
        self._most = most
        self._clock = clock
        self._removed: OrderedDict[tuple[str, Digest], _Removal] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._removed)

    def removed(self, repository: str, digest: Digest, thread: int) -> None:
        """*thread* unlinked *digest*."""
        key = repository, digest
        removal = self._removed.setdefault(key, _Removal())
        self._removed.move_to_end(key)
        removal.processes[self._process_of(thread)] = None
        if len(removal.processes) > _PROCESSES:
            del removal.processes[next(iter(removal.processes))]
        removal.shown = 0.0
        if len(self._removed) > self._most:
            self._removed.popitem(last=False)

    def made(self, repository: str, digest: Digest | None = None) -> None:
        """*digest* was put into the layout, or (None) an index.json was."""
        if digest is not None:
            self._removed.pop((repository, digest), None)
            return
        for key in [key for key in tuple(self._removed) if key[0] == repository]:
            self._removed.pop(key, None)

    def hides(self, repository: str, digest: Digest) -> bool:
        """Whether a lookup is to find nothing, whoever looks."""
        removal = self._removed.get((repository, digest))
        return removal is not None and removal.shown <= self._clock()

    def is_gone(self, repository: str, digest: Digest, thread: int) -> bool:
        """Whether the process of *thread* removed it."""
        removal = self._removed.get((repository, digest))
        return removal is not None and self._process_of(thread) in removal.processes

    def missed(self, repository: str, digest: Digest, thread: int) -> None:
        """*thread* found nothing.  OSError ESTALE if it is to look again."""
        removal = self._removed.get((repository, digest))
        if removal is None or self._process_of(thread) in removal.processes:
            return
        now = self._clock()
        if removal.thread == thread and now < removal.told + _SHOWN:
            return  # removed again in between
        removal.shown, removal.thread, removal.told = now + _SHOWN, thread, now
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
