"""The layers of a root filesystem on top of one another: what a name means, what a path leads to.

Directory by directory, the highest layer first (image-spec layer.md, "Applying Changesets"; where
it leaves something open, what umoci 0.4.7 does):

* A directory over a directory replaces its attributes and keeps its content.  Anything else over
  anything else hides it.
* A whiteout or an opaque marker hides lower layers only, whatever its own layer has.
* A directory that no entry of its archive made has no attributes of its own: those of the lower
  layer's directory stay.  If there is nothing in it but markers, it is only where they apply, and
  does not make a directory.
* A hard link to a path that its layer does not have at that entry is that path as the lower layers
  have it; if none has it, what a later entry of its own layer makes there.

Nothing per entry is kept.
"""

from __future__ import annotations

import errno
import stat
from bisect import bisect_left
from collections.abc import Iterable
from zlib import crc32

from rossfs.errors import PathNotFound
from rossfs.image.layertree import LayerTree
from rossfs.image.merged import Merged, Place, Probe
from rossfs.image.record import HAS_WHITEOUTS, IMPLIED, LOWER_LINK, OPAQUE
from rossfs.image.whiteout import PREFIX
from rossfs.oci.quotation import quote

MAX_SYMLINKS = 40
"""Symbolic links followed in one path, as path_resolution(7)."""

MAX_LINKS = 40
"""Hard links to lower layers followed for one name."""

MAX_STEPS = 100_000
"""Components of paths walked for one name: only layers made to waste time need so many."""

_MARKERS = HAS_WHITEOUTS | OPAQUE
_TYPE = 0o170000
_DIRECTORY = stat.S_IFDIR
_new = tuple.__new__

Steps = list[tuple[bytes, Merged | None]]
"""A path from the root down: each name and its directory, None where there is none."""


class Budget:
    """How much may still be done for an answer; what needs more is not there."""

    __slots__ = ("links", "steps")

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.links = MAX_LINKS
        self.steps = steps


