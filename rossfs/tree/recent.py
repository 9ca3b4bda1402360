"""Directories of root filesystems that were used lately, with their listings.

They could be made again each time; a walk asks three times for each, and the next walk again.
Bounded by what is in them, for the whole mount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rossfs.tree.numbers import TREE_SHIFT

if TYPE_CHECKING:
    from rossfs.tree.rootfs import RootfsDirectory

LIMIT = 1 << 15
"""Half of what is kept: names in listings, and DIRECTORY for each directory."""

DIRECTORY = 8
"""What a directory costs besides its names: about as much as so many."""


class Recent:
    """The directories, by inode number; when the younger half is full the older one goes."""

    __slots__ = ("_old", "_weight", "_young")

    def __init__(self) -> None:
        # By the number of the tree, so that one can be forgotten.
        self._young: dict[int, dict[int, RootfsDirectory]] = {}
        self._old: dict[int, dict[int, RootfsDirectory]] = {}
        self._weight = 0

    def get(self, ino: int) -> RootfsDirectory | None:
        """The directory *ino*, if it is still here."""
        number = ino >> TREE_SHIFT
        young = self._young.get(number)
        if young is not None:
            directory = young.get(ino)
            if directory is not None:
                return directory
        old = self._old.get(number)
        if old is None:
            return None
        directory = old.get(ino)
        if directory is not None:
            self.put(directory)
        return directory

    def put(self, directory: RootfsDirectory) -> None:
        """Keep *directory* for a while."""
        ino = directory.ino
        self._young.setdefault(ino >> TREE_SHIFT, {})[ino] = directory
        self.grew(DIRECTORY + directory.weight)

    def grew(self, names: int) -> None:
        """A directory here has so many names more in its listing."""
        self._weight += names
        if self._weight > LIMIT:
            self._old, self._young, self._weight = self._young, {}, 0

    def forget(self, number: int) -> None:
        """Keep no directory of the tree *number*, and so not its layers."""
        self._young.pop(number, None)
        self._old.pop(number, None)
