"""A listing whose entries are made as they are asked for."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import overload

from rossfs.tree.node import Entry


class Lazy(Sequence[Entry | None]):
    """What is left to do is to count (`__len__`) and to make one (`entry`)."""

    __slots__ = ()

    @abc.abstractmethod
    def entry(self, index: int) -> Entry | None:
        """The entry at *index*, or None if it is gone since the snapshot.  IndexError."""

    @overload
    def __getitem__(self, index: int) -> Entry | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry | None]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry | None] | None:
        if isinstance(index, slice):
            return [self.entry(position) for position in range(*index.indices(len(self)))]
        return self.entry(index)
