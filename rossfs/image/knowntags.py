"""The tags of a store as they were read last, of which only those are read again that changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from rossfs.errors import Damaged, NotFound
from rossfs.oci.digest import Digest
from rossfs.store.changes import Told
from rossfs.store.paths import Paths
from rossfs.store.tags import TagName, Tags

MOST = 100_000
"""Tags that are remembered, with some 200 bytes for each; those beyond are read each time."""


class _Known(NamedTuple):
    """One directory of tags/."""

    tags: dict[str, Digest | None]
    """None: it could not be read."""
    below: set[str]


class KnownTags:
    """The tags of one store.  To be used by one thread at a time."""

    __slots__ = ("_count", "_kept", "_paths", "_tags")

    def __init__(self, tags: Tags, paths: Paths) -> None:
        self._tags = tags
        self._paths = paths
        self._kept: dict[str, _Known] = {}
        self._count = 0

    def forget(self) -> None:
        """Read everything the next time."""
        self._kept.clear()
        self._count = 0

    def all(
        self, watch: Callable[[str], None], told: Told
    ) -> Generator[tuple[TagName, Digest | None], None, None]:
        """All tags in the order of their names, and what they name; None: that cannot be read.

        *watch* is called with each directory before it is read for the first time; *told* is what
        has changed since the last time.  If this is left, or raises, everything is read the next
        time.
        """
        if told is None:
            self.forget()
            told = {}
        try:
            yield from self._directory(watch, told, "")
        except BaseException:
            self.forget()
            raise

    def _directory(
        self, watch: Callable[[str], None], told: dict[str, set[str]], prefix: str
    ) -> Iterator[tuple[TagName, Digest | None]]:
        path = self._paths.repository(prefix) if prefix else self._paths.tags
        known = self._kept.get(prefix)
        if known is None:
            watch(path)
            known = self._read(prefix)
            if self._count + len(known.tags) <= MOST and os.path.isdir(path):
                self._kept[prefix] = known
                self._count += len(known.tags)
        else:
            for name in told.get(path, ()):
                self._look(prefix, known, name)
        above = f"{prefix}/" if prefix else ""
        for name in sorted((*known.tags, *known.below)):
            if name in known.below:
                yield from self._directory(watch, told, above + name)
            else:
                yield TagName(prefix, name), known.tags[name]

    def _read(self, prefix: str) -> _Known:
        known = _Known({}, set())
        try:
            for name, is_repository in self._tags.entries(prefix):
                if is_repository:
                    known.below.add(name)
                else:
                    self._read_tag(prefix, known, name)
        except NotFound:  # it went this moment
            pass
        return known

    def _read_tag(self, prefix: str, known: _Known, name: str) -> None:
        try:
            found = self._tags.find(prefix, name)
        except Damaged:
            known.tags[name] = None
            return
        if found is not None:
            known.tags[name] = found.digest

    def _look(self, prefix: str, known: _Known, name: str) -> None:
        """Look at *name* again, which is in a directory that is known."""
        path = f"{prefix}/{name}" if prefix else name
        if name in known.below:
            known.below.discard(name)
            for other in [one for one in self._kept if f"{one}/".startswith(f"{path}/")]:
                self._count -= len(self._kept.pop(other).tags)
        before = len(known.tags)
        known.tags.pop(name, None)
        if self._tags.is_repository(path):
            known.below.add(name)
        else:
            self._read_tag(prefix, known, name)
        self._count += len(known.tags) - before
