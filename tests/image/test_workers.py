"""Jobs side by side: all of them, or the first error and no more."""

from __future__ import annotations

import signal
import threading
import time
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


def test_an_interrupt_waits_for_the_job_of_the_other_thread() -> None:
    """That job has a temporary file to remove."""
    workers, ended = Workers(2), threading.Event()
    main = threading.get_ident()

    def pieces() -> Iterator[bytes]:
        time.sleep(0.5)  # until the main thread has nothing left to do but to wait
        signal.pthread_kill(main, signal.SIGINT)
        while True:
            time.sleep(0.01)
            yield b"x"

    def job() -> None:
        if threading.get_ident() == main:
            time.sleep(0.2)  # the other thread takes the other job
            return
        try:
            for _ in workers.watched(pieces()):
                pass
        finally:
            time.sleep(0.2)
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        workers.run([job, job])
    assert ended.is_set()
