"""The nodes that the kernel knows.

A node is here exactly while its lookup count is above zero, and it is the object that was met
first; the root is always here.  A second node under a number that is taken by another place is
refused: the kernel would mix them up.  Nodes of trees (`Node.remade`) are made again when they are
asked for: of them only the sum of the lookups of each tree is kept.

Nothing here waits, so counts and answers always agree.
"""

from __future__ import annotations

import errno
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from pyfuse3 import EntryAttributes, FUSEError

from rossfs.errors import InodeCollision
from rossfs.fs.attributes import Attributes
from rossfs.tree.node import Attr, Directory, Node
from rossfs.tree.numbers import FIRST_HASHED, FIRST_OF_TREES, TREE_SHIFT
from rossfs.tree.trees import Trees

log = logging.getLogger("rossfs.fs")


ANSWERS = 16384
"""Constant answers kept at most: a million would be 290 MB."""


class Known:
    """A node that the kernel knows: how often it was told, and the answer if that is constant.

    Answers are kept from the second time on: about what is cached the kernel usually asks once.
    """

    __slots__ = ("answer", "count", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.count = 1
        self.answer: EntryAttributes | None = None


def _ignore(_directory: Directory) -> None:
    pass


def _left(_tree: int) -> None:
    pass


class Inodes:
    """The table.  *appeared* and *vanished* are told of each directory as the kernel begins and
    ceases to know it, but for those of *trees*."""

    def __init__(
        self,
        root: Directory,
        attributes: Attributes,
        appeared: Callable[[Directory], None] = _ignore,
        vanished: Callable[[Directory], None] = _ignore,
        trees: Trees | None = None,
    ) -> None:
        self.root = root
        self.trees = Trees() if trees is None else trees
        self.lookups: defaultdict[int, int] = defaultdict(int)
        """By the number of a tree: how often the kernel was told of its nodes."""
        self.tree_left: Callable[[int], None] = _left
        """Called with the number of a tree of which the kernel forgot the last node."""
        self._build = attributes.build
        self._appeared = appeared
        self._vanished = vanished
        self._last: dict[int, tuple[Attr, float, EntryAttributes]] = {}
        self._answers = 0
        self.known: dict[int, Known] = {root.ino: Known(root)}
        self.directories: dict[int, Directory] = {root.ino: root}
        self.parents: dict[int, int] = {root.ino: root.ino}
        appeared(root)

    def __len__(self) -> int:
        return len(self.known)

    def node(self, ino: int) -> Node:
        """The node of *ino*; ESTALE if the kernel should not know it."""
        known = self.known.get(ino)
        if known is not None:
            return known.node
        tree = None
        if FIRST_OF_TREES <= ino < FIRST_HASHED:
            tree = self.trees.get(ino >> TREE_SHIFT)
        if tree is None:
            raise FUSEError(errno.ESTALE)
        return tree.node(ino)

    def directory(self, ino: int) -> Directory:
        """The directory of *ino*; ESTALE or ENOTDIR."""
        directory = self.directories.get(ino)
        if directory is None:
            node = self.node(ino)
            if not isinstance(node, Directory):
                raise FUSEError(errno.ENOTDIR)
            return node
        return directory

    def above(self, directory: Directory) -> int:
        """The number of the directory that holds *directory*."""
        if directory.remade:
            return directory.parent_ino()
        return self.parents.get(directory.ino, directory.ino)

    def remember(self, node: Node, parent: int) -> EntryAttributes:
        """`answer` and `count` in one: the kernel is told of *node*, found in the directory
        *parent*."""
        if node.remade:
            answer = self._build(node, node.attr())
            self.lookups[node.ino >> TREE_SHIFT] += 1
            return answer
        known = self.known.get(node.ino)
        if known is not None and known.node is node and known.answer is not None:
            known.count += 1
            return known.answer
        answer = self.answer(node)
        self.count(node, parent)
        return answer

    def answer(self, node: Node) -> EntryAttributes:
        """The kernel's answer about *node*, which must be followed by `count` if it is sent as an
        entry.

        InodeCollision, or whatever attr() raises; nothing has changed then.
        """
        known = self.known.get(node.ino)
        if known is None:
            return self._build(node, node.attr())
        if known.answer is not None and known.node is node:
            return known.answer
        if known.node is not node and not known.node.same(node):
            log.error("inode number %d is taken twice: %r and %r", node.ino, known.node, node)
            raise InodeCollision(f"inode number {node.ino} belongs to another place")
        return self.current(known)

    def current(self, known: Known) -> EntryAttributes:
        """The answer about a node of the table: the last one, if the node says the same again."""
        if known.answer is not None:
            return known.answer
        node = known.node
        attr = node.attr()
        if node.constant:
            answer = self._build(node, attr)
            if self._answers < ANSWERS:
                self._answers += 1
                known.answer = answer
            return answer
        last = self._last.get(node.ino)
        if last is not None and last[0] == attr and last[1] == node.ttl:
            return last[2]
        answer = self._build(node, attr)
        self._last[node.ino] = attr, node.ttl, answer
        return answer

    def count(self, node: Node, parent: int) -> None:
        """The kernel is told of *node*, found in the directory *parent*: one lookup more."""
        if node.remade:
            self.lookups[node.ino >> TREE_SHIFT] += 1
            return
        known = self.known.get(node.ino)
        if known is not None:
            known.count += 1
            return
        self.known[node.ino] = Known(node)
        if isinstance(node, Directory):
            self.directories[node.ino] = node
            self.parents[node.ino] = parent
            self._appeared(node)

    def forget(self, inodes: Iterable[tuple[int, int]]) -> None:
        """Take counts back, (ino, how many) each.  Never raises."""
        for ino, lookups in inodes:
            known = self.known.get(ino)
            if known is None:
                if FIRST_OF_TREES <= ino < FIRST_HASHED:
                    self._forget_in_tree(ino >> TREE_SHIFT, lookups)
                continue
            known.count -= lookups
            if known.count > 0 or known.node is self.root:
                continue
            del self.known[ino]
            if known.answer is not None:
                self._answers -= 1
            self._gone(known.node)

    def _forget_in_tree(self, number: int, lookups: int) -> None:
        left = self.lookups[number] - lookups
        if left > 0:
            self.lookups[number] = left
            return
        del self.lookups[number]
        try:
            self.tree_left(number)
            self.trees.forgotten(number)
        except Exception:
            log.exception("forgetting tree %d: unforeseen error", number)

    def forget_all(self) -> None:
        """The mount ended: nobody knows anything any more."""
        for number in tuple(self.lookups):
            self._forget_in_tree(number, self.lookups[number])
        nodes = [known.node for known in self.known.values()]
        self.known.clear()
        for node in nodes:
            self._gone(node)

    def _gone(self, node: Node) -> None:
        self._last.pop(node.ino, None)
        try:
            if isinstance(node, Directory):
                self.directories.pop(node.ino, None)
                self.parents.pop(node.ino, None)
                self._vanished(node)
            node.forgotten()
        except Exception:
            log.exception("forgetting inode %d: unforeseen error", node.ino)
