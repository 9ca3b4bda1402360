"""Who needs a layer to stay open: open files of it, whose bytes must not go while they are read.

Whoever refers to `Leases.current` has a lease, for as long as it does: that is one reference for
each file that is opened, and nothing is done when it is closed.
"""

from __future__ import annotations

import threading
from weakref import ReferenceType, ref


class Lease:
    """Something to refer to."""

    __slots__ = ("__weakref__",)


class Leases:
    """The leases of one layer.  Thread safe."""

    __slots__ = ("_given", "_lock", "current")

    def __init__(self) -> None:
        self.current = Lease()
        """For who opens a file now."""
        self._given: list[ReferenceType[Lease]] = []
        self._lock = threading.Lock()

    def held(self) -> bool:
        """Whether anybody has a lease."""
        with self._lock:
            given = [*self._given, ref(self.current)]
            # Only others can refer to the last one from here on.
            self.current = Lease()
            self._given = [lease for lease in given if lease() is not None]
            return bool(self._given)
