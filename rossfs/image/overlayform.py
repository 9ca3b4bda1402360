"""One layer of a root filesystem as overlayfs wants it: so that the layers, mounted over one
another, are the root filesystem.

contracts.md 2.1 and the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque
directories":

* A name that hides one of the lower layers is a device 0/0.  There is one only where lower layers
  have the name: in a directory that lies over nothing, overlayfs would list it.
* A directory that the layer removed and made again, or that an opaque marker says is empty below,
  is opaque, and has no whiteouts in it.
* overlayfs takes no notice of an opaque root: its names become whiteouts.
* A directory over a directory hides its attributes: one that no entry of the archive made has here
  those of the lower layers' directory.
* A hard link to a lower layer is the file of that layer.
* What only symbolic links of lower layers lead to is where they lead (`graft`).

Nothing per entry is kept.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Iterator

from rossfs.image.layertree import PECULIAR
from rossfs.image.merged import Merged, Place
from rossfs.image.record import HAS_WHITEOUTS, IMPLIED, OPAQUE
from rossfs.image.rootfs import Rootfs
from rossfs.image.stack import MAX_STEPS, Budget
from rossfs.image.whiteout import PREFIX, hidden, is_marker, whiteout_of

STEPS = 4_000_000
"""Components of paths walked for all hard links to lower layers in one directory."""

_MARKERS = HAS_WHITEOUTS | OPAQUE
_DOTS = (b".", b"..")
_TYPE = 0o170000
_DIRECTORY = stat.S_IFDIR
_SHIFT = 40
_POSITION = (1 << 20) - 1
_INDEX = (1 << _SHIFT) - 1
"""A code of a listing is the position of a layer and the index of a record there."""
_WHITEOUT = 1 << 60
"""Flag of a code: a whiteout of the record's name, or of what the record hides if it is a
marker."""


class Whiteout:
    """What hides a name of the lower layers."""

    __slots__ = ()


WHITEOUT = Whiteout()

Found = Merged | Place | Whiteout


class OverlayForm:
    """The layer at *position* of *rootfs*, over the layers below it there.

    *alone*: the layers below are not known (then it is the only one of *rootfs*).  All whiteouts
    are shown then that may be needed, directories have the attributes of their layer, and a hard
    link to a lower layer is what a later entry has at its path, else a file that cannot be read.
    """

    __slots__ = ("_lower", "_stack", "_tree", "_view", "alone", "position", "root")

    def __init__(self, rootfs: Rootfs, position: int, *, alone: bool = False) -> None:
        self.position = position
        self.alone = alone
        self._view = rootfs.lowest(position + 1)
        self._lower = rootfs.lowest(position)
        self._stack = rootfs.stack
        self._tree = rootfs.stack.trees[position]
        self.root: Merged = self._view.root

    # A directory of the layer is a Merged of the root filesystem up to it, whose first part is the
    # layer's own.

    def directory(self, index: int) -> Merged | None:
        """The directory *index* of the layer; None if there is none, whatever the number is."""
        if not index:
            return self.root
        if not 0 < index < self._tree.limit:
            return None
        place = Place(self.position, index)
        if self.alone:
            return self._lone(index) if self._is_directory(index) else None
        return self._view.directory(place)

    def parent(self, directory: Merged) -> Merged:
        """The directory that *directory* is in; the root is its own parent."""
        if self.alone:
            return self.directory(self._tree.parent(directory.key.index)) or self.root
        return self._view.parent(directory)

    def opaque(self, directory: Merged) -> bool:
        """Whether overlayfs must not look below *directory*."""
        index = directory.key.index
        sealed = self._is_sealed(index)
        if not index:
            return sealed and self.alone  # for who looks at it; overlayfs does not
        if sealed:
            return True
        parent = self._tree.parent(index)
        if not parent and self._is_sealed(0):
            return True
        return self._tree.find(parent, whiteout_of(self._tree.name(index))) >= 0

    def lookup(self, directory: Merged, name: bytes, budget: Budget | None = None) -> Found | None:
        """What *name* is in *directory*: a Merged, the Place of the record that stands for all hard
        links of a file, of any layer up to this one, WHITEOUT or None."""
        if name[:4] == PREFIX:
            return None
        tree = self._tree
        child = tree.find(directory.parts[0].index, name)
        if child < 0:
            return WHITEOUT if self._hides(directory, name, budget) else None
        mode, inode, flags = tree.facts(child)
        if mode & _TYPE == _DIRECTORY:
            if self.alone:
                return self._lookup_lone(directory, name, child)
            found = self._stack.find(directory, name, budget)
            if isinstance(found, Merged):
                return found
            # It is there for whiteouts only, and lower layers have no directory.
            return WHITEOUT if self._hides(directory, name, budget) else None
        if self.alone or not flags & PECULIAR:
            return Place(self.position, inode)
        linked = self._stack.find(directory, name, budget)
        if isinstance(linked, Place):
            return linked
        # A link that leads nowhere is not there, and hides all the same.
        return WHITEOUT if self._below_has(directory, name, budget) else None

    def _lookup_lone(self, directory: Merged, name: bytes, child: int) -> Found | None:
        """As `lookup`, of a directory where what is below is not known."""
        if self._tree.facts(child)[2] & IMPLIED and self._tree.is_void(child):
            # Its whiteouts are for a directory below, unless that is hidden anyway.
            if self._hides(directory, name, None):
                return WHITEOUT
            if self._is_covered(directory):
                return None
        return self._lone(child)

    def entries(self, directory: Merged) -> OverlayListing:
        """All names of *directory*, in order."""
        tree = self._tree
        children = tree.children(directory.key.index)
        marked = directory.markers & 1 or (not directory.key.index and self._is_sealed(0))
        if not marked and isinstance(children, range) and tree.all_plain(children):
            return OverlayListing(self, directory, children)
        return OverlayListing(self, directory, self._codes(directory))

    def _codes(self, directory: Merged) -> array[int]:
        tree = self._tree
        own = self.position << _SHIFT
        codes: dict[bytes, int] = {}
        gone: dict[bytes, int] = {}
        left = STEPS
        for name, child, flags in tree.named(tree.children(directory.key.index)):
            if is_marker(name):
                without = hidden(name)
                if without is not None:
                    gone[without] = _WHITEOUT | own | child
                continue
            if not flags & (IMPLIED if self.alone else PECULIAR):
                codes[name] = own | child
                continue
            budget = Budget(min(left, MAX_STEPS))
            left -= budget.steps
            found = self.lookup(directory, name, budget)
            left += max(0, budget.steps)
            if found is WHITEOUT:
                codes[name] = _WHITEOUT | own | child
            elif found is not None:
                codes[name] = own | child
        if not directory.key.index and self._is_sealed(0) and self.position:
            for position, child in self._lower.entries(self._lower.root).places():
                name = self._stack.trees[position].name(child)
                gone[name] = _WHITEOUT | position << _SHIFT | child
        for name, code in gone.items():
            if name in codes:
                continue
            budget = Budget(min(left, MAX_STEPS))
            left -= budget.steps
            if self._hides(directory, name, budget):
                codes[name] = code
            left += max(0, budget.steps)
        return array("Q", [codes[name] for name in sorted(codes)])

    def item(self, directory: Merged, code: int) -> tuple[bytes, Found]:
        """The name in *directory* that *code* of its listing stands for, and what it is."""
        tree = self._stack.trees[code >> _SHIFT & _POSITION]
        name = tree.name(code & _INDEX)
        if code & _WHITEOUT:
            return hidden(name) or name, WHITEOUT
        found = self.lookup(directory, name)
        assert found is not None
        return name, found

    def plain(self, code: int) -> int:
        """The index of the record of the layer that tells all of what *code* stands for; -1 if it
        takes more."""
        if code & _WHITEOUT:
            return -1
        index = code & _INDEX
        if index >= self._tree.toc.count:
            return -1
        return index if self.alone or not self._tree.facts(index)[2] & PECULIAR else -1

    # What is below

    def _hides(self, directory: Merged, name: bytes, budget: Budget | None) -> bool:
        """Whether lower layers have *name* in *directory* and this layer says that it is gone;
        the layer itself has nothing of that name."""
        index = directory.key.index
        if index or not self._is_sealed(0):
            if not directory.markers & 1:
                return False
            if self._tree.find(index, whiteout_of(name)) < 0:
                return False
        elif self.alone:
            return False
        return self._below_has(directory, name, budget)

    def _below_has(self, directory: Merged, name: bytes, budget: Budget | None) -> bool:
        """Whether overlayfs would show *name* of lower layers in *directory*."""
        if self.alone:
            return name not in _DOTS and not self._is_covered(directory)
        if not directory.key.index:
            if not self.position:
                return False
            lower = self._lower.root
        else:
            parts = directory.parts[1:]
            if not parts:
                return False
            lower = Merged(parts, directory.owner, directory.key, directory.markers >> 1)
        # Links that lead nowhere may have used up those of *budget*.
        own = Budget(MAX_STEPS if budget is None else budget.steps)
        there = self._stack.find(lower, name, own) is not None
        if budget is not None:
            budget.steps = own.steps
        return there

    def _is_covered(self, directory: Merged) -> bool:
        """Whether *directory*, or one that it is in, is opaque."""
        while directory.key.index:
            if self.opaque(directory):
                return True
            directory = self.parent(directory)
        return self.opaque(directory)

    def _is_sealed(self, index: int) -> bool:
        return bool(self._tree.facts(index)[2] & OPAQUE)

    def _is_directory(self, index: int) -> bool:
        return self._tree.facts(index)[0] & _TYPE == _DIRECTORY

    def _lone(self, index: int) -> Merged:
        place = Place(self.position, index)
        markers = 1 if self._tree.facts(index)[2] & _MARKERS else 0
        return Merged((place,), place, place, markers)


class OverlayListing:
    """The names in one directory of a layer, in order: a snapshot, packed.

    codes: what `OverlayForm.item` tells; a range where each is the index of a record of the layer,
    which tells all.
    """

    __slots__ = ("codes", "directory", "form")

    def __init__(self, form: OverlayForm, directory: Merged, codes: array[int] | range) -> None:
        self.form = form
        self.directory = directory
        self.codes = codes

    def __len__(self) -> int:
        return len(self.codes)

    def items(self) -> Iterator[tuple[bytes, Found]]:
        """Each name, and what `OverlayForm.lookup` answers."""
        base = self.form.position << _SHIFT if isinstance(self.codes, range) else 0
        return (self.form.item(self.directory, base | code) for code in self.codes)