class Stack:
    """The trees of the layers, the lowest first."""

    __slots__ = ("_views", "trees")

    def __init__(self, trees: Iterable[LayerTree] = ()) -> None:
        self.trees = list(trees)
        self._views: dict[int, Merged] = {}

    def push(self, tree: LayerTree) -> None:
        """Put a layer on top."""
        self.trees.append(tree)

    def changed(self) -> None:
        """The highest tree is no longer what it was."""
        self._views.pop(len(self.trees), None)

    def view(self, count: int) -> Merged:
        """The root directory of the lowest *count* layers."""
        view = self._views.get(count)
        if view is None:
            view = self._views[count] = self._merge_roots(count)
        return view

    def _merge_roots(self, count: int) -> Merged:
        parts: list[Place] = []
        owner = None
        markers = 0
        sealed = False
        for position in reversed(range(count)):
            flags = self.trees[position].facts(0)[2]
            if not sealed:
                if flags & _MARKERS:
                    markers |= 1 << len(parts)
                parts.append(Place(position, 0))
            if owner is None and not flags & IMPLIED:
                owner = Place(position, 0)
            sealed = sealed or bool(flags & OPAQUE)
        key = parts[0] if parts else Place(0, 0)
        return Merged(tuple(parts), owner or key, key, markers)

    def find(
        self, directory: Merged, name: bytes, budget: Budget | None = None
    ) -> Merged | Place | None:
        """What *name* is in *directory*, or None.

        Of what is no directory, the Place of the record that stands for all its hard links.
        *budget*: for hard links to lower layers.
        """
        if name[:4] == PREFIX:
            return None
        if len(directory.parts) == 1:
            return self._find_alone(directory.parts[0], name, budget)
        probes = directory.probes or self._probe(directory)
        crc = crc32(name)
        wanted = crc << 32
        trees = self.trees
        parts: list[Place] = []
        owner = None
        solid = sealed = False
        markers = 0
        hiding = directory.markers
        for position, index, keys, first, end in probes:
            # Most layers have nothing of this name: one look at the keys tells.
            at = bisect_left(keys, wanted, first, end)
            child = -1
            if at < end and keys[at] >> 32 == crc:
                child = keys[at] & 0xFFFFFFFF
                if trees[position].name(child) != name:
                    child = trees[position].find(index, name)
            elif not end:
                child = trees[position].find(index, name)
            if child >= 0:
                mode, inode, flags = trees[position].facts(child)
                if mode & _TYPE != _DIRECTORY:
                    if solid:
                        break
                    if flags & LOWER_LINK:
                        return self._linked(position, child, budget)
                    return _new(Place, (position, inode))
                part = _new(Place, (position, child))
                if not sealed:
                    if flags & _MARKERS:
                        markers |= 1 << len(parts)
                    parts.append(part)
                if not flags & IMPLIED:
                    solid = True
                    if owner is None:
                        owner = part
                elif not solid:
                    solid = not trees[position].is_void(child)
                if flags & OPAQUE:
                    sealed = True
                if sealed and owner is not None:
                    break
            if hiding:
                if hiding & 1 and trees[position].find(index, PREFIX + name) >= 0:
                    break
                hiding >>= 1
        return self._merged(parts, owner, markers) if solid else None

    def _probe(self, directory: Merged) -> tuple[Probe, ...]:
        directory.probes = tuple(
            (*place, *self.trees[place.position].keys(place.index)) for place in directory.parts
        )
        return directory.probes

    def _find_alone(
        self, place: Place, name: bytes, budget: Budget | None
    ) -> Merged | Place | None:
        """As `find` in a directory of a single part."""
        position, index = place
        tree = self.trees[position]
        child = tree.find(index, name)
        if child < 0:
            return None
        mode, inode, flags = tree.facts(child)
        if mode & _TYPE != _DIRECTORY:
            if flags & LOWER_LINK:
                return self._linked(position, child, budget)
            return _new(Place, (position, inode))
        part = _new(Place, (position, child))
        if not flags & IMPLIED:
            return _alone(part, flags)
        if tree.is_void(child):
            return None
        return self._merged([part], None, 1 if flags & _MARKERS else 0)

    def below_alone(self, place: Place) -> Merged | None:
        """The directory at *place*, if that is one and its attributes are its own; only where the
        directory that holds it has a single part, which holds no whiteouts: nothing can hide it."""
        mode, _, flags = self.trees[place.position].facts(place.index)
        if mode & _TYPE != _DIRECTORY or flags & IMPLIED:
            return None
        return _alone(place, flags)

    def _merged(self, parts: list[Place], owner: Place | None, markers: int) -> Merged:
        if owner is None:
            owner = parts[0]
        tree = self.trees[owner.position]
        if owner.index >= tree.toc.count:
            owner = Place(owner.position, tree.owner(owner.index))
        return Merged(tuple(parts), owner, parts[0], markers)

    def _linked(self, position: int, index: int, budget: Budget | None) -> Place | None:
        """What a hard link to lower layers is: looked for below its own layer, which may hide it,
        then among what its layer has brought, later entries, symbolic links and moved
        directories."""
        tree = self.trees[position]
        budget = budget or Budget()
        if budget.links:
            budget.links -= 1
            target = tree.toc.link_target(index)
            for count in (position, position + 1):
                try:
                    found = self.walk(self.view(count), target, follow_last=False, budget=budget)
                except PathNotFound:
                    continue
                if isinstance(found, Place):
                    return found
        # A chain of later entries may be too long to follow, and is followed already.
        record = tree.toc.alone(index)
        return None if record.flags & LOWER_LINK else Place(position, record.inode)

    def walk(
        self, root: Merged, path: bytes, *, follow_last: bool, budget: Budget | None = None
    ) -> Merged | Place:
        """What *path* leads to, as for a process whose root directory is *root*.

        PathNotFound, with the errno of path_resolution(7): ENOENT, ENOTDIR, ELOOP.
        """
        steps: Steps = []
        end = self.follow(root, steps, path, follow_last=follow_last, budget=budget)
        if end is not None:
            return end
        if not steps:
            return root
        directory = steps[-1][1]
        assert directory is not None
        return directory

    def follow(
        self,
        root: Merged,
        steps: Steps,
        path: bytes,
        *,
        follow_last: bool,
        missing: bool = False,
        budget: Budget | None = None,
    ) -> Place | None:
        """Go along *path* from where *steps* end, which are changed to where it leads.

        A Place if that is no directory; then *steps* end in its directory.  With *missing*, names
        that are not there count as directories to be made.  PathNotFound as `walk`.
        """
        pending = path.split(b"/")
        if not pending[0]:
            steps.clear()
        pending.reverse()
        followed = 0
        budget = budget or Budget()
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if steps:
                    steps.pop()
                continue
            budget.steps -= 1
            if budget.steps < 0:
                raise _not_found(path, errno.ELOOP)
            here = steps[-1][1] if steps else root
            found = None if here is None else self.find(here, name, budget)
            if found is None and not missing:
                raise _not_found(path, errno.ENOENT)
            if found is None or isinstance(found, Merged):
                steps.append((name, found))
                continue
            text = self.symlink_text(found)
            if text is not None and (pending or follow_last):
                followed += 1
                if followed > MAX_SYMLINKS:
                    raise _not_found(path, errno.ELOOP)
                if text.startswith(b"/"):
                    steps.clear()
                pending += reversed(text.split(b"/"))
            elif pending:
                raise _not_found(path, errno.ENOTDIR)
            else:
                return found
        return None

    def symlink_text(self, place: Place) -> bytes | None:
        """The text of the symbolic link at *place*; None: it is none."""
        tree = self.trees[place.position]
        if not stat.S_ISLNK(tree.facts(place.index)[0]):
            return None
        return tree.toc.symlink_text(place.index)


def _alone(part: Place, flags: int) -> Merged:
    return Merged((part,), part, part, 1 if flags & _MARKERS else 0)


_REASONS = {
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "what comes before the last name is not a directory",
    errno.ELOOP: f"more than {MAX_SYMLINKS} symbolic links, or ones that are too long",
}


def _not_found(path: bytes, number: int) -> PathNotFound:
    error = PathNotFound(f"{quote(path)}: {_REASONS[number]}")
    error.errno = number
    return error
