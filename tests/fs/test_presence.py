"""Whether a server lives, asked through its socket."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from rossfs.fs import presence
from tests.mounts import ROOT

_PROGRAM = """
import sys, time
from rossfs.fs.presence import Presence, find
Presence(int(sys.argv[1]))
while find(int(sys.argv[1])) is None:
    pass
print("ready", flush=True)
time.sleep(600)
"""

_minors = itertools.count(10_000_000 + os.getpid() * 100)


@pytest.fixture
def minor() -> int:
    """A number that no mount has."""
    return next(_minors)


def wait_for(minor: int) -> presence.Server:
    """The server of *minor*, which may still be about to begin."""
    end = time.monotonic() + 30
    while (found := presence.find(minor)) is None:
        assert time.monotonic() < end
    return found


@pytest.fixture
def server(minor: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _PROGRAM, str(minor)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def test_nobody_is_found_where_nobody_serves(minor: int) -> None:
    assert presence.find(minor) is None


def test_a_server_tells_its_process(minor: int, server: subprocess.Popen[bytes]) -> None:
    found = presence.find(minor)
    assert found is not None
    with found:
        assert (found.pid, found.answered) == (server.pid, True)
        assert not found.wait_gone(0.05)
    assert not presence.is_gone(minor)


def test_many_may_ask(minor: int, server: subprocess.Popen[bytes]) -> None:
    found = [presence.find(minor) for _ in range(100)]
    assert all(one is not None and one.answered for one in found)
    for one in found:
        assert one is not None
        one.close()


def test_the_end_of_the_server_is_noticed(minor: int, server: subprocess.Popen[bytes]) -> None:
    found = presence.find(minor)
    assert found is not None
    with found:
        server.kill()
        assert found.wait_gone(60)
    server.wait(60)
    assert presence.find(minor) is None


def test_a_stopped_server_is_not_gone(minor: int, server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGSTOP)
    # kill(2) returns before the process has stopped; waitid(2) tells when it has.
    assert os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT) is not None
    found = presence.find(minor, deadline=0.2)
    assert found is not None
    with found:
        assert (found.pid, found.answered) == (server.pid, False)
    assert not presence.is_gone(minor, deadline=0.2)


def test_a_dead_process_whose_socket_lives_on_is_gone(minor: int) -> None:
    """As with a server of which one thread is stuck in the kernel: its descriptors stay, here held
    by us, and its process is a zombie."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(presence._address(minor))
        zombie = os.fork()
        if zombie == 0:
            listener.listen(8)  # SO_PEERCRED names who called listen
            os._exit(0)
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        try:
            found = presence.find(minor, deadline=0.2)
            assert found is not None
            with found:
                assert (found.pid, found.answered) == (zombie, False)
            assert presence.is_gone(minor, deadline=0.2)
        finally:
            os.waitpid(zombie, 0)


def test_a_name_that_another_server_still_has_is_waited_for(
    minor: int, server: subprocess.Popen[bytes]
) -> None:
    mine = presence.Presence(minor)
    server.kill()
    server.wait(60)
    with wait_for(minor) as found:
        assert (found.pid, found.answered) == (os.getpid(), True)
    mine.withdraw()


def test_a_mount_that_is_gone_is_served_by_nobody_but_its_server_is_waited_for(minor: int) -> None:
    mine = presence.Presence(minor)
    found = wait_for(minor)
    mine.withdraw()
    end = time.monotonic() + 30
    while (other := presence.find(minor)) is not None:
        other.close()
        assert time.monotonic() < end
    with found:
        assert not found.wait_gone(0.05)  # we are the server


def test_aborting_what_is_not_there_is_refused(minor: int) -> None:
    assert not presence.abort(minor)
