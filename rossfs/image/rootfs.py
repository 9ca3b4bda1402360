"""The root filesystem of an image: its layers as one tree, merged directory by directory.

Layers are read through their tables of contents, and nothing is kept for each entry: a directory is
merged whenever it is asked for.  The rules are those of `stack`, `graft` and `whiteout`.  All of it
may be used by several threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from rossfs.image.graft import push_grafted
from rossfs.image.layertree import HasToc
from rossfs.image.listing import Listing
from rossfs.image.merged import Merged, Place
from rossfs.image.record import IMPLIED, Record
from rossfs.image.stack import Stack

_REMEMBERED = 512
"""Half of the number of directories that are remembered."""

_MAX_DEPTH = 1 << 16
"""More than the components that a path in an archive can have."""

_NOTHING = Record(0, 0, 0o040755, 0, 0, 0, 0, 0, 0, 1, 0, 0, IMPLIED, 0)
"""The root directory of an image without layers."""


class Rootfs:
    """The merged tree of *layers*, the lowest first.

    root: its root directory.
    """

    __slots__ = ("_old", "_young", "layers", "lookup", "root", "stack")

    def __init__(self, layers: Sequence[HasToc], stack: Stack | None = None) -> None:
        """*stack*: has the trees of the layers, and may have more on top."""
        self.layers = tuple(layers)
        if stack is None:
            stack = Stack()
            for layer in self.layers:
                push_grafted(stack, layer.toc)
        self.stack = stack
        self.root = self.stack.view(len(self.layers))
        self.lookup = self.stack.find
        """lookup(directory, name): what *name* is in the directory, a Merged or the Place of the
        record that stands for all hard links of the file; None if there is no such name."""
        self._young: dict[Place, Merged] = {}
        self._old: dict[Place, Merged] = {}

    def lowest(self, count: int) -> Rootfs:
        """The root filesystem of the lowest *count* layers."""
        return Rootfs(self.layers[:count], self.stack)

    def entries(self, directory: Merged) -> Listing:
        """All names of *directory*, in order."""
        return Listing(self.stack, directory)

    def about(self, directory: Merged) -> int:
        """How many names *directory* may have, at most, but for a few that only links lead to."""
        trees = self.stack.trees
        return sum(len(trees[position].children(index)) for position, index in directory.parts)

    def directory(self, key: Place) -> Merged | None:
        """The directory that has this key; None if there is none, whatever the numbers are."""
        if not 0 <= key.position < len(self.layers):
            return self.root if key == self.root.key else None
        found = self._containing(key)
        return found if found is not None and found.key == key else None

    def parent(self, directory: Merged) -> Merged:
        """The directory that *directory* is in; the root is its own parent."""
        position, index = directory.key
        if not index:
            return self.root
        found = self._containing(Place(position, self.stack.trees[position].parent(index)))
        assert found is not None
        return found

    def name(self, directory: Merged) -> bytes:
        """The name of *directory* in its parent; empty for the root."""
        position, index = directory.key
        return self.stack.trees[position].name(index) if index else b""

    def resolve(self, path: bytes, follow_last: bool = True) -> Merged | Place:
        """What *path* leads to for a process whose root directory this is.

        PathNotFound, with the errno of path_resolution(7): ENOENT, ENOTDIR, ELOOP.
        """
        return self.stack.walk(self.root, path, follow_last=follow_last)

    def record(self, place: Place) -> Record:
        """The record at *place*, a file's or the owner of a directory."""
        if not self.layers:
            return _NOTHING
        return self.stack.trees[place.position].record(place.index)

    def layer_of(self, place: Place) -> HasToc:
        """The layer that *place* is in."""
        return self.layers[place.position]

    def _containing(self, place: Place) -> Merged | None:
        """The directory that the directory *place* of a layer is part of; None if it is hidden or
        no directory."""
        tree = self.stack.trees[place.position]
        position, index = place
        chain: list[Place] = []
        found = None
        while index:
            if index >= tree.limit or len(chain) > _MAX_DEPTH:
                return None
            found = self._recall(Place(position, index))
            if found is not None:
                break
            chain.append(Place(position, index))
            index = tree.parent(index)
        if found is None:
            found = self.root
        while chain:
            below = chain.pop()
            child: Merged | Place | None = None
            if len(found.parts) == 1 and not found.markers:
                child = self.stack.below_alone(below)
            if child is None:
                child = self.lookup(found, tree.name(below.index))
            if not isinstance(child, Merged) or below not in child.parts:
                return None
            found = child
            self._remember(below, found)
        return found

    def _recall(self, place: Place) -> Merged | None:
        found = self._young.get(place)
        if found is None:
            found = self._old.get(place)
            if found is not None:
                self._remember(place, found)
        return found

    def _remember(self, place: Place, directory: Merged) -> None:
        if len(self._young) >= _REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[place] = directory
