"""What a process removed in a layout is gone for that process, until it is there anew.

Looking a digest up in a layout finds any content of the store.  But who unlinks a name expects not
to find it: tar makes each file with O_EXCL, unlinks what is in the way, and begins again, for ever
if the name is still there.  So a digest that was unlinked is absent for the process that did it,
until the digest is put into the layout again or an index.json is written there; all others find it.

Bounded: those removed the longest ago are found again first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from rossfs.oci.digest import Digest
from rossfs.tree.process import Process

_MOST = 1024
"""Digests that are remembered."""

_PROCESSES = 16
"""Processes that are remembered for each."""


class Removals:
    """What was removed in the layouts of one mount.  `made` in any thread, all else in the event
    loop."""

    __slots__ = ("_most", "_process_of", "_removed")

    def __init__(self, of: Callable[[int], Process | None], most: int = _MOST) -> None:
        self._process_of = of
        self._most = most
        self._removed: OrderedDict[tuple[str, Digest], dict[Process | None, None]] = OrderedDict()
        """Who removed it; None: those who cannot be told apart."""

    def __bool__(self) -> bool:
        return bool(self._removed)

    def removed(self, repository: str, digest: Digest, thread: int) -> None:
        """*thread* unlinked *digest*."""
        key = repository, digest
        processes = self._removed.setdefault(key, {})
        self._removed.move_to_end(key)
        processes[self._process_of(thread)] = None
        if len(processes) > _PROCESSES:
            del processes[next(iter(processes))]
        if len(self._removed) > self._most:
            self._removed.popitem(last=False)

    def made(self, repository: str, digest: Digest | None = None) -> None:
        """*digest* was put into the layout, or (None) an index.json was."""
        if digest is not None:
            self._removed.pop((repository, digest), None)
            return
        for key in [key for key in tuple(self._removed) if key[0] == repository]:
            self._removed.pop(key, None)

    def hides(self, repository: str, digest: Digest) -> bool:
        """Whether anybody removed it."""
        return (repository, digest) in self._removed

    def is_gone(self, repository: str, digest: Digest, thread: int) -> bool:
        """Whether the process of *thread* removed it."""
        processes = self._removed.get((repository, digest))
        return processes is not None and self._process_of(thread) in processes
