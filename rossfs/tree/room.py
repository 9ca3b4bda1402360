"""Room for what programs put aside in the layouts of one mount: a descriptor each, and memory.

Bounded for each layout and for all together.  Where it ends, what dead processes left goes first,
the oldest before the younger; what a living process made or renamed stays, and so does what is
open, or holds something.  A process that has little of its own gets some more, so that one
that takes everything stops nobody else.

Of a process that cannot be told from others (`process.py`) nobody knows whether it lives: what it
left goes after as long as a pin of incoming/ counts.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rossfs.tree.process import Process

if TYPE_CHECKING:
    from rossfs.tree.staged import Staged
    from rossfs.tree.workplace import AsideDirectory, Workplace

_log = logging.getLogger("rossfs.tree")


class Limits(NamedTuple):
    """How many files and directories may be put aside."""

    layout: int = 500
    """In one layout."""
    mount: int = 1000
    process: int = 16
    """By one process beyond those two."""
    most: int = 1500
    """By all processes, whatever they have."""


class Use(NamedTuple):
    """Who used something that is put aside, and when."""

    process: Process | None
    at: float
    """Seconds of the monotonic clock."""


class Room:
    """What is put aside, of one mount.  In the event loop."""

    __slots__ = ("_counts", "_limits", "_patience", "_process_of", "_uses", "holding")

    def __init__(
        self,
        of: Callable[[int], Process | None],
        patience: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._process_of = of
        self._patience = patience
        """Seconds after which what nobody knows whom it belongs to is left over."""
        self._limits = limits or Limits()
        self._uses: dict[Staged | AsideDirectory, Use] = {}
        self._counts: Counter[str] = Counter()
        self.holding: set[Workplace] = set()
        """Directories that hold what was put aside, which the kernel may forget."""

    def entered(self, place: Workplace, node: Staged | AsideDirectory, thread: int) -> None:
        """*thread* put *node* into *place*."""
        self.holding.add(place)
        self._counts[place.layout] += 1
        self._uses[node] = Use(self._process_of(thread), time.monotonic())

    def left(self, place: Workplace, node: Staged | AsideDirectory) -> None:
        """*node* is in *place* no more."""
        if not place.aside:
            self.holding.discard(place)
        self._counts[place.layout] -= 1
        if not self._counts[place.layout]:
            del self._counts[place.layout]
        del self._uses[node]

    async def make(self, layout: str, thread: int) -> None:
        """*thread* is to put one more aside in *layout*.  OSError ENOSPC."""
        limits = self._limits
        if self._counts[layout] >= limits.layout:
            places = [place for place in self.holding if place.layout == layout]
            await self._tidy(places, lambda: limits.layout - self._counts[layout])
        if len(self._uses) >= limits.mount:
            await self._tidy(list(self.holding), lambda: limits.mount - len(self._uses))
        if self._counts[layout] < limits.layout and len(self._uses) < limits.mount:
            return
        process = self._process_of(thread)
        own = sum(use.process == process for use in self._uses.values())
        if own < limits.process and len(self._uses) < limits.most:
            return
        _log.warning(
            "oci/%s has %d temporary files and directories, all layouts %d: remove some",
            layout,
            self._counts[layout],
            len(self._uses),
        )
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def _tidy(self, places: list[Workplace], room: Callable[[], int]) -> None:
        """Take away what dead processes left in *places*, more than one, so that this is rare."""
        wanted = 1 + self._limits.layout // 4
        found = [
            (self._uses[node], place, name, node)
            for place in places
            for name, node in place.aside.items()
        ]
        found.sort(key=lambda each: each[0].at)
        alive: dict[Process, bool] = {}
        # A directory is empty once what is in it, younger than itself, is gone.
        for use, place, name, node in (*found, *reversed(found)):
            if room() >= wanted:
                return
            if place.aside.get(name) is node and self._is_left(node, use, alive):
                await place.discard_aside(name)

    def _is_left(self, node: Staged | AsideDirectory, use: Use, alive: dict[Process, bool]) -> bool:
        if node.busy:
            return False
        process = use.process
        if process is None:
            return use.at + self._patience() < time.monotonic()
        if process not in alive:
            alive[process] = self._process_of(process.number) == process
        return not alive[process]
