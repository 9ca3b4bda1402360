"""What each process last saw of index.json."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from rossfs.tree import readings
from rossfs.tree.process import Process, process_of
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
    seen = Readings(of=numbered)
    one, two = seen.process(1), seen.process(2)
    assert seen.base(one, "a") == Base(False, None)
    seen.saw(one, "a", b"1")
    seen.saw(two, "a", b"2")
    seen.saw(one, "b", b"3")
    assert seen.base(one, "a") == Base(True, b"1")
    assert seen.base(two, "a") == Base(True, b"2")
    seen.missed(one, "a")
    assert seen.base(one, "a") == Base(True, None)
    seen.saw(one, "a", b"4")
    assert seen.base(one, "a") == Base(True, b"4")
    assert seen.base(seen.process(99), "a") == Base(True, None)


def test_the_dead_are_forgotten_first() -> None:
    everybody = {number: Process(number, 0) for number in range(1, 9)}
    seen = Readings(4, everybody.get)
    for number in range(1, 5):
        seen.saw(everybody[number], "a", b"text")
    dead = everybody.pop(3)
    seen.saw(everybody[5], "a", b"text")
    assert not seen.base(dead, "a").known
    assert all(seen.base(everybody[number], "a").known for number in (1, 2, 4, 5))
    seen.saw(everybody[6], "a", b"text")
    assert not seen.base(everybody[1], "a").known


def test_misses_push_out_misses_only() -> None:
    seen = Readings(4, numbered)
    seen.saw(Process(1, 0), "a", b"text")
    for number in range(20):
        seen.missed(Process(1, 0), f"r{number}")
    assert seen.base(Process(1, 0), "a") == Base(True, b"text")
    assert not seen.base(Process(1, 0), "r1").known
    assert seen.base(Process(1, 0), "r19").known


def test_long_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_BYTES", 100)
    seen = Readings(of=numbered)
    same = b"x" * 60
    for number in ALIVE:
        seen.saw(Process(number, 0), "a", same)
    assert all(seen.base(Process(number, 0), "a").known for number in ALIVE)
    seen.saw(Process(1, 0), "b", b"y" * 60)
    assert seen.base(Process(1, 0), "b").known
    assert not seen.base(Process(2, 0), "a").known
