"""What each process last saw of index.json: the base when it writes that anew.

Tools read index.json, change what they read and write it back whole.  What a process changed can
only be told from what it had read, long before perhaps.  A process that looked for an index.json
that was not there, or for a layout, has seen that there was nothing; one that wrote knows what it
wrote.  Of one that saw nothing of it what is there now counts as read.  Processes that cannot be
told apart (`process.py`) remove nothing.

Threads of one process may each read and write, and programs in Go do each step in any thread.  So
what each thread read last may be what a writing began with as well (`bases.py`), for ten minutes,
unless another writing used it up.  A process with one thread does one thing after the other.

Bounded: dead processes go first, then those that saw something the longest ago.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from rossfs.tree.process import Process, is_alone, process_of

T = TypeVar("T")

_MOST = 1024
"""Processes and layouts that are remembered."""

_BYTES = 64 << 20
"""Of texts, each counted once."""

_THREADS = 8
"""Threads that are remembered of a process and a layout, beside the last."""

_LASTING = 600.0
_LASTING_ABSENT = 60.0
"""Seconds for which they count, and for which it counts that there was no index.json."""


class Base(NamedTuple):
    """From what a writer set out."""

    known: bool
    """False: from what is there when it begins to write."""
    text: bytes | None
    """None: nothing was there, or nobody can tell."""
    others: tuple[bytes | None, ...] = ()
    """What else it may have set out from."""


class Who(NamedTuple):
    """A thread of a process."""

    process: Process
    thread: int


class Reading(NamedTuple):
    """What a thread read or wrote last."""

    thread: int
    text: bytes | None
    """None: it saw that there was nothing."""
    at: float
    left: bool
    """It was read, and nothing was made of it since."""


def _lasts(reading: Reading, now: float) -> bool:
    return now < reading.at + (_LASTING_ABSENT if reading.text is None else _LASTING)


class Readings:
    """What the processes saw, by layout.  Thread safe."""

    __slots__ = ("_clock", "_guard", "_is_alone", "_missed", "_most", "_process_of", "_seen")

    def __init__(
        self,
        most: int = _MOST,
        of: Callable[[int], Process | None] = process_of,
        alone: Callable[[Process], bool] = is_alone,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = threading.Lock()
        self._most = most
        self._process_of = of
        self._is_alone = alone
        self._clock = clock
        self._seen: OrderedDict[tuple[Process, str], tuple[Reading, ...]] = OrderedDict()
        """What each thread saw or wrote, the last one last."""
        self._missed: OrderedDict[tuple[Process, str], tuple[Reading, ...]] = OrderedDict()
        """Of those who saw last that there was nothing: they push out each other only."""

    def process(self, thread: int) -> Process | None:
        """The process of a thread, None if it cannot be told."""
        return self._process_of(thread)

    def who(self, thread: int) -> Who | None:
        """The thread and its process; None if that cannot be told."""
        process = self._process_of(thread)
        return None if process is None else Who(process, thread)

    def saw(self, who: Who | None, repository: str, text: bytes) -> None:
        """*who* read *text* as the index.json of *repository*."""
        self._note(who, repository, text, left=True)

    def wrote(self, who: Who | None, repository: str, text: bytes) -> None:
        """*who* wrote *text* as the index.json of *repository*."""
        self._note(who, repository, text, left=False)

    def missed(self, who: Who | None, repository: str) -> None:
        """*who* looked for the index.json of *repository*, or for that itself: there was none."""
        self._note(who, repository, None, left=True)

    def _note(self, who: Who | None, repository: str, text: bytes | None, left: bool) -> None:
        if who is None:
            return
        key, now = (who.process, repository), self._clock()
        with self._guard:
            table = self._missed if text is None else self._seen
            found = self._seen.pop(key, ()) or self._missed.pop(key, ())
            own = [each for each in found if each.thread == who.thread]
            kept = [each for each in found if each.thread != who.thread]
            if not left and not any(each.left for each in own):
                # It was read in another thread, the last one as likely as not.
                read = [position for position, each in enumerate(kept) if each.left]
                if read:
                    del kept[read[-1]]
            kept = [each for each in kept if _lasts(each, now)][-_THREADS:]
            table[key] = (*kept, Reading(who.thread, text, now, left))
            if len(table) > self._most or (text is not None and self._may_be_long(text)):
                self._shrink(table)

    def _may_be_long(self, text: bytes) -> bool:
        return len(text) * len(self._seen) * (_THREADS + 1) > _BYTES and self._size() > _BYTES

    def base(self, who: Who | None, repository: str) -> Base:
        """From what *who* sets out when it writes the index.json of *repository*."""
        if who is None:
            return Base(True, None)
        key = who.process, repository
        with self._guard:
            found = self._seen.get(key) or self._missed.get(key)
        if found is None:
            return Base(False, None)
        *others, last = found
        now = self._clock()
        texts = {
            each.text: None
            for each in others
            if each.text != last.text
            and (each.left or each.thread == who.thread)
            and _lasts(each, now)
        }
        if not texts or self._is_alone(who.process):
            return Base(True, last.text)
        return Base(True, last.text, tuple(texts))

    def _shrink(self, table: OrderedDict[tuple[Process, str], tuple[Reading, ...]]) -> None:
        self._bury(table)
        while len(table) > self._most or (len(table) > 1 and self._size() > _BYTES):
            table.popitem(last=False)

    def _bury(self, entries: OrderedDict[tuple[Process, str], T]) -> None:
        """Forget what dead processes saw."""
        for process in {process for process, _ in entries}:
            if self._process_of(process.number) != process:
                for key in [key for key in entries if key[0] == process]:
                    del entries[key]

    def _size(self) -> int:
        every = (*self._seen.values(), *self._missed.values())
        texts = (each.text for found in every for each in found)
        return sum({id(text): len(text) for text in texts if text is not None}.values())
