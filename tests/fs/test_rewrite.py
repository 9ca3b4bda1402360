from __future__ import annotations

import errno
import os

import pytest

from rossfs.fs.rewrite import LIFETIME, Rewrites
from tests.fs.memory import MemoryFile

THREAD = 4321
FLAGS = os.O_WRONLY | os.O_TRUNC


class Clock:
    """A clock that goes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rewrites(clock: Clock) -> Rewrites:
    return Rewrites(clock)


@pytest.fixture
def node() -> MemoryFile:
    return MemoryFile(published=True)


def opened(rewrites: Rewrites, node: MemoryFile, thread: int = THREAD) -> int | None:
    """The errno of opening the published *node* for writing."""
    return rewrites.refuse(node, FLAGS, thread, rewrites.take(thread)).errno


def test_the_first_open_says_walk_again(rewrites: Rewrites, node: MemoryFile) -> None:
    assert opened(rewrites, node) == errno.ESTALE
    mark = rewrites.walking(THREAD)
    assert mark is not None
    assert mark.node is node
    assert mark.flags == FLAGS


def test_the_mark_stays_for_every_lookup(rewrites: Rewrites, node: MemoryFile) -> None:
    opened(rewrites, node)
    assert rewrites.walking(THREAD) == rewrites.walking(THREAD) is not None


def test_the_second_open_is_refused_and_the_third_begins_again(
    rewrites: Rewrites, node: MemoryFile
) -> None:
    answers = [opened(rewrites, node) for _ in range(4)]
    assert answers == [errno.ESTALE, errno.EROFS, errno.ESTALE, errno.EROFS]
    assert not rewrites.marks


def test_opening_anything_ends_the_mark(rewrites: Rewrites, node: MemoryFile) -> None:
    opened(rewrites, node)
    assert rewrites.take(THREAD) is not None
    assert rewrites.walking(THREAD) is None
    assert opened(rewrites, node) == errno.ESTALE


def test_another_published_file_is_walked_for_anew(rewrites: Rewrites, node: MemoryFile) -> None:
    opened(rewrites, node)
    other = MemoryFile(published=True)
    assert opened(rewrites, other) == errno.ESTALE
    mark = rewrites.walking(THREAD)
    assert mark is not None
    assert mark.node is other


def test_threads_do_not_disturb_each_other(rewrites: Rewrites, node: MemoryFile) -> None:
    assert opened(rewrites, node, 1) == errno.ESTALE
    assert opened(rewrites, node, 2) == errno.ESTALE
    assert opened(rewrites, node, 1) == errno.EROFS
    assert rewrites.walking(2) is not None


def test_a_mark_ends_by_itself(rewrites: Rewrites, node: MemoryFile, clock: Clock) -> None:
    opened(rewrites, node)
    clock.now += LIFETIME
    assert rewrites.walking(THREAD) is None
    assert not rewrites.marks


def test_after_a_mark_ended_the_walk_begins_again(
    rewrites: Rewrites, node: MemoryFile, clock: Clock
) -> None:
    opened(rewrites, node)
    clock.now += LIFETIME
    assert opened(rewrites, node) == errno.ESTALE


def test_a_thread_of_another_namespace_is_refused_at_once(
    rewrites: Rewrites, node: MemoryFile
) -> None:
    assert opened(rewrites, node, 0) == errno.EROFS
    assert not rewrites.marks


def test_marks_of_dead_threads_do_not_pile_up(
    rewrites: Rewrites, node: MemoryFile, clock: Clock
) -> None:
    for thread in range(1, 2001):
        opened(rewrites, node, thread)
        clock.now += LIFETIME / 20
    assert len(rewrites.marks) < 100


def test_the_same_dictionary_holds_the_marks_for_ever(
    rewrites: Rewrites, node: MemoryFile, clock: Clock
) -> None:
    marks = rewrites.marks  # the handlers keep it
    for thread in range(1, 200):
        opened(rewrites, node, thread)
        clock.now += LIFETIME
    assert rewrites.marks is marks
