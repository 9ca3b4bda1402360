"""The trees that are loaded: those of which the kernel may know nodes.

A tree is found by the number that is in the numbers of its nodes.  One with directories stays from
its first lookup until the kernel knows none of its nodes; looked up again later it has the same
number, and so have its nodes (numbers.py).  A tree without directories, the files of a layer, stays
as long as trees whose directories show it: the kernel knows no file without its directory.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from rossfs.tree.node import Tree


class Trees:
    """The loaded trees of one mount, by number."""

    __slots__ = ("_held", "_shown")

    def __init__(self) -> None:
        self._held: dict[int, Tree] = {}
        self._shown: WeakValueDictionary[int, Tree] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._shown)

    def hold(self, tree: Tree) -> None:
        """*tree* can be found from now on until it is forgotten."""
        self._held[tree.number] = tree
        self._shown[tree.number] = tree

    def show(self, tree: Tree) -> None:
        """*tree* can be found from now on for as long as somebody else refers to it."""
        self._shown[tree.number] = tree

    def get(self, number: int) -> Tree | None:
        """The tree of that number, if it is loaded."""
        return self._held.get(number) or self._shown.get(number)

    def forgotten(self, number: int) -> None:
        """The kernel knows no node of that tree any more."""
        tree = self._held.pop(number, None)
        if tree is not None:
            tree.forgotten()
