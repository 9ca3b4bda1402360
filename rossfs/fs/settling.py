"""Asking a directory that may have to load first, or to wait for work under way."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

import trio

from rossfs.tree.node import Directory, Unsettled

T = TypeVar("T")

ROUNDS = 100
"""Times that an answer may depend on new work: a directory that never settles must not hold its
caller for ever."""


async def settled(directory: Directory, ask: Callable[[], T]) -> T:
    """The answer of *ask* (lookup or entries of *directory*), when it can be given.

    EAGAIN after 100 rounds.  Passes no checkpoint if nothing has to be waited for.
    """
    if not directory.loaded:
        await directory.load()
    for _ in range(ROUNDS):
        try:
            return ask()
        except Unsettled:
            await directory.settle()
            await trio.lowlevel.checkpoint()  # let the work go on even if settle() did not wait
    raise OSError(errno.EAGAIN, "the directory is still changing")
