"""Directories of a layer that belong elsewhere: where lower layers have a symbolic link.

A layer that has `bin/tool` but no entry `bin`, over a layer in which `bin` is a symbolic link to
`usr/bin`, puts the tool into `usr/bin`: umoci and containerd follow the link inside the root, and
make the directories that it names where there are none.  A GraftedTree shows a layer's table of
contents with such directories moved; the records stay what they are.

Where the link leads to a file or in circles, the link stays and what is in the directory is not
shown (umoci refuses to unpack such an image).  Whiteouts go along with their directory.  An opaque
marker does not: it must not clear what a link leads to.

Work is bounded: only implied directories over directories of lower layers are looked at.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence

from rossfs.errors import PathNotFound
from rossfs.image.layertree import LayerTree
from rossfs.image.merged import Merged, Place
from rossfs.image.record import HAS_WHITEOUTS, IMPLIED, Record
from rossfs.image.stack import MAX_LINKS, Budget, Stack, Steps
from rossfs.image.toc import Toc
from rossfs.image.whiteout import whiteout_of

_UNKNOWN, _BARE, _COVERS = range(3)
"""Of a directory of the layer: whether lower layers have a directory where it is."""

_STEPS = 4_000_000
"""Components of paths walked for the links that are in the way of one layer."""

_REMEMBERED = 1024
"""Merged directories that are kept while a layer is looked through."""


class GraftedTree(LayerTree):
    """The tree of a layer with directories moved.

    A directory that only the move makes has an index from `toc.count` on, the same each time.
    """

    __slots__ = ("_absorbed", "_added", "_made", "_overrides")

    def __init__(self, toc: Toc) -> None:
        super().__init__(toc)
        self.find = self._find
        self.children = self._children
        self._overrides: dict[int, dict[bytes, int]] = {}
        """Of a directory of the table: names that are something else here, -1: gone."""
        self._added: dict[int, list[int]] = {}
        """Directory to those whose children it shows beside its own."""
        self._absorbed: dict[int, int] = {}
        """The reverse: to the directory that shows the children."""
        self._made: list[tuple[int, bytes]] = []
        """Parent and name of the directories that have no record."""

    def _find(self, directory: int, name: bytes) -> int:
        for place in (directory, *self._added.get(directory, ())):
            child = self._find_own(place, name)
            if child >= 0:
                return child
        return -1

    def _find_own(self, directory: int, name: bytes) -> int:
        child = self._overrides.get(directory, {}).get(name)
        if child is None:
            child = self.toc.find(directory, name) if directory < self.toc.count else -1
        return child

    def _children(self, directory: int) -> Sequence[int]:
        added = self._added.get(directory, ())
        if not added and directory not in self._overrides:
            return self.toc.children(directory) if directory < self.toc.count else ()
        names: dict[bytes, int] = {}
        for place in (directory, *added):
            here: dict[bytes, int] = {}
            if place < self.toc.count:
                here = {self.toc.name(child): child for child in self.toc.children(place)}
            here.update(self._overrides.get(place, {}))
            for name, child in here.items():
                if child >= 0:
                    names.setdefault(name, child)
        return [names[name] for name in sorted(names)]

    @property
    def limit(self) -> int:
        return self.toc.count + len(self._made)

    def keys(self, directory: int) -> tuple[Sequence[int], int, int]:
        if directory in self._added or directory in self._overrides:
            return (), 0, 0
        return super().keys(directory) if directory < self.toc.count else ((), 0, 0)

    def facts(self, index: int) -> tuple[int, int, int]:
        if index < self.toc.count:
            mode, inode, flags = super().facts(index)
        else:
            mode, inode, flags = stat.S_IFDIR | 0o755, index, IMPLIED
        for added in self._added.get(index, ()):
            if added < self.toc.count:
                flags |= super().facts(added)[2] & HAS_WHITEOUTS
        return mode, inode, flags

    def record(self, index: int) -> Record:
        return self.toc.record(self.owner(index))

    def name(self, index: int) -> bytes:
        if index < self.toc.count:
            return self.toc.name(index)
        return self._made[index - self.toc.count][1]

    def parent(self, index: int) -> int:
        if index < self.toc.count:
            parent = self.toc.parent(index)
        else:
            parent = self._made[index - self.toc.count][0]
        return self._absorbed.get(parent, parent)

    def owner(self, index: int) -> int:
        """A directory that has no record looks like any that no entry of the archive made."""
        return index if index < self.toc.count else self.toc.implied[-1]

    # --- moving ---

    def uproot(self, index: int) -> None:
        """Show the directory *index* no more."""
        parent, name = self.parent(index), self.name(index)
        for place in (parent, *self._added.get(parent, ())):
            child = self._find_own(place, name)
            if child >= 0 and self._is_directory(child):
                self._override(place, name, -1)

    def graft(self, index: int, path: Sequence[bytes]) -> None:
        """Show what is in the directory *index*, which is uprooted, in the directory *path*."""
        target = 0
        for name in path:
            child = self.find(target, name)
            if child < 0:
                child = self.toc.count + len(self._made)
                self._made.append((target, name))
                self._override(target, name, child)
            target = child
        self._absorb(index, target)

    def _override(self, directory: int, name: bytes, child: int) -> None:
        self._overrides.setdefault(directory, {})[name] = child

    def is_absorbed(self, index: int) -> bool:
        """Whether the directory *index* is shown as part of another."""
        return index in self._absorbed

    def _absorb(self, index: int, target: int) -> None:
        pending = [(index, target)]
        while pending:
            index, target = pending.pop()
            # Two directories of one name become one, with the attributes of one that has an entry;
            # else what the target has of itself stays.
            for child in self.children(index):
                name = self.name(child)
                there = self.find(target, name)
                if there < 0 or not self._is_directory(there) or not self._is_directory(child):
                    continue
                if self._is_implied(there) and not self._is_implied(child):
                    self._replace(target, name, there, child)
                    child, there = there, child
                pending.append((child, there))
            moved = [index, *self._added.pop(index, ())]
            self._added.setdefault(target, []).extend(moved)
            for each in moved:
                self._absorbed[each] = target

    def _replace(self, directory: int, name: bytes, old: int, new: int) -> None:
        for place in (directory, *self._added.get(directory, ())):
            if self._find_own(place, name) == old:
                self._override(place, name, new)

    def _is_implied(self, index: int) -> bool:
        return bool(self.facts(index)[2] & IMPLIED)

    def _is_directory(self, index: int) -> bool:
        return stat.S_ISDIR(self.facts(index)[0])


def push_grafted(stack: Stack, toc: Toc) -> None:
    """Put a layer on top of *stack*, its directories moved to where links of lower layers lead."""
    position = len(stack.trees)
    stack.push(LayerTree(toc))
    if position:
        _Grafting(stack, position).run()


class _Grafting:
    """The moving of directories of the highest layer of a stack."""

    def __init__(self, stack: Stack, position: int) -> None:
        self._stack = stack
        self._position = position
        self._toc = stack.trees[position].toc
        self._states = bytearray()
        self._known: dict[int, Merged | None] = {}
        self._budget = Budget(_STEPS)

    @property
    def _tree(self) -> LayerTree:
        return self._stack.trees[self._position]

    def run(self) -> None:
        if not len(self._toc.implied):
            return
        self._states = bytearray(self._toc.count)
        for index in self._toc.implied:
            if index:
                self._place(index)
        self._tree.forget_voids()

    def _place(self, index: int) -> None:
        """Move the implied directory *index* if lower layers have a symbolic link where it is."""
        tree = self._tree
        if isinstance(tree, GraftedTree) and tree.is_absorbed(index):
            return
        parent = tree.parent(index)
        name = tree.name(index)
        if parent != self._toc.parent(index) and self._is_own_link(tree.find(parent, name)):
            # Where its directory was moved to, its own layer has a symbolic link.
            self._move(index, name)
            return
        if self._is_bare(parent):
            self._states[index] = _BARE
            return
        directory = self._directory(parent)
        link = None if directory is None else self._beneath(directory, name)
        if isinstance(link, Place) and self._stack.symlink_text(link) is not None:
            self._move(index, name)

    def _is_own_link(self, index: int) -> bool:
        return index >= 0 and stat.S_ISLNK(self._tree.facts(index)[0])

    def _move(self, index: int, name: bytes) -> None:
        tree = self._tree
        # Where there are only markers, nothing is made for them.
        missing = not tree.is_void(index)
        if not isinstance(tree, GraftedTree):
            tree = self._stack.trees[self._position] = GraftedTree(self._toc)
        steps = self._steps(tree.parent(index))
        tree.uproot(index)
        self._changed()
        self._budget.links = MAX_LINKS
        try:
            end = self._stack.follow(
                self._root(), steps, name, follow_last=True, missing=missing, budget=self._budget
            )
        except PathNotFound:
            return
        if end is None:
            tree.graft(index, [step[0] for step in steps])
            self._changed()

    def _changed(self) -> None:
        self._stack.changed()
        self._known.clear()

    def _root(self) -> Merged:
        return self._stack.view(self._position + 1)

    def _beneath(self, directory: Merged, name: bytes) -> Merged | Place | None:
        """What lower layers have as *name*, if this one leaves it."""
        top = directory.parts[0]
        if directory.markers & 1 and self._tree.find(top.index, whiteout_of(name)) >= 0:
            return None
        lower = Merged(directory.parts[1:], directory.owner, directory.key, directory.markers >> 1)
        return self._stack.find(lower, name)

    def _is_bare(self, index: int) -> bool:
        """Whether no lower layer has a directory where the directory *index* is."""
        chain = []
        while index and self._state(index) == _UNKNOWN:
            chain.append(index)
            index = self._tree.parent(index)
        bare = bool(index) and self._state(index) == _BARE
        for each in reversed(chain):
            if not bare:
                directory = self._directory(each)
                bare = directory is None or len(directory.parts) == 1
            if each < len(self._states):
                self._states[each] = _BARE if bare else _COVERS
        return bare

    def _state(self, index: int) -> int:
        return self._states[index] if index < len(self._states) else _UNKNOWN

    def _directory(self, index: int) -> Merged | None:
        """What the directory *index* of the layer is part of; None if it is hidden."""
        chain = []
        while index and index not in self._known:
            chain.append(index)
            index = self._tree.parent(index)
        found = self._known[index] if index else self._root()
        for each in reversed(chain):
            below = None if found is None else self._stack.find(found, self._tree.name(each))
            found = below if isinstance(below, Merged) else None
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[each] = found
        return found

    def _steps(self, index: int) -> Steps:
        """The path of the directory *index* from the root down."""
        steps: Steps = []
        while index:
            steps.append((self._tree.name(index), self._directory(index)))
            index = self._tree.parent(index)
        steps.reverse()
        return steps
