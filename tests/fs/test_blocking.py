"""Calls that may never return, made by processes that can be left behind."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from rossfs.fs import blocking


def test_a_call_that_succeeds_is_zero(tmp_path: Path) -> None:
    assert blocking.call("statvfs", str(tmp_path)) == 0
    assert blocking.call("directory", str(tmp_path)) == 0


def test_a_call_that_fails_is_its_errno(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert blocking.call("statvfs", str(tmp_path / "missing")) == errno.ENOENT
    assert blocking.call("directory", str(tmp_path / "file")) == errno.ENOTDIR
    assert blocking.call("umount", str(tmp_path)) in {errno.EINVAL, errno.EPERM}


def test_a_path_may_be_any_bytes(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff \n")
    os.mkdir(path)
    assert blocking.call("directory", path) == 0


def test_a_process_that_takes_too_long_is_left_behind() -> None:
    began = time.monotonic()
    assert blocking.run(["sleep", "100"], deadline=0.2) is None
    assert time.monotonic() - began < 30


def test_a_process_that_fails_tells_why() -> None:
    ended = blocking.run(["sh", "-c", "echo sorry >&2; echo not this; exit 3"])
    assert ended == (3, "sorry")


def test_a_process_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        blocking.run(["no-such-program-of-rossfs"])


def test_a_call_nobody_knows_is_an_error() -> None:
    with pytest.raises(OSError, match="KeyError"):
        blocking.call("format", "/")
