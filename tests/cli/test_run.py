"""`rossfs run` and `rossfs podman-config` without podman: what is missing, and what is no mount.

What they do with a mount is in tests/mount/test_podman.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.cli.main import run
from tests.builders import ross_store
from tests.conftest import Mount
from tests.requirements import require_tools


@pytest.mark.parametrize("arguments", [[], ["--rm"], ["--rm=true", "--print"], ["--"]])
def test_a_name_must_be_there(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    if "--rm" in arguments:
        require_tools("podman")
    assert run(["run", *arguments]) == 2
    assert "NAME" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_needs_no_podman(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["run", option]) == 0
    assert "rossfs run [OPTION]... NAME [CMD]..." in capsys.readouterr().out


@pytest.mark.parametrize("command", [["podman-config"], ["run", "box"], ["run", "--print", "box"]])
def test_a_store_that_is_not_mounted_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    store = ross_store(tmp_path / "store").root
    assert run(["--store", str(store), *command]) == 3
    assert f"rossfs: the store {store} is not mounted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["podman-config", "/proc"], ["run", "--mountpoint=/proc", "box"]]
)
def test_what_is_no_mount_of_ours_is_told(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert run(command) == 3
    assert "no rossfs is mounted on /proc" in capsys.readouterr().err


def test_a_dead_mount_is_told(
    mount: Mount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ross_store(tmp_path / "store").root
    mount(store).kill()
    assert run(["--store", str(store), "podman-config"]) == 8
    assert "does not answer" in capsys.readouterr().err


def test_the_store_may_be_named_by_a_link(
    mount: Mount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ross_store(tmp_path / "store").root
    mounted = mount(store)
    (tmp_path / "link").symlink_to(store)
    assert run(["--store", str(tmp_path / "link"), "podman-config"]) == 0
    assert f'additionalimagestores = ["{mounted.path}/podman"]' in capsys.readouterr().out
    assert run(["--store", str(store), "run", "--print", "box"]) == 3
    assert "no tag library/box:latest" in capsys.readouterr().err
