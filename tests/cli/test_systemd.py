"""The unit that `rossfs systemd` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.cli.main import run


def unit(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, str]:
    """What `rossfs systemd` prints, by key."""
    assert run(["systemd", *argv]) == 0
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_unit_waits_for_readiness(capsys: pytest.CaptureFixture[str]) -> None:
    keys = unit(capsys, "/var/lib/ross", "/mnt/ross")
    assert keys["Type"] == "notify"
    assert keys["ExecStart"].split()[1:] == [
        "mount",
        "--foreground",
        "--",
        "/var/lib/ross",
        "/mnt/ross",
    ]
    assert keys["ExecStart"].startswith("/")
    assert keys["RequiresMountsFor"] == "/var/lib/ross /mnt"


def test_options_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    keys = unit(capsys, "/s", "/m", "-o", "ro", "-o", "uid=5")
    assert " -o ro,uid=5 -- /s /m" in keys["ExecStart"]


def test_relative_paths_become_absolute(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = unit(capsys, "s", "m")
    assert keys["ExecStart"].endswith(f" {tmp_path}/s {tmp_path}/m")


def test_odd_paths_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    keys = unit(capsys, '/a b"c', "/100%$x")
    assert keys["ExecStart"].endswith(' -- "/a b\\"c" "/100%%$$x"')


def test_a_dollar_begins_a_variable_in_commands_only(capsys: pytest.CaptureFixture[str]) -> None:
    keys = unit(capsys, "/100%$x", "/m")
    assert keys["RequiresMountsFor"] == '"/100%%$x" /'


@pytest.mark.parametrize("path", ["/a\nExecStartPre=b", "/a\x1b", "/a\udcff", "/a\\"])
def test_a_path_that_would_break_the_unit_is_refused(
    capsys: pytest.CaptureFixture[str], path: str
) -> None:
    for places in ((path, "/m"), ("/s", path)):
        assert run(["systemd", *places]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert "no unit can hold" in told.err


def test_a_wrong_option_is_refused_here_and_not_at_boot(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["systemd", "/s", "/m", "-o", "bogus"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "bogus" in told.err
