"""What each process last saw of index.json: the base when it writes that anew.

Tools read index.json, change what they read and write it back whole.  What a process changed can
only be told from what it had read, long before perhaps.  A process that looked for an index.json
that was not there, or for a layout, has seen that there was nothing; one that wrote knows what it
wrote.  Of one that saw nothing of it what is there now counts as read.  Processes that cannot be
told apart (`process.py`) remove nothing.

Bounded: dead processes go first, then those that saw something the longest ago.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from rossfs.tree.process import Process, process_of

T = TypeVar("T")

_MOST = 1024
"""Processes and layouts that are remembered."""

_BYTES = 64 << 20
"""Of texts, each counted once."""


class Base(NamedTuple):
    """From what a writer set out."""

    known: bool
    """False: from what is there when it begins to write."""
    text: bytes | None
    """None: nothing was there, or nobody can tell."""


class Readings:
    """What the processes saw, by layout.  Thread safe."""

    __slots__ = ("_guard", "_missed", "_most", "_process_of", "_seen")

    def __init__(self, most: int = _MOST, of: Callable[[int], Process | None] = process_of) -> None:
        self._guard = threading.Lock()
        self._most = most
        self._process_of = of
        self._seen: OrderedDict[tuple[Process, str], bytes] = OrderedDict()
        self._missed: OrderedDict[tuple[Process, str], None] = OrderedDict()

    def process(self, thread: int) -> Process | None:
        """The process of a thread, None if it cannot be told."""
        return self._process_of(thread)

    def saw(self, process: Process | None, repository: str, text: bytes) -> None:
        """*process* read or wrote *text* as the index.json of *repository*."""
        if process is None:
            return
        key = process, repository
        with self._guard:
            self._missed.pop(key, None)
            self._seen[key] = text
            self._seen.move_to_end(key)
            if len(self._seen) > self._most or len(text) * len(self._seen) > _BYTES:
                self._shrink()

    def missed(self, process: Process | None, repository: str) -> None:
        """*process* looked for the index.json of *repository*, or for that itself: there was
        none."""
        if process is None:
            return
        key = process, repository
        with self._guard:
            self._seen.pop(key, None)
            self._missed[key] = None
            self._missed.move_to_end(key)
            if len(self._missed) > self._most:
                self._bury(self._missed)
                while len(self._missed) > self._most:
                    self._missed.popitem(last=False)

    def base(self, process: Process | None, repository: str) -> Base:
        """From what *process* sets out when it writes the index.json of *repository*."""
        if process is None:
            return Base(True, None)
        key = process, repository
        with self._guard:
            if key in self._seen:
                return Base(True, self._seen[key])
            return Base(key in self._missed, None)

    def _shrink(self) -> None:
        self._bury(self._seen)
        while len(self._seen) > self._most or (len(self._seen) > 1 and self._size() > _BYTES):
            self._seen.popitem(last=False)

    def _bury(self, entries: OrderedDict[tuple[Process, str], T]) -> None:
        """Forget what dead processes saw."""
        for process in {process for process, _ in entries}:
            if self._process_of(process.number) != process:
                for key in [key for key in entries if key[0] == process]:
                    del entries[key]

    def _size(self) -> int:
        texts = {id(text): len(text) for text in self._seen.values()}
        return sum(texts.values())
