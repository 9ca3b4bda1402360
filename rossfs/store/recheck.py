"""Looking twice: what seems wrong may be somebody's half-done change.

A check takes no lock while it looks, so between two looks of it content may go and come.  Whatever
it finds wrong counts only if it is still wrong at a moment at which nobody changes the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rossfs.store.access import Access

_INTERVAL = 0.02

_PATIENCE = 10.0
"""Seconds that one check waits in total for such moments.  Writers hold the store lock for less
than a second each, and not all the time."""


class Recheck:
    """The second looks of one check.  Not thread safe."""

    __slots__ = ("_access", "_left")

    def __init__(self, access: Access) -> None:
        self._access = access
        self._left = _PATIENCE

    def persists(self, is_wrong: Callable[[], bool]) -> bool:
        """Whether *is_wrong* holds, and still does while nobody changes the store."""
        while is_wrong():
            with self._access.idle() as idle:
                if idle or self._left <= 0:
                    return is_wrong()
            time.sleep(_INTERVAL)
            self._left -= _INTERVAL
        return False
