"""Jobs side by side: all of them, or the first error and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from rossfs.image.workers import Workers


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_job_runs_once(count: int) -> None:
    done: list[int] = []

    def job(number: int) -> Callable[[], None]:
        return lambda: done.append(number)

    Workers(count).run(job(number) for number in range(20))
    assert sorted(done) == list(range(20))


def test_no_job_is_no_work() -> None:
    Workers().run([])


def test_two_jobs_run_at_once() -> None:
    barrier = threading.Barrier(2, timeout=30)

    def meet() -> None:
        barrier.wait()

    Workers(2).run([meet, meet])


def test_the_first_error_stops_the_others_between_two_pieces() -> None:
    workers = Workers(2)
    started = threading.Event()

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    def copy() -> None:
        for _ in workers.watched(endless()):
            started.set()

    def fail() -> None:
        assert started.wait(30)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workers.run([copy, fail, lambda: pytest.fail("the third job was started")])


@pytest.mark.parametrize("error", [KeyboardInterrupt, IndexError, SystemExit])
def test_any_exception_comes_out(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(error):
        Workers(2).run([fail])
    assert not [thread for thread in threading.enumerate() if thread.name == "rossfs-copy"]
