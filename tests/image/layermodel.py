"""A layer as image-spec, layer.md, describes it: a dict of paths, entry by entry.

Slow, and of another form than the table's builder: an oracle for it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

from rossfs.image.tarscan import HARDLINK, TarEntry

PREFIX, OPAQUE = b".wh.", b".wh..wh..opq"


class Impossible(Exception):
    """No file can be at a path."""


@dataclass(eq=False)
class Thing:
    """An inode: two paths of one Thing are hard links."""

    kind: int
    entry: TarEntry | None = None  # None: an implied directory
    opaque: bool = False
    target: bytes = b""  # of a hard link to what is not here
    later: Thing | None = None  # what a later entry has at the target
    paths: list[bytes] = field(default_factory=list)

    @property
    def is_directory(self) -> bool:
        return self.kind == stat.S_IFDIR


def joined(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


class Layer:
    """`things` is what the entries so far have made; `refused` the paths of what was not."""

    def __init__(self) -> None:
        self.things: dict[bytes, Thing] = {b"": Thing(stat.S_IFDIR)}
        self.refused: list[bytes] = []
        self.pending: list[Thing] = []

    def add(self, entry: TarEntry) -> None:
        try:
            self._add(entry)
        except Impossible:
            self.refused.append(entry.path)

    def real(self, path: bytes, hops: int = 0) -> tuple[bytes, bool]:
        """*path* without symlinks, and whether there was one."""
        here = b""
        components = path.split(b"/")
        for number, name in enumerate(components):
            if name in (b"", b"."):
                continue
            if name == b"..":
                here = here.rpartition(b"/")[0]
                continue
            thing = self.things.get(joined(here, name))
            if thing is None:
                if name.startswith(PREFIX):
                    raise Impossible
            elif thing.kind == stat.S_IFLNK and thing.entry:
                text = thing.entry.linkname
                if not text or hops == 40:
                    raise Impossible
                base = b"" if text.startswith(b"/") else here
                rest = b"/".join([base, text, *components[number + 1 :]])
                return self.real(rest, hops + 1)[0], True
            elif not thing.is_directory:
                raise Impossible
            here = joined(here, name)
        return here, hops > 0

    def _add(self, entry: TarEntry) -> None:
        parent, _, name = entry.path.rpartition(b"/")
        kind = entry.kind
        if not entry.path:
            if kind != stat.S_IFDIR:
                raise Impossible
            self.things[b""].entry = entry
            return
        marker = name.startswith(PREFIX)
        if marker:
            if name == PREFIX or (name.startswith(b".wh..wh.") and name != OPAQUE):
                raise Impossible
            kind = stat.S_IFREG
        elif kind == stat.S_IFCHR and not entry.rdev:
            raise Impossible
        parent, followed = self.real(parent)
        if marker and followed:
            return
        path = joined(parent, name)
        self._imply(parent)
        old = self.things.get(path)
        if kind == HARDLINK:
            thing = self._linked(entry, path, old)
        elif kind == stat.S_IFDIR:
            if old and old.is_directory:
                old.entry = entry
                return
            thing = Thing(kind, entry, opaque=old is not None)
        else:
            thing = Thing(kind, entry)
        for gone in [each for each in self.things if (each + b"/").startswith(path + b"/")]:
            del self.things[gone]
        self.things[path] = thing
        if name == OPAQUE:
            self.things[parent].opaque = True

    def _imply(self, directory: bytes) -> None:
        while directory not in self.things:
            self.things[directory] = Thing(stat.S_IFDIR)
            directory = directory.rpartition(b"/")[0]

    def _linked(self, entry: TarEntry, path: bytes, old: Thing | None) -> Thing:
        directory, _, name = entry.linkname.rpartition(b"/")
        target = joined(self.real(directory)[0], name)
        thing = self.things.get(target)
        if thing and self._is_void(target) and not path.startswith(target + b"/"):
            thing = None
        if not name or name.startswith(PREFIX) or target == path or (thing and thing.is_directory):
            raise Impossible
        if old and old.is_directory and target.startswith(path + b"/"):
            raise Impossible
        if thing is None:
            thing = Thing(HARDLINK, entry, target=target)
            self.pending.append(thing)
        return thing

    def _is_void(self, path: bytes) -> bool:
        """Whether only whiteouts make a directory of *path*."""
        return all(
            (thing.is_directory and thing.entry is None)
            or each.rpartition(b"/")[2].startswith(PREFIX)
            for each, thing in self.things.items()
            if (each + b"/").startswith(path + b"/")
        )

    def finish(self) -> None:
        """Decide what the links are, in this layer alone, whose targets were not there."""
        ends: dict[Thing, Thing | None] = {thing: self._there(thing) for thing in self.pending}
        for thing in self.pending:
            end = ends[thing]
            for _ in self.pending:
                end = ends.get(end, end) if end else None
            if end is not None and end not in ends and not end.is_directory:
                thing.later = end
        for path, thing in self.things.items():
            thing.paths.append(path)

    def _there(self, thing: Thing) -> Thing | None:
        directory, _, name = thing.target.rpartition(b"/")
        try:
            return self.things.get(joined(self.real(directory)[0], name))
        except Impossible:
            return None
