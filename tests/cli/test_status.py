"""`rossfs status` and `rossfs umount` where nothing is mounted, and of a real mount."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rossfs.cli.main import run
from tests.builders import ross_store
from tests.conftest import Mount


def test_nothing_mounted_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "umount"):
        assert run([command, str(tmp_path)]) == 3
        assert "mounted on" in capsys.readouterr().err


def test_another_filesystem_is_none_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "/proc"]) == 3
    assert run(["umount", "/proc"]) == 3
    assert "not rossfs" in capsys.readouterr().err
    assert os.path.exists("/proc/self")


def test_a_mount_tells_its_store_and_its_server(
    mount: Mount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ross_store(tmp_path / "store").root
    mounted = mount(store, "ro")
    assert run(["status", str(mounted.path)]) == 0
    text = capsys.readouterr().out
    assert str(store) in text
    assert "answers" in text
    assert run(["status", "--json", str(mounted.path)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["store"] == str(store)
    assert status["mountpoint"] == str(mounted.path)
    assert status["state"] == "answers"
    assert "ro" in status["options"]
    assert status["stats"]["pid"] == mounted.process.pid
    assert status["damaged"] == []


def test_a_dead_mount_is_told_as_dead(
    mount: Mount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mounted = mount(ross_store(tmp_path / "store").root)
    mounted.kill()
    assert run(["status", "--json", str(mounted.path)]) == 8
    told = capsys.readouterr()
    assert json.loads(told.out)["state"] == "dead"
    assert "server" in told.err
