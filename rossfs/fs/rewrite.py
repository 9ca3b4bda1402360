"""Opening published content for writing.

Published content is never truncated in place: readers would see it empty or torn.  Instead

 1. OPEN for writing of a published node marks the thread that asks, and answers ESTALE;
 2. the kernel walks the path again and asks for every name anew, whatever it has cached
    (fs/namei.c, do_filp_open: LOOKUP_REVAL);
 3. while the thread is marked, each LOOKUP asks the directory for the file to write instead
    (`Directory.rewrite`), which the kernel may not cache;
 4. the next OPEN of that thread ends the mark: of the file to write, or, where no directory on the
    path offered one, of the same published node again, which is EROFS.

A mark is over after a second in any case: its thread may have died.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import NamedTuple

from rossfs.tree.node import Node

LIFETIME = 1.0
"""Seconds that a walk may take until its mark is over."""

_MANY = 64
"""With more marks than this, those of threads that died are looked for."""


class Mark(NamedTuple):
    """*node* was to be opened with *flags*; nobody believes this after *expiry*."""

    node: Node
    flags: int
    expiry: float


class Rewrites:
    """The marks of one mount, by thread.  `marks` is empty almost always."""

    __slots__ = ("_clock", "marks")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.marks: dict[int, Mark] = {}
        self._clock = clock

    def take(self, thread: int) -> Mark | None:
        """*thread* opens something: its walk is over.  What it was walking for, if it was."""
        return self.marks.pop(thread, None)

    def refuse(self, node: Node, flags: int, thread: int, before: Mark | None) -> OSError:
        """The answer to *thread*, which opened the published *node* for writing and had the mark
        *before*."""
        now = self._clock()
        walked = before is not None and before.node.ino == node.ino and before.expiry > now
        # The kernel gives 0 for threads outside its pid namespace: they cannot be told apart.
        if walked or thread == 0:
            return OSError(errno.EROFS, "published content is not changed in place")
        if len(self.marks) >= _MANY:
            for dead in [t for t, mark in self.marks.items() if mark.expiry <= now]:
                del self.marks[dead]
        self.marks[thread] = Mark(node, flags, now + LIFETIME)
        return OSError(errno.ESTALE, "published content: walk the path again")

    def walking(self, thread: int) -> Mark | None:
        """What *thread* wants to rewrite while it walks a path."""
        mark = self.marks.get(thread)
        if mark is not None and mark.expiry <= self._clock():
            del self.marks[thread]
            return None
        return mark
