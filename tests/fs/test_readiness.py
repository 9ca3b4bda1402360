"""How a server tells that it is ready, or why it is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from rossfs.errors import MountFailed, StoreNotFound
from rossfs.fs import readiness
from rossfs.fs.readiness import Readiness


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe()


def test_ready_is_heard(pipe: tuple[int, int]) -> None:
    Readiness(pipe[1]).ready()
    readiness.wait(pipe[0], 10)
    os.close(pipe[0])


def test_an_error_arrives_as_itself(pipe: tuple[int, int]) -> None:
    Readiness(pipe[1]).failed(StoreNotFound("no store at /s\udcff"))
    with pytest.raises(StoreNotFound, match="no store at /s\udcff"):
        readiness.wait(pipe[0], 10)
    os.close(pipe[0])


def test_an_unforeseen_error_is_a_failed_mount(pipe: tuple[int, int]) -> None:
    Readiness(pipe[1]).failed(ZeroDivisionError("by zero"))
    with pytest.raises(MountFailed, match="ZeroDivisionError: by zero"):
        readiness.wait(pipe[0], 10)
    os.close(pipe[0])


def test_a_server_that_dies_is_noticed(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    with pytest.raises(MountFailed, match="died"):
        readiness.wait(pipe[0], 10)
    os.close(pipe[0])


def test_a_silent_server_is_not_waited_for(pipe: tuple[int, int]) -> None:
    with pytest.raises(MountFailed, match="did not get ready"):
        readiness.wait(pipe[0], 0.05)
    os.close(pipe[0])
    os.close(pipe[1])


def test_only_the_first_word_counts(pipe: tuple[int, int]) -> None:
    server = Readiness(pipe[1])
    server.ready()
    server.failed(StoreNotFound("too late"))
    readiness.wait(pipe[0], 10)
    os.close(pipe[0])


def test_nobody_listening_is_no_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    Readiness(pipe[1]).ready()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_notified(tmp_path: Path, abstract: bool) -> None:
    name = f"rossfs-readiness-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else name)
        systemd.settimeout(10)
        server = Readiness(None, f"@{name}" if abstract else name)
        server.ready()
        assert systemd.recv(100) == b"READY=1"
        server.stopping()
        assert systemd.recv(100) == b"STOPPING=1"


def test_a_supervisor_that_is_gone_is_no_error(tmp_path: Path) -> None:
    Readiness(None, str(tmp_path / "missing")).ready()
