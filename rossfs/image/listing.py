"""All names of one directory of a root filesystem: a snapshot, packed, its entries made when asked
for."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Iterator, Sequence

from rossfs.image.layertree import PECULIAR
from rossfs.image.merged import Merged, Place
from rossfs.image.record import HAS_WHITEOUTS, LOWER_LINK, OPAQUE
from rossfs.image.stack import MAX_STEPS, Budget, Stack
from rossfs.image.whiteout import hidden, is_marker

_SHIFT = 40
_INDEX = (1 << _SHIFT) - 1
"""A code is the position of a layer and the index of a record."""

_STEPS = 4_000_000
"""Components of paths walked for all hard links to lower layers in one directory."""

_TYPE = 0o170000

Item = tuple[bytes, Merged | Place]


class Listing(Sequence[Item]):
    """The entries of a directory in the order of their names: (name, Merged or Place as
    `Rootfs.lookup` answers)."""

    __slots__ = ("_codes", "_directory", "_position", "_stack")

    def __init__(self, stack: Stack, directory: Merged) -> None:
        self._stack = stack
        self._directory = directory
        self._position = -1
        if len(directory.parts) == 1 and not directory.markers:
            position, index = directory.parts[0]
            children = stack.trees[position].children(index)
            if stack.trees[position].all_plain(children):
                self._position = position
                self._codes: Sequence[int] = children
                return
        self._codes = _merge(stack, directory)

    @property
    def plain(self) -> tuple[int, range] | None:
        """The position of a layer and the records that are all the names, in order and each just
        what its record says; None where it is not as simple as that."""
        codes = self._codes
        return (self._position, codes) if isinstance(codes, range) else None

    def places(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """The position of the layer and the index of the record that stands for each name: of a
        directory, or a hard link to a lower layer, not the one that `[i]` tells."""
        codes = self._codes
        if isinstance(codes, range):
            return ((self._position, index) for index in codes[start:])
        return ((code >> _SHIFT, code & _INDEX) for code in codes[start:])

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        code = self._codes[number]
        position = self._position
        alone = position >= 0
        if not alone:
            position = code >> _SHIFT
            code &= _INDEX
        tree = self._stack.trees[position]
        name = tree.name(code)
        mode, inode, flags = tree.facts(code)
        if mode & _TYPE != stat.S_IFDIR:
            if not flags & LOWER_LINK:
                return name, Place(position, inode)
        elif alone:
            place = Place(position, code)
            markers = 1 if flags & (HAS_WHITEOUTS | OPAQUE) else 0
            return name, Merged((place,), place, place, markers)
        found = self._stack.find(self._directory, name)
        assert found is not None
        return name, found


def _merge(stack: Stack, directory: Merged) -> array[int]:
    """A code for each name: the highest record that has it."""
    codes: dict[bytes, int] = {}
    left = _STEPS
    for number in reversed(range(len(directory.parts))):
        position, index = directory.parts[number]
        tree = stack.trees[position]
        base = position << _SHIFT
        here: dict[bytes, int] = {}
        peculiar: list[bytes] = []
        for name, child, flags in tree.named(tree.children(index)):
            here[name] = base | child
            if flags & PECULIAR:
                peculiar.append(name)
        if directory.markers >> number & 1:
            for name in [name for name in here if is_marker(name)]:
                del here[name]
                gone = hidden(name)
                if gone is not None:
                    codes.pop(gone, None)
        codes.update(here)
        # A name may turn out to mean nothing: a hard link that leads nowhere, or a directory that
        # is there only for its whiteouts.
        for name in peculiar:
            if name not in here:
                continue
            budget = Budget(min(left, MAX_STEPS))
            left -= budget.steps
            if stack.find(directory, name, budget) is None:
                codes.pop(name, None)
            left += max(budget.steps, 0)
    return array("Q", [codes[name] for name in sorted(codes)])
