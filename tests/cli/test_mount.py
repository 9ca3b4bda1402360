"""The arguments of `mount.rossfs`, as mount(8) gives them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rossfs.cli.main import run
from rossfs.cli.mount import helper, parse_helper
from rossfs.errors import InvalidOption, UsageError
from tests import mounts
from tests.builders import ross_store
from tests.mounts import ROOT


def test_flags_come_after_the_places() -> None:
    call = parse_helper(["/s", "/m", "-s", "-f", "-n", "-v", "-o", "rw,noexec", "-t", "rossfs.x"])
    assert (call.store, call.mountpoint) == ("/s", "/m")
    assert call.fake
    assert call.verbose
    assert not call.options.executable


def test_flags_may_come_first_and_together() -> None:
    call = parse_helper(["-nv", "-o", "ro", "/s", "/m"])
    assert call.options.read_only
    assert not call.fake


def test_several_options_are_added_up() -> None:
    options = parse_helper(["/s", "/m", "-o", "uid=1", "-o", "gid=2"]).options
    assert (options.uid, options.gid) == (1, 2)


def test_read_only_is_a_flag_too() -> None:
    assert parse_helper(["-r", "/s", "/m"]).options.read_only
    assert not parse_helper(["-w", "/s", "/m"]).options.read_only


def test_sloppy_forgives_unknown_options() -> None:
    assert (
        parse_helper(["/s", "/m", "-s", "-o", "bogus"]).options
        == parse_helper(["/s", "/m"]).options
    )
    with pytest.raises(InvalidOption, match="bogus"):
        parse_helper(["/s", "/m", "-o", "bogus"])


@pytest.mark.parametrize("argv", [[], ["/s"], ["/s", "/m", "/x"], ["/s", "/m", "-Z"], ["/s", "-o"]])
def test_wrong_usage_is_told_with_status_1(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        parse_helper(argv)
    assert helper(argv) == 1
    told = capsys.readouterr().err
    assert told.startswith("mount.rossfs: ")
    assert told.count("\n") == 1


def test_a_failure_has_the_status_of_mount(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert helper([str(tmp_path / "missing"), str(tmp_path)]) == 32
    assert "no store at" in capsys.readouterr().err


def test_a_fake_mount_checks_what_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ross_store(tmp_path / "store")
    (tmp_path / "place").mkdir()
    assert helper([str(tmp_path / "store"), str(tmp_path / "place"), "-f", "-v"]) == 0
    assert "mounted on" in capsys.readouterr().out
    assert helper([str(tmp_path / "store"), str(tmp_path / "missing"), "-f"]) == 32


def test_a_place_of_any_bytes_is_told_as_it_is(tmp_path: Path) -> None:
    store = tmp_path / os.fsdecode(b"store\xff")
    ross_store(store)
    (tmp_path / "place").mkdir()
    program = "from rossfs.cli.main import mount_helper; mount_helper()"
    ended = subprocess.run(
        [sys.executable, "-c", program, store, tmp_path / "place", "-f", "-v"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert os.fsencode(store) in ended.stdout


def test_a_log_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    ross_store(tmp_path / "store")
    log = f"{tmp_path}/none/log"
    ended = mounts.rossfs("mount", "-o", f"log={log}", tmp_path / "store", tmp_path / "mnt")
    assert ended.returncode == 8
    assert ended.stderr.decode() == (
        f"rossfs: cannot write the log: {log}: No such file or directory\n"
    )


@pytest.mark.parametrize("options", ["remount", "rw,nosuid,user_id=0,remount", "remount,bogus"])
def test_a_remount_says_what_to_do_instead(
    options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "rossfs cannot be remounted: unmount it and mount it again, as in `umount '/a m' && "
    words += "mount -t rossfs -o OPTIONS /s '/a m'`\n"
    assert helper(["/s", "/a m", "-o", options]) == 1
    assert capsys.readouterr().err == f"mount.rossfs: {words}"
    assert run(["/s", "/a m", "-o", options]) == 1
    assert capsys.readouterr().err == f"mount.rossfs: {words}"
    assert run(["mount", "/s", "/a m", "-o", options]) == 2
    assert capsys.readouterr().err == f"rossfs: {words}"


def test_what_mount_fuse_adds_does_not_count() -> None:
    options = parse_helper(["/s", "/m", "-o", "ro,dev,suid"], by_fuse=True).options
    assert (options.read_only, options.dev, options.suid) == (True, False, False)
    assert parse_helper(["/s", "/m", "-o", "dev"]).options.dev


def test_a_store_and_a_place_without_a_command_are_a_mount(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for argv in (["empty", "m"], ["./empty", "m", "-o", "rw"], ["/no/store", "m", "-f"]):
        assert run(argv) == 32
        assert capsys.readouterr().err.startswith("mount.rossfs: no store at /")
    for argv in (["/no/store"], ["none", "m"], ["/no/store", "ls"], ["/no/store", "-o", "rw"]):
        assert run(argv) == 2
        assert "No such command" in capsys.readouterr().err
