"""Running the copies of one transfer side by side."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

COUNT = 2
"""Threads that copy: while one waits for the disk the other reads; hashing has its own."""


class Stopped(Exception):
    """Raised inside a job because another one failed; never seen outside."""


class Workers:
    """Runs jobs in this thread and others; the first error ends them all.

    An interrupt reaches the main thread only, which is why the caller works too and does not just
    wait.
    """

    def __init__(self, count: int = COUNT) -> None:
        self._count = count
        self._jobs: deque[Callable[[], None]] = deque()
        self._stop = threading.Event()
        self._errors: deque[BaseException] = deque()

    def run(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Run all *jobs*, in this order; raises what the first that failed raised, when none runs
        any more."""
        self._jobs.extend(jobs)
        threads = [_Thread(self._work) for _ in range(min(self._count, len(self._jobs)) - 1)]
        try:
            for thread in threads:
                thread.start()
            self._work()
            _join(threads)
        except BaseException:
            self._stop.set()
            _join(threads)
            raise
        if self._errors:
            raise self._errors[0]

    def watched(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Give *chunks*; raises Stopped between two of them once another job failed."""
        for chunk in chunks:
            if self._stop.is_set():
                raise Stopped
            yield chunk

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                job = self._jobs.popleft()
            except IndexError:
                return
            try:
                job()
            except Stopped:
                return
            except BaseException as error:
                self._errors.append(error)
                self._stop.set()


class _Thread(threading.Thread):
    """A thread that says itself when its work has ended.

    Thread.join of Python 3.11 and 3.12 takes a thread for ended once an interrupt came while it
    waited: joined again it returns at once, and temporary files of the job would stay.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(name="rossfs-copy", daemon=True)
        self._work = work
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._work()
        finally:
            self.ended.set()


def _join(threads: Iterable[_Thread]) -> None:
    for thread in threads:
        # One without an ident was never started: the start of another was interrupted.
        if thread.ident is not None:
            thread.ended.wait()
