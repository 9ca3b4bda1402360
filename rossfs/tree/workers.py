"""The threads of one mount in which layers are opened, and their files read.

What takes as long as a layer is large has threads of its own: however many layers are being hashed,
indexed or copied, who reads a file of another one waits for other readers only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from rossfs.store.descriptors import again

T = TypeVar("T")

OPENERS = 16
"""Most of these wait: for the disk, another process, or another thread that opens the same."""


class Workers:
    """Runs what would keep the mount from answering; twice, if it met too many open files."""

    __slots__ = ("_openers", "_readers")

    def __init__(self) -> None:
        self._openers = trio.CapacityLimiter(OPENERS)
        # Decoding keeps a processor busy: more threads would only make each reader wait longer.
        self._readers = trio.CapacityLimiter(max(2, os.cpu_count() or 1))

    async def open(self, work: Callable[[], T]) -> T:
        """Run what may take long.  It goes on, unheard, when nobody waits for it any more."""
        return await trio.to_thread.run_sync(
            partial(again, work), limiter=self._openers, abandon_on_cancel=True
        )

    async def read(self, work: Callable[[], T]) -> T:
        """Run what takes as long as the bytes that it reads."""
        return await trio.to_thread.run_sync(partial(again, work), limiter=self._readers)
