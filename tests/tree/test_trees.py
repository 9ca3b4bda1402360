import gc
import weakref

import pytest

from rossfs.tree.node import Node, Tree
from rossfs.tree.trees import Trees


class Plain(Tree):
    """A tree that knows how often it was forgotten."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.times = 0

    def node(self, ino: int) -> Node:
        raise AssertionError("nobody asks")

    def forgotten(self) -> None:
        self.times += 1


@pytest.fixture
def trees() -> Trees:
    return Trees()


def test_what_is_not_loaded_is_not_found(trees: Trees) -> None:
    assert trees.get(7) is None
    trees.forgotten(7)
    assert len(trees) == 0


def test_a_held_tree_stays_until_it_is_forgotten(trees: Trees) -> None:
    tree = weakref.ref(made := Plain(7))
    trees.hold(made)
    del made
    gc.collect()
    assert trees.get(7) is tree() is not None
    assert len(trees) == 1
    trees.forgotten(7)
    assert tree() is None
    assert trees.get(7) is None
    assert len(trees) == 0


def test_a_shown_tree_stays_while_somebody_refers_to_it(trees: Trees) -> None:
    tree = Plain(7)
    trees.show(tree)
    trees.forgotten(7)
    assert trees.get(7) is tree
    assert tree.times == 0
    del tree
    assert trees.get(7) is None


def test_a_forgotten_tree_is_found_while_somebody_uses_it_and_can_be_held_again(
    trees: Trees,
) -> None:
    tree = Plain(7)
    trees.hold(tree)
    trees.forgotten(7)
    assert tree.times == 1
    assert trees.get(7) is tree
    trees.hold(tree)
    reference = weakref.ref(tree)
    del tree
    assert trees.get(7) is reference() is not None


def test_the_last_one_that_is_held_under_a_number_is_found(trees: Trees) -> None:
    first, second = Plain(7), Plain(7)
    trees.hold(first)
    trees.hold(second)
    assert trees.get(7) is second
    del first
    assert trees.get(7) is second
    assert len(trees) == 1


def test_trees_do_not_disturb_each_other(trees: Trees) -> None:
    held = [Plain(number) for number in range(100)]
    for tree in held:
        trees.hold(tree)
    for number in range(0, 100, 2):
        trees.forgotten(number)
    assert [tree.times for tree in held] == [1, 0] * 50
    del held, tree
    gc.collect()
    assert [trees.get(number) is not None for number in range(100)] == [False, True] * 50
