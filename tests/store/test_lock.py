"""The store lock, between real processes.

No test measures time: whether somebody waits is read from /proc/locks, where the kernel lists
waiting processes with an arrow.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.store.lock import StoreLock

DEADLINE = 30.0

_PEER = """
import sys
from rossfs.store.lock import StoreLock
lock = StoreLock(sys.argv[1])
for line in sys.stdin:
    with getattr(lock, line.strip())():
        print("held", flush=True)
        sys.stdin.readline()
    print("released", flush=True)
"""


class Peer:
    """Another process that takes and releases the lock as it is told."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PEER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, kind: str) -> None:
        """Ask for the lock, without waiting for it."""
        self._write(kind)

    def heard(self) -> str:
        """The next thing that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def take(self, kind: str) -> None:
        """Take the lock, which is to be free."""
        self.ask(kind)
        assert self.heard() == "held"

    def release(self) -> None:
        """Let the lock go."""
        self._write("")
        assert self.heard() == "released"

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def peer(path: Path) -> Iterator[Callable[[], Peer]]:
    peers: list[Peer] = []

    def make() -> Peer:
        peers.append(Peer(path))
        return peers[-1]

    yield make
    for one in peers:
        one.process.kill()
        one.process.communicate(timeout=DEADLINE)


def waiters(path: Path) -> int:
    """How many processes wait for a lock on *path*."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return sum("->" in line and inode in line for line in lines)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_writers_share_the_lock(peer: Callable[[], Peer]) -> None:
    first, second = peer(), peer()
    first.take("shared")
    second.take("shared")


def test_a_sweep_waits_for_writers(path: Path, peer: Callable[[], Peer]) -> None:
    writer, sweep = peer(), peer()
    writer.take("shared")
    sweep.ask("exclusive")
    until(lambda: waiters(path) == 1)
    writer.release()
    assert sweep.heard() == "held"


def test_a_waiting_sweep_keeps_new_writers_out(path: Path, peer: Callable[[], Peer]) -> None:
    writer, sweep, late = peer(), peer(), peer()
    writer.take("shared")
    sweep.ask("exclusive")
    until(lambda: waiters(path) == 1)
    late.ask("shared")
    until(lambda: waiters(path) == 2)
    writer.release()
    assert sweep.heard() == "held"
    assert waiters(path) == 1
    sweep.release()
    assert late.heard() == "held"


def test_a_killed_process_holds_nothing(peer: Callable[[], Peer]) -> None:
    victim, sweep = peer(), peer()
    victim.take("exclusive")
    victim.process.kill()
    victim.process.wait(DEADLINE)
    sweep.take("exclusive")


def test_a_process_killed_while_it_waits_stands_in_nobodys_way(
    path: Path, peer: Callable[[], Peer]
) -> None:
    writer, victim, late = peer(), peer(), peer()
    writer.take("shared")
    victim.ask("exclusive")
    until(lambda: waiters(path) == 1)
    victim.process.kill()
    victim.process.wait(DEADLINE)
    late.take("shared")


def test_threads_exclude_each_other_as_processes_do(path: Path) -> None:
    lock = StoreLock(str(path))
    order: list[str] = []

    def write() -> None:
        with lock.shared():
            order.append("writer")

    with lock.exclusive():
        thread = threading.Thread(target=write)
        thread.start()
        until(lambda: waiters(path) == 1)
        order.append("sweep")
    thread.join(DEADLINE)
    assert order == ["sweep", "writer"]


def test_a_writer_may_nest_even_while_a_sweep_waits(path: Path, peer: Callable[[], Peer]) -> None:
    lock = StoreLock(str(path))
    sweep = peer()
    with lock.shared():
        sweep.ask("exclusive")
        until(lambda: waiters(path) == 1)
        with lock.shared():
            pass
        assert waiters(path) == 1
    assert sweep.heard() == "held"


def test_a_sweep_may_write(path: Path) -> None:
    lock = StoreLock(str(path))
    with lock.exclusive(), lock.shared():
        pass
    with lock.shared():
        pass


def test_a_writer_cannot_become_a_sweep(path: Path) -> None:
    lock = StoreLock(str(path))
    with (
        lock.shared(),
        pytest.raises(AssertionError, match="wait for each other"),
        lock.exclusive(),
    ):
        pass


def test_the_lock_is_free_after_an_error(path: Path, peer: Callable[[], Peer]) -> None:
    lock = StoreLock(str(path))
    with pytest.raises(ZeroDivisionError), lock.shared(), lock.naming():
        raise ZeroDivisionError
    peer().take("exclusive")


def test_writers_change_names_one_after_the_other(path: Path) -> None:
    lock = StoreLock(str(path))
    order: list[str] = []

    def name() -> None:
        with lock.shared(), lock.naming():
            order.append("second")

    with lock.shared(), lock.naming():
        thread = threading.Thread(target=name)
        thread.start()
        until(lambda: waiters(path) == 1)
        order.append("first")
    thread.join(DEADLINE)
    assert order == ["first", "second"]


def test_no_descriptor_is_left_open(path: Path) -> None:
    lock = StoreLock(str(path))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with lock.shared(), lock.naming():
            pass
        with lock.exclusive():
            pass
    assert len(os.listdir("/proc/self/fd")) == before
