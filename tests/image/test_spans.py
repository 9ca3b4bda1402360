"""The cache of decoded spans: its limit, its order, and several threads."""

from __future__ import annotations

import threading

from rossfs.image.spans import OVERHEAD, Shelf, SpanCache

KIB = 1024


def test_a_span_is_found_under_its_number() -> None:
    shelf: Shelf[bytes] = SpanCache().shelf()
    shelf.put(3, b"three", 5)
    assert shelf.get(3) == b"three"
    assert shelf.get(4) is None


def test_shelves_do_not_see_each_other() -> None:
    cache = SpanCache()
    one: Shelf[bytes] = cache.shelf()
    other: Shelf[bytes] = cache.shelf()
    one.put(0, b"one", 3)
    assert other.get(0) is None
    other.put(0, b"other", 5)
    assert (one.get(0), other.get(0)) == (b"one", b"other")


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    cache = SpanCache(3 * (10 * KIB + OVERHEAD))
    shelf: Shelf[int] = cache.shelf()
    for number in range(3):
        shelf.put(number, number, 10 * KIB)
    assert shelf.get(0) == 0
    shelf.put(3, 3, 10 * KIB)
    assert [shelf.get(number) for number in range(4)] == [0, None, 2, 3]


def test_the_limit_holds_for_all_shelves_together() -> None:
    cache = SpanCache(100 * KIB)
    shelves: list[Shelf[int]] = [cache.shelf() for _ in range(10)]
    for number in range(100):
        shelves[number % 10].put(number, number, 7 * KIB)
        assert cache.held <= cache.limit
    assert len(cache) == 100 * KIB // (7 * KIB + OVERHEAD)


def test_a_million_empty_spans_have_a_limit() -> None:
    cache = SpanCache(64 * KIB)
    shelf: Shelf[None] = cache.shelf()
    for number in range(1000):
        shelf.put(number, None, 0)
    assert len(cache) == 64 * KIB // OVERHEAD


def test_a_span_larger_than_the_limit_is_not_held_and_pushes_nothing_out() -> None:
    cache = SpanCache(64 * KIB)
    shelf: Shelf[str] = cache.shelf()
    shelf.put(0, "small", 1)
    shelf.put(1, "large", 64 * KIB)
    assert (shelf.get(0), shelf.get(1)) == ("small", None)
    assert cache.held == OVERHEAD + 1


def test_putting_again_replaces_and_counts_once() -> None:
    cache = SpanCache()
    shelf: Shelf[str] = cache.shelf()
    shelf.put(0, "old", 100)
    shelf.put(0, "new", 50)
    assert shelf.get(0) == "new"
    assert cache.held == 50 + OVERHEAD


def test_a_span_that_grows_pushes_others_out_and_at_last_itself() -> None:
    cache = SpanCache(2 * (10 * KIB + OVERHEAD))
    shelf: Shelf[str] = cache.shelf()
    shelf.put(0, "still", 10 * KIB)
    shelf.put(1, "growing", 1)
    shelf.grew(1, "growing", 10 * KIB)
    assert shelf.get(0) == "still"
    assert shelf.get(1) == "growing"
    shelf.grew(1, "growing", 10 * KIB + 1)
    assert (shelf.get(0), shelf.get(1)) == (None, "growing")
    shelf.grew(1, "growing", 1 << 30)
    assert (len(cache), cache.held) == (0, 0)


def test_growing_counts_only_for_the_span_that_is_held() -> None:
    cache = SpanCache()
    shelf: Shelf[list[int]] = cache.shelf()
    first: list[int] = []
    shelf.put(0, first, 10)
    shelf.put(0, [], 20)
    shelf.grew(0, first, 1000)
    shelf.grew(1, first, 1000)
    assert cache.held == 20 + OVERHEAD


def test_clearing_forgets_only_its_own_spans() -> None:
    cache = SpanCache()
    one: Shelf[int] = cache.shelf()
    other: Shelf[int] = cache.shelf()
    for number in range(5):
        one.put(number, number, 1)
        other.put(number, number, 1)
    one.clear()
    assert len(cache) == 5
    assert cache.held == 5 * (OVERHEAD + 1)
    assert other.get(4) == 4


def test_all_threads_that_claim_get_the_same_span() -> None:
    shelf: Shelf[object] = SpanCache().shelf()
    together = threading.Barrier(8)
    got: list[list[object]] = []

    def work() -> None:
        together.wait()
        got.append([shelf.claim(number, object, 10) for number in range(200)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == got[0] for mine in got)


def test_many_threads_leave_the_count_right() -> None:
    cache = SpanCache(200 * KIB)

    def work() -> None:
        shelf: Shelf[int] = cache.shelf()
        for turn in range(500):
            shelf.put(turn % 17, turn, turn)
            shelf.grew(turn % 13, turn, 2 * turn)
            shelf.get(turn % 7)
            if turn % 100 == 0:
                shelf.clear()
        shelf.clear()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(cache), cache.held) == (0, 0)
