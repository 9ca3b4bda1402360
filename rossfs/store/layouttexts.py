"""Texts of index.json that are kept, for as long as nothing changes of which they are made.

A text is kept with the `state` of its repository: of the file of each tag, of the record, and of
the directories in which content lies.  Whoever changes one of them, in whatever process, gives it
another inode, or another time of its last change (st_ctime, which nobody can set).  The kernel's
clock may stand still for 10 ms, in which a second change would leave no trace: so a state is
believed only once nothing in it has changed for `YOUNG` seconds.

A tag file may be written in place (Ross does so), content only before its .meta is made.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from rossfs.store import areas, layoutrecord
from rossfs.store.paths import ALGORITHMS, Area, Paths

YOUNG = 0.1

_KEPT = 4 << 20
"""Bytes of texts."""


class Text(NamedTuple):
    """index.json of one repository."""

    data: bytes
    version: str
    """The hexadecimal SHA-256 of it."""


class Texts:
    """The texts of one store.  Thread safe."""

    __slots__ = ("_guard", "_kept", "_paths", "_size")

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, tuple[bytes, Text]] = OrderedDict()
        self._size = 0

    def state(self, repository: str) -> bytes | None:
        """What a text that is made from now on may be kept with; None if something has changed
        just now.  Looks at the status of every tag, in some 4 microseconds for each."""
        return _state(self._paths, repository)

    def find(self, repository: str, state: bytes | None) -> Text | None:
        """The text that was kept with the same *state*."""
        with self._guard:
            kept = self._kept.get(repository)
            if kept is None or kept[0] != state:
                return None
            self._kept.move_to_end(repository)
            return kept[1]

    def keep(self, repository: str, state: bytes | None, text: Text) -> None:
        """Keep *text*, which was made after *state* was asked for."""
        if state is None or len(text.data) > _KEPT // 4:
            return
        with self._guard:
            previous = self._kept.pop(repository, None)
            self._size += len(text.data) - (0 if previous is None else len(previous[1].data))
            self._kept[repository] = state, text
            while self._size > _KEPT:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._size -= len(oldest.data)


def _state(paths: Paths, repository: str) -> bytes | None:
    youngest = time.time_ns() - int(YOUNG * 1e9)
    hasher = hashlib.sha256()
    directories = [paths.area(area, algorithm) for area in Area for algorithm in ALGORITHMS]
    for path in (
        layoutrecord.path_of(paths, repository),
        paths.repository(repository),
        *directories,
    ):
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            hasher.update(b"-\0")
            continue
        if status.st_ctime_ns >= youngest:
            return None
        hasher.update(b"%d %d %d\0" % (status.st_ino, status.st_ctime_ns, status.st_size))
    for entry in areas.scan(paths.repository(repository)):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        if status.st_ctime_ns >= youngest:
            return None
        hasher.update(
            b"%b %d %d %d\0"
            % (os.fsencode(entry.name), status.st_ino, status.st_ctime_ns, status.st_size)
        )
    return hasher.digest()
