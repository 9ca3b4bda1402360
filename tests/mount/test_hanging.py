"""Mounts that hang for ever, because their server was killed and cannot end: found, not waited for,
and cleared away.  These tests take as long as it takes to believe that something hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.fs import blocking, presence
from rossfs.fs.mountinfo import Mount, mounts_on
from rossfs.fs.mountpoint import Health, health
from tests import leftovers
from tests.builders import ross_store
from tests.mounts import ENDED, ROOT, rossfs
from tests.requirements import require_root

pytestmark = pytest.mark.fuse


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Mount]:
    """A mount on `tmp_path/hang` that hangs, and whose server has been killed."""
    require_root("call mount(2)")
    path = tmp_path / "hang"
    path.mkdir()
    command = [sys.executable, "-m", "tests.hanging", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"stuck\n"
            (mount,) = mounts_on(str(path))
            server.kill()
            yield mount
        finally:
            # Before the process is waited for: it ends when its connection does.
            for left in mounts_on(str(path)):
                presence.abort(left.minor)
                blocking.call("detach", left.path)
            server.kill()
            server.wait(ENDED)


def test_a_hang_is_told_from_a_dead_mount(hanging: Mount) -> None:
    assert health(hanging, deadline=1.0) is Health.HANGS
    assert presence.is_gone(hanging.minor, deadline=0.5)


def test_an_aborted_connection_is_dead_and_no_longer_hangs(hanging: Mount) -> None:
    assert presence.abort(hanging.minor)
    assert health(hanging) is Health.DEAD


def test_a_hanging_mount_is_replaced(hanging: Mount, tmp_path: Path) -> None:
    store = ross_store(tmp_path / "store").root
    ended = rossfs("mount", store, hanging.path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "blobs" in os.listdir(hanging.path)
    assert len(mounts_on(hanging.path)) == 1
    assert rossfs("umount", hanging.path).returncode == 0


def test_a_hanging_mount_is_unmounted(hanging: Mount) -> None:
    ended = rossfs("umount", hanging.path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert mounts_on(hanging.path) == []


def test_a_hanging_mount_is_told_as_such(hanging: Mount) -> None:
    ended = rossfs("status", hanging.path)
    assert ended.returncode == 8
    assert b"hangs" in ended.stdout


def test_what_sessions_left_is_cleared_away(hanging: Mount) -> None:
    leftovers.clear([hanging])
    assert mounts_on(hanging.path) == []


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """A process that stands for a pytest whose mounts are below `tmp_path`, and its watchdog."""
    with subprocess.Popen(["sleep", "600"]) as pytest_process:
        mark = leftovers.mark_of(pytest_process.pid)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.watchdog", str(pytest_process.pid), mark, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as watchdog:
            try:
                yield pytest_process, watchdog
            finally:
                pytest_process.kill()
                watchdog.wait(ENDED)


def test_the_watchdog_frees_a_test_that_hangs(
    hanging: Mount,
    session: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    pytest_process, watchdog = session
    with subprocess.Popen(["stat", hanging.path], stderr=subprocess.PIPE) as test:
        assert watchdog.stdin is not None
        watchdog.stdin.write(b"0.5 tests/test_that_hangs.py\n")
        watchdog.stdin.flush()
        assert test.wait(ENDED) != 0
    assert pytest_process.poll() is None
    pytest_process.send_signal(signal.SIGTERM)
    _, told = watchdog.communicate(timeout=ENDED)
    assert b"tests/test_that_hangs.py is not over in time" in told
    assert b"aborting the connection" in told
    assert mounts_on(hanging.path) == []


def test_the_watchdog_ends_what_a_killed_session_left(
    session: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    pytest_process, watchdog = session
    (tmp_path / "place").mkdir()
    store = ross_store(tmp_path / "store").root
    mark = leftovers.mark_of(pytest_process.pid)
    ended = subprocess.run(
        [sys.executable, "-m", "rossfs", "mount", store, tmp_path / "place"],
        cwd=ROOT,
        env={**os.environ, leftovers.VARIABLE: mark},
        timeout=60,
        check=True,
    )
    assert ended.returncode == 0
    assert len(leftovers.processes(mark)) == 1
    pytest_process.kill()
    assert watchdog.wait(ENDED) == 0
    assert mounts_on(str(tmp_path / "place")) == []
    end = time.monotonic() + 30
    while leftovers.processes(mark):
        assert time.monotonic() < end
        time.sleep(0.05)
