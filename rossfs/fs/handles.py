"""Numbers of what is open.

The kernel names an open file or directory by the number that its opening was answered, and gives
it back exactly once.  Numbers are never used twice in a mount, so a late request cannot reach
another file.
"""

from __future__ import annotations

import errno
from itertools import count
from typing import Generic, TypeVar

from pyfuse3 import FUSEError

T = TypeVar("T")


class Handles(Generic[T]):
    """What is open, by number."""

    __slots__ = ("_numbers", "by_number")

    def __init__(self) -> None:
        self._numbers = count(1)
        self.by_number: dict[int, T] = {}

    def add(self, item: T) -> int:
        """Number *item*."""
        number = next(self._numbers)
        self.by_number[number] = item
        return number

    def get(self, number: int) -> T:
        """What is open under *number*; EBADF if nothing is."""
        item = self.by_number.get(number)
        if item is None:
            raise FUSEError(errno.EBADF)
        return item

    def take(self, number: int) -> T:
        """Like `get`, and the number is over."""
        item = self.by_number.pop(number, None)
        if item is None:
            raise FUSEError(errno.EBADF)
        return item

    def __len__(self) -> int:
        return len(self.by_number)
