"""The bytes of a layer that is not compressed: those of the blob."""

from __future__ import annotations

from collections.abc import Callable


class PlainData:
    """A tar as it is.  Thread safe if what it is given is.

    *read* and *read_ready* are those of the blob; both know its bytes to be right.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        read_ready: Callable[[int, int], bytes | memoryview | None],
    ) -> None:
        self.read = read
        self.read_ready = read_ready

    def close(self) -> None:
        """Nothing is kept."""
