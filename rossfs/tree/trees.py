"""The trees that are loaded: those of which the kernel may know nodes.

A tree is found by the number that is in the numbers of its nodes.  It stays from its first lookup
until the kernel knows none of its nodes; looked up again later it has the same number, and so have
its nodes (numbers.py).
"""

from __future__ import annotations

from rossfs.tree.node import Tree


class Trees:
    """The loaded trees of one mount, by number."""

    __slots__ = ("_loaded",)

    def __init__(self) -> None:
        self._loaded: dict[int, Tree] = {}

    def __len__(self) -> int:
        return len(self._loaded)

    def add(self, tree: Tree) -> None:
        """*tree* can be found from now on."""
        self._loaded[tree.number] = tree

    def get(self, number: int) -> Tree | None:
        """The tree of that number, if it is loaded."""
        return self._loaded.get(number)

    def forgotten(self, number: int) -> None:
        """The kernel knows no node of that tree any more."""
        tree = self._loaded.pop(number, None)
        if tree is not None:
            tree.forgotten()
