"""A server that outlives its command: started for real, in commands of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.mounts import ROOT

_PROGRAM = """
import os, sys, time
from rossfs.errors import MountFailed, RossfsError, StoreNotFound
from rossfs.fs import daemon

def serve(readiness):
    {body}

try:
    daemon.start(serve, deadline={deadline})
except RossfsError as error:
    print(type(error).__name__, error)
else:
    print("started")
"""


def run(body: str, deadline: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(body=body, deadline=deadline)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def wait_gone(pid: int) -> None:
    end = time.monotonic() + 30
    while os.path.exists(f"/proc/{pid}/exe"):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_command_returns_when_the_server_is_ready() -> None:
    ended = run(
        "print(os.getpid(), file=sys.stderr, flush=True); readiness.ready();"
        " daemon.leave_standard_error(); time.sleep(600)"
    )
    assert ended.stdout == "started\n"  # not twice: the child prints nothing of the parent's
    server = int(ended.stderr)
    assert os.getsid(server) == server
    os.kill(server, signal.SIGTERM)
    wait_gone(server)


def test_an_error_of_the_server_is_the_commands() -> None:
    ended = run('raise StoreNotFound("nothing here")')
    assert (ended.stdout, ended.stderr) == ("StoreNotFound nothing here\n", "")


def test_an_unforeseen_error_shows_where_it_was() -> None:
    ended = run("1 / 0")
    assert ended.stdout.startswith("MountFailed ZeroDivisionError")
    assert "Traceback" in ended.stderr


def test_a_server_that_dies_silently_is_noticed() -> None:
    assert run("os._exit(0)").stdout.startswith("MountFailed the server died")


def test_a_server_that_does_not_get_ready_is_ended() -> None:
    ended = run("print(os.getpid(), file=sys.stderr, flush=True); time.sleep(600)", deadline=1.0)
    assert ended.stdout.startswith("MountFailed the server did not get ready")
    assert not os.path.exists(f"/proc/{int(ended.stderr)}/exe")
