"""Pages that are made ahead: the same as those that are not, and nothing is lost or kept."""

from __future__ import annotations

import errno
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.fs import ahead
from rossfs.fs.ahead import COMING, FEW, READY
from rossfs.tree.trees import Trees
from tests.fs.listing import BIG, SMALLEST, Listed, Lister, listed
from tests.fs.thicket import TOP, WALKS, Shape, Thicket, Walk, backward, forward, shapes

PAGE = 4096


@contextmanager
def over(*thickets: Thicket) -> Iterator[Lister]:
    """Lists them."""
    trees = Trees()
    for thicket in thickets:
        trees.hold(thicket)
    with closing(Lister(trees=trees)) as lister:
        yield lister


class Pair:
    """Asks two the same: one that works ahead, and for each request one that never did."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.thicket = Thicket(shape)
        self.sent = 0
        self.trees = Trees()
        self.trees.hold(self.thicket)
        self.lister = Lister(trees=self.trees)

    def ask(self, ino: int, offset: int, size: int) -> list[Listed]:
        """The reply of both."""
        with closing(Lister(trees=self.trees)) as fresh:
            expected = fresh.bytes(ino, offset, size)
        assert self.lister.bytes(ino, offset, size) == expected
        entries = listed(expected)
        self.sent += sum(1 for entry in entries if entry.node_id)
        assert sum(self.lister.inodes.lookups.values()) == self.sent
        return entries

    def step(self, times: int) -> None:
        """Do some of what may come."""
        for _ in range(times):
            if not self.lister.readdir.ahead.step():
                break


class Walker:
    """Somebody who walks, again and again."""

    def __init__(self, pair: Pair, walk: Callable[[int], Walk], sizes: list[int]) -> None:
        self._pair = pair
        self._begin = walk
        self._sizes = sizes
        self._walk = walk(TOP)
        self._next = next(self._walk)
        self._asked = 0

    def go(self) -> None:
        """Ask for the next thing."""
        self._asked += 1
        entries = self._pair.ask(*self._next, self._sizes[self._asked % len(self._sizes)])
        try:
            self._next = self._walk.send(entries)
        except StopIteration:
            self._walk = self._begin(TOP)
            self._next = next(self._walk)


SIZES = st.sampled_from([SMALLEST + 40, 3 * SMALLEST, 700, 2000, PAGE, BIG, 2 * BIG])

ACTIONS = st.lists(
    st.tuples(st.just("go"), st.integers(0, 2), st.just(0))
    | st.tuples(st.just("step"), st.integers(1, 60), st.just(0))
    | st.tuples(st.just("jump"), st.integers(0, 200), st.integers(0, 15)),
    max_size=120,
)


@settings(deadline=None, max_examples=150)
@given(
    shape=shapes(),
    walkers=st.lists(
        st.tuples(st.sampled_from(WALKS), st.lists(SIZES, min_size=1, max_size=3)),
        min_size=1,
        max_size=3,
    ),
    actions=ACTIONS,
    few=st.sampled_from([3, FEW]),
    coming=st.sampled_from([1, 2, 5, COMING]),
)
def test_whatever_is_asked_is_answered_as_if_nothing_were_made_ahead(
    shape: Shape,
    walkers: list[tuple[Callable[[int], Walk], list[int]]],
    actions: list[tuple[str, int, int]],
    few: int,
    coming: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "FEW", few)
        patch.setattr(ahead, "COMING", coming)
        pair = Pair(shape)
        with closing(pair.lister):
            walking = [Walker(pair, walk, sizes) for walk, sizes in walkers]
            directories = sorted(pair.thicket.inside)
            for what, number, more in actions:
                if what == "go":
                    walking[number % len(walking)].go()
                elif what == "step":
                    pair.step(number)
                else:
                    ino = TOP | directories[number % len(directories)]
                    pair.ask(ino, more, 2000)
                assert len(pair.lister.readdir.ahead._coming) <= coming + 1 + READY
                assert len(pair.lister.readdir.ahead._ready) <= READY


@settings(deadline=None, max_examples=100)
@given(
    shape=shapes(),
    walk=st.sampled_from(WALKS),
    size=SIZES,
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=5),
)
def test_a_walk_to_its_end_sees_everything(
    shape: Shape, walk: Callable[[int], Walk], size: int, steps: list[int]
) -> None:
    pair = Pair(shape)
    with closing(pair.lister):
        asking = walk(TOP)
        try:
            request = next(asking)
            while True:
                entries = pair.ask(*request, size)
                pair.step(steps[pair.sent % len(steps)])
                request = asking.send(entries)
        except StopIteration:
            pass


def bush(depth: int, wide: int) -> Shape:
    """Directories in directories, *wide* in each, beside as many files."""
    below = [bush(depth - 1, wide) for _ in range(wide)] if depth else []
    return [*below, *[None] * wide]


def walked(lister: Lister, walk: Walk, steps: int = 1000) -> list[int]:
    """The directories that were read, with time to work ahead after each reply."""
    seen: list[int] = []
    try:
        request = next(walk)
        while True:
            entries = lister.ask(*request, PAGE)
            assert entries is not None
            if not request[1]:
                seen.append(request[0])
            for _ in range(steps):
                if not lister.readdir.ahead.step():
                    break
            request = walk.send(entries)
    except StopIteration:
        return seen


@pytest.mark.parametrize("walk", [forward, backward])
def test_who_walks_finds_what_comes_next_ready(walk: Callable[[int], Walk]) -> None:
    """Each listing is made once; a walk is known by its second step, its direction by the third."""
    thicket = Thicket(bush(3, 3))
    with over(thicket) as lister:
        taken = 0
        take = lister.readdir.ahead.take

        def count(ino: int, offset: int, size: int) -> object:
            nonlocal taken
            page = take(ino, offset, size)
            taken += page is not None
            return page

        lister.readdir.ahead.take = count  # type: ignore[method-assign, assignment]
        seen = walked(lister, walk(TOP))
        assert len(seen) == len(set(seen)) == len(thicket.inside) == 40
        assert taken >= 37
        assert sum(thicket.listed.values()) <= 40 + READY


def test_who_lists_one_directory_has_nothing_made() -> None:
    thicket = Thicket(bush(2, 3))
    with over(thicket) as lister:
        lister.list(TOP)
        assert not lister.readdir.ahead.step()
        assert thicket.listed == {TOP: 1}


def test_the_rest_of_a_directory_is_made() -> None:
    thicket = Thicket([None] * 100)
    with over(thicket) as lister:
        first = lister.ask(TOP, 0, PAGE)
        assert first is not None
        while lister.readdir.ahead.step():
            pass
        assert len(lister.list(TOP, PAGE, first[-1].offset)) == 102 - len(first)
        assert thicket.listed == {TOP: 1}


def test_large_directories_are_not_made_ahead() -> None:
    shape: Shape = [[None], [None] * (FEW + 1), [None], [None] * FEW]
    thicket = Thicket(shape)
    _, one, large, two, few = sorted(thicket.ino(index) for index in thicket.inside)
    with over(thicket) as lister:
        lister.list(TOP)
        lister.list(one)
        while lister.readdir.ahead.step():
            pass
        assert thicket.listed == {TOP: 1, one: 1}
        lister.list(large)
        while lister.readdir.ahead.step():
            pass
        assert thicket.listed == {TOP: 1, one: 1, large: 1, two: 1, few: 1}


def test_no_more_is_kept_of_what_comes_than_some() -> None:
    wide = Thicket([[None] for _ in range(3 * COMING)])
    with over(wide) as lister:
        work = lister.readdir.ahead
        seen = walked(lister, forward(TOP))
        assert len(seen) == 1 + 3 * COMING
        assert len(work._inside) <= COMING + 100
        lister.list(TOP, PAGE)
        assert len(work._coming) <= COMING


@pytest.mark.parametrize("full", [False, True])
def test_nothing_is_kept_of_a_tree_that_the_kernel_forgot(full: bool) -> None:
    trees = Trees()
    trees.hold(Thicket([[[None] * 60, [None] * 3], [None] * 60, [None] * 3]))
    thicket = weakref.ref(trees.get(5))
    with closing(Lister(trees=trees)) as lister:
        told = lister.list(TOP)
        if full:
            told += lister.ask(told[2].ino, 0, PAGE) or []
        else:
            told += lister.list(told[2].ino, PAGE)
        told += lister.ask(told[-2].ino if full else told[3].ino, 0, PAGE) or []
        for _ in range(20):
            lister.readdir.ahead.step()
        lister.inodes.forget([(entry.ino, 1) for entry in told if entry.node_id])
        assert lister.inodes.lookups == {}
        assert len(trees) == 0
        gc.collect()
        assert thicket() is None
        assert not lister.readdir.ahead.step()
        assert lister.readdir._rows == {}


def test_an_error_while_making_ahead_is_told_to_nobody() -> None:
    thicket = Thicket([[None], [None], [None], [None]])
    one, bad, missing, last = (thicket.ino(index) for index in (1, 3, 5, 7))
    with over(thicket) as lister:
        thicket.broken.add(3)
        thicket.missing.add(5)
        lister.list(TOP)
        lister.list(one)
        while lister.readdir.ahead.step():
            pass
        with pytest.raises(OSError, match="bad table"):
            lister.ask(bad)
        with pytest.raises(OSError, match="not there") as stale:
            lister.ask(missing)
        assert stale.value.errno == errno.ESTALE
        assert len(lister.list(last)) == 3
        thicket.broken.clear()
        assert len(lister.list(bad)) == 3
        assert lister.inodes.lookups == {5: 7}


def test_one_error_does_not_end_the_walk() -> None:
    thicket = Thicket(bush(2, 4))
    thicket.broken.add(1)
    with over(thicket) as lister:
        entries = lister.list(TOP)
        for entry in entries[2:6]:
            while lister.readdir.ahead.step():
                pass
            if entry.ino == TOP | 1:
                with pytest.raises(OSError, match="bad table"):
                    lister.ask(entry.ino)
            else:
                assert len(lister.list(entry.ino)) == 10


def test_two_trees_are_walked_in_turn() -> None:
    one, other = Thicket(bush(2, 3)), Thicket(bush(2, 3), number=6)
    with over(one, other) as lister:
        walks = [forward(one.ino(0)), forward(other.ino(0))]
        requests = [next(walk) for walk in walks]
        while walks:
            for walk in list(walks):
                at = walks.index(walk)
                entries = lister.ask(*requests[at], PAGE)
                assert entries is not None
                assert {entry.ino >> 40 for entry in entries} <= {requests[at][0] >> 40}
                lister.readdir.ahead.step()
                try:
                    requests[at] = walk.send(entries)
                except StopIteration:
                    del walks[at], requests[at]
        many = sum(map(len, one.inside.values()))
        assert lister.inodes.lookups == {5: many, 6: many}
