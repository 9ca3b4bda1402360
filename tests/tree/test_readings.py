"""What each process last saw of index.json."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from rossfs.tree import readings
from rossfs.tree.process import Process, is_alone, process_of
from rossfs.tree.readings import Base, Readings

ALIVE = {1, 2, 3}


def numbered(thread: int) -> Process | None:
    return Process(thread, 0) if thread in ALIVE else None


def test_a_thread_is_of_its_process() -> None:
    found: list[Process | None] = []
    thread = threading.Thread(target=lambda: found.append(process_of(threading.get_native_id())))
    thread.start()
    thread.join()
    mine = process_of(os.getpid())
    assert mine is not None
    assert mine.number == os.getpid()
    assert found == [mine]


def test_who_is_gone_or_elsewhere_is_no_process() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert process_of(ended.pid) is None
    assert process_of(0) is None


def test_each_process_knows_what_it_saw_last() -> None:
    seen = Readings(of=numbered, alone=lambda _: True)
    one, two = seen.who(1), seen.who(2)
    assert seen.base(one, "a") == Base(False, None)
    seen.saw(one, "a", b"1")
    seen.saw(two, "a", b"2")
    seen.saw(one, "b", b"3")
    assert seen.base(one, "a") == Base(True, b"1")
    assert seen.base(two, "a") == Base(True, b"2")
    seen.missed(one, "a")
    assert seen.base(one, "a") == Base(True, None)
    seen.wrote(one, "a", b"4")
    assert seen.base(one, "a") == Base(True, b"4")
    assert seen.base(seen.who(99), "a") == Base(True, None)


def test_the_dead_are_forgotten_first() -> None:
    everybody = {number: Process(number, 0) for number in range(1, 9)}
    seen = Readings(4, everybody.get)
    whos = {number: seen.who(number) for number in range(1, 9)}
    for number in range(1, 5):
        seen.saw(whos[number], "a", b"text")
    del everybody[3]
    seen.saw(whos[5], "a", b"text")
    assert not seen.base(whos[3], "a").known
    assert all(seen.base(whos[number], "a").known for number in (1, 2, 4, 5))
    seen.saw(whos[6], "a", b"text")
    assert not seen.base(whos[1], "a").known


def test_misses_push_out_misses_only() -> None:
    seen = Readings(4, numbered)
    one = seen.who(1)
    seen.saw(one, "a", b"text")
    for number in range(20):
        seen.missed(one, f"r{number}")
    assert seen.base(one, "a") == Base(True, b"text")
    assert not seen.base(one, "r1").known
    assert seen.base(one, "r19").known


def test_long_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_BYTES", 100)
    seen = Readings(of=numbered)
    same = b"x" * 60
    for number in ALIVE:
        seen.saw(seen.who(number), "a", same)
    assert all(seen.base(seen.who(number), "a").known for number in ALIVE)
    seen.saw(seen.who(1), "b", b"y" * 60)
    assert seen.base(seen.who(1), "b").known
    assert not seen.base(seen.who(2), "a").known


# Threads of one process


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def seen(clock: Clock) -> Readings:
    """Of one process, of which each number is a thread."""
    return Readings(8, lambda _: Process(1, 0), lambda _: False, clock)


def bases(seen: Readings, thread: int) -> tuple[bytes | None, ...]:
    """What *thread* may set out from, the last at the end."""
    base = seen.base(seen.who(thread), "a")
    assert base.known
    return *base.others, base.text


def test_what_any_thread_read_may_be_the_base(seen: Readings, clock: Clock) -> None:
    seen.saw(seen.who(1), "a", b"1")
    seen.saw(seen.who(2), "a", b"2")
    assert bases(seen, 1) == bases(seen, 2) == bases(seen, 3) == (b"1", b"2")
    clock.now += 601
    assert bases(seen, 1) == (b"2",)


def test_what_a_thread_read_later_counts_for_it(seen: Readings) -> None:
    for text in (b"1", b"2", b"3"):
        seen.saw(seen.who(1), "a", text)
    assert bases(seen, 1) == bases(seen, 2) == (b"3",)


def test_a_writing_uses_a_reading_up(seen: Readings) -> None:
    for thread in (1, 2, 3):
        seen.saw(seen.who(thread), "a", b"1")
    seen.wrote(seen.who(1), "a", b"2")
    assert bases(seen, 1) == bases(seen, 4) == (b"1", b"2")
    seen.wrote(seen.who(4), "a", b"3")
    assert bases(seen, 4) == (b"1", b"3")
    seen.wrote(seen.who(4), "a", b"4")
    assert bases(seen, 4) == (b"4",)
    assert bases(seen, 1) == (b"2", b"4")


def test_that_there_was_nothing_counts_for_a_minute(seen: Readings, clock: Clock) -> None:
    for thread in (1, 2):
        seen.missed(seen.who(thread), "a")
    seen.wrote(seen.who(1), "a", b"1")
    assert bases(seen, 1) == (None, b"1")
    clock.now += 61
    assert bases(seen, 1) == (b"1",)


def test_few_threads_are_remembered(seen: Readings) -> None:
    for thread in range(1, 100):
        seen.saw(seen.who(thread), "a", b"%d" % thread)
    assert bases(seen, 1) == tuple(b"%d" % thread for thread in range(91, 100))


def test_a_process_with_a_second_thread_is_not_alone() -> None:
    mine = process_of(os.getpid())
    assert mine is not None
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert not is_alone(mine)
    stop.set()
    thread.join()
    sleeper = subprocess.Popen(["sleep", "60"])
    asleep = process_of(sleeper.pid)
    assert asleep is not None
    assert is_alone(asleep)
    sleeper.kill()
    sleeper.wait()
    assert is_alone(asleep)
