"""When a closed file ceases to be one: what those wait for who look at its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import trio

PATIENCE = 0.5
"""Seconds after a FLUSH during which its RELEASE is waited for: usually it is there at once, but
the kernel sends it behind reads ahead that are under way, which took 0.1 with eight readers of a
cold disk.  Who has a copy of the descriptor makes others wait for that long, once."""

RETRY = 1.0
"""Seconds after which a commit that failed, for want of room perhaps, is tried again."""


class Departure:
    """The end of one staged file, as far as others have to wait for it."""

    __slots__ = ("_changed", "_expected_until", "_retry_at", "_under_way")

    def __init__(self) -> None:
        self._changed = trio.Event()
        self._expected_until = 0.0
        self._retry_at = 0.0
        self._under_way = 0

    def expect(self) -> None:
        """A descriptor was closed: unless it has copies, RELEASE follows at once."""
        self._expected_until = trio.current_time() + PATIENCE

    def fail(self) -> None:
        """It could not be concluded now."""
        self._retry_at = trio.current_time() + RETRY

    def done(self) -> None:
        """It was concluded."""
        self._retry_at = 0.0

    def stir(self) -> None:
        """Those who wait shall look again."""
        self._changed.set()
        self._changed = trio.Event()

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """RELEASE is here."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self.stir()

    @property
    def is_under_way(self) -> bool:
        """Whether RELEASE is at work."""
        return self._under_way > 0

    @property
    def is_expected(self) -> bool:
        """Whether RELEASE should come at any moment."""
        return trio.current_time() < self._expected_until

    @property
    def is_due(self) -> bool:
        """Whether it is time to try again."""
        return not self._under_way and 0 < self._retry_at <= trio.current_time()

    async def wait(self) -> None:
        """Wait until something changed, or RELEASE is expected no longer."""
        until = float("inf") if self._under_way else self._expected_until
        with trio.move_on_at(until):
            await self._changed.wait()
