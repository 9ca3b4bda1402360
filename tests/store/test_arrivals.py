"""What a collection is told while it runs, when there is no room to tell it."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

import pytest

from rossfs.errors import Busy
from rossfs.store import arrivals
from rossfs.store.store import Store
from tests.builders import digest_of

FIRST, SECOND, THIRD = (digest_of(b"%d" % number) for number in range(3))
RECORD = len(arrivals.pack(FIRST))


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """A write past *size* bytes of any file writes what fits, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_collection_hears_what_is_noted(store: Store) -> None:
    with arrivals.collecting(store.access) as arrived:
        with store.access.writing():
            arrivals.note(store.paths, FIRST, SECOND)
        assert list(arrived.new()) == [FIRST, SECOND]
        assert list(arrived.new()) == []


def test_a_collection_that_cannot_hear_all_ends(store: Store) -> None:
    with arrivals.collecting(store.access) as arrived, store.access.writing():
        arrivals.note(store.paths, FIRST)
        with no_file_beyond(RECORD + 20), pytest.raises(OSError, match="too large"):
            arrivals.note(store.paths, SECOND)
        arrivals.note(store.paths, THIRD)
        with pytest.raises(Busy):
            list(arrived.new())
    # The next one is not harmed by the end of the last.
    with arrivals.collecting(store.access) as arrived:
        assert list(arrived.new()) == []


def test_the_end_of_a_collection_does_not_end_the_next(store: Store) -> None:
    with arrivals.collecting(store.access) as first:
        os.unlink(f"{store.paths.pins}/{arrivals.NAME}")
        with pytest.raises(Busy):
            list(first.new())
        second = arrivals.collecting(store.access)
        arrived = second.__enter__()
    assert list(arrived.new()) == []
    second.__exit__(None, None, None)


def test_a_hold_that_found_no_room_holds_what_it_held(store: Store) -> None:
    with store.pins.hold(FIRST) as hold:
        with no_file_beyond(RECORD + 20), pytest.raises(OSError, match="too large"):
            hold.add(SECOND)
        assert list(store.pins.live()) == [FIRST]
        hold.add(THIRD)
        assert list(store.pins.live()) == [FIRST, THIRD]


def test_a_hold_that_found_no_room_at_first_leaves_nothing(store: Store) -> None:
    with store.pins.hold(FIRST):
        before = len(os.listdir("/proc/self/fd"))
        with no_file_beyond(20), pytest.raises(OSError, match="too large"):
            store.pins.hold(SECOND)
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(os.listdir(store.paths.pins)) == 1
