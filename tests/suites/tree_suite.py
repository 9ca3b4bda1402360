"""What every directory of a tree must do, whose nodes are made again from their numbers, as a test
class to inherit besides what `directory_suite` asks of all directories.

A subclass gives the fixtures `directory` and `trees`, which has its tree.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from rossfs.tree.node import FOREVER, Directory, Node, Row, Rows, Symlink
from rossfs.tree.numbers import FIRST_HASHED, FIRST_OF_TREES, INDEX, TREE_SHIFT
from rossfs.tree.trees import Trees
from tests.suites.directory_suite import MOST, ReadOnlyDirectorySuite, listed, nodes, rows_of


class TreeDirectorySuite(ReadOnlyDirectorySuite):
    """What holds of a directory whose nodes are `remade`; the fixture `trees` has its tree."""

    kinds: ClassVar[tuple[type[Node], ...]] = (Directory,)
    """Of the nodes of its tree."""

    async def test_rows_say_what_lookup_says(self, directory: Directory) -> None:
        listing = directory.entries()
        assert isinstance(listing, Rows)
        for row in rows_of(listing):
            node = directory.lookup(row.name)
            assert node is not None, row
            assert row_of(row.name, node) == row

    async def test_rows_go_on_from_any_position(self, directory: Directory) -> None:
        listing = directory.entries()
        assert isinstance(listing, Rows)
        rows = rows_of(listing)
        for start in {*range(min(len(rows), MOST)), len(rows) // 2, max(0, len(rows) - 1)}:
            assert rows_of(listing, start) == rows[start:], start

    async def test_names_are_in_the_order_of_their_bytes(self, directory: Directory) -> None:
        names = [entry.name for entry in await listed(directory)]
        assert names == sorted(names)

    async def test_every_node_is_made_again_from_its_number(
        self, directory: Directory, trees: Trees
    ) -> None:
        for name, node in await nodes(directory):
            again = made_again(trees, node.ino)
            assert again.ino == node.ino, name
            assert type(again) is type(node), name
            assert again.same(node), name
            assert again.attr() == node.attr(), name
            assert again.xattrs() == node.xattrs(), name
            if isinstance(node, Symlink):
                assert isinstance(again, Symlink)
                assert again.target() == node.target(), name

    async def test_what_is_in_it_never_changes(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            assert node.remade, name
            assert node.ttl == FOREVER, name
            if isinstance(node, Directory):
                assert node.negative_ttl == FOREVER, name
                assert not node.watched(), name
                assert node.loaded, name

    async def test_numbers_are_those_of_trees(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            assert FIRST_OF_TREES <= node.ino < FIRST_HASHED, name

    async def test_directories_know_where_they_are(
        self, directory: Directory, trees: Trees
    ) -> None:
        for name, node in await nodes(directory):
            if name != b"." and isinstance(node, Directory):
                assert node.parent_ino() == directory.ino, name
                again = made_again(trees, node.ino)
                assert isinstance(again, Directory)
                assert again.parent_ino() == directory.ino, name

    async def test_any_number_of_its_tree_is_a_node_or_stale(
        self, directory: Directory, trees: Trees
    ) -> None:
        number = directory.ino >> TREE_SHIFT
        known = directory.ino & INDEX
        around = range(max(0, known - 50), known + 50)
        bits = [1 << bit for bit in range(TREE_SHIFT)]
        ends = [INDEX, INDEX - 1, *(known ^ bit for bit in bits), *(bit - 1 for bit in bits)]
        for index in {*range(300), *around, *bits, *ends}:
            ino = number << TREE_SHIFT | index
            try:
                node = made_again(trees, ino)
            except OSError as error:
                assert error.errno == errno.ESTALE, index  # noqa: PT017 - a node is right too
            else:
                assert isinstance(node, self.kinds), index
                assert node.ino == ino, index
                assert node.attr().nlink >= 1
                if isinstance(node, Directory):
                    assert node.parent_ino() > 0


def row_of(name: bytes, node: Node) -> Row:
    """The row that a listing has of *node*, by what it says of itself."""
    attr = node.attr()
    assert attr.uid is not None
    assert attr.gid is not None
    assert attr.mtime_ns == attr.ctime_ns == attr.atime_ns
    return Row(
        name, node.ino, attr.mode, attr.size, attr.nlink, attr.uid, attr.gid, attr.rdev,
        attr.mtime_ns,
    )  # fmt: skip


def made_again(trees: Trees, ino: int) -> Node:
    """The node of a number, as the kernel's side finds it."""
    tree = trees.get(ino >> TREE_SHIFT)
    assert tree is not None, f"no tree has the number of {ino}"
    return tree.node(ino)
