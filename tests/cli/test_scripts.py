"""What scripts/ say before they do anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.mounts import ROOT


def script(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [f"{ROOT}/scripts/{name}", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["demo", "install", "test", "bench"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_says_what_it_does_and_does_nothing(name: str, option: str) -> None:
    ended = script(name, option)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"scripts/{name} " in ended.stdout
    assert "set -" not in ended.stdout
    assert len(ended.stdout) < 3000


def test_the_demo_looks_for_its_source_where_it_was_called(tmp_path: Path) -> None:
    (tmp_path / "it's").mkdir()
    ended = script("demo", "it's/missing", cwd=tmp_path)
    assert ended.returncode == 1
    assert f"{tmp_path}/it's/missing" in ended.stderr
    assert ended.stdout == ""


def test_the_demo_takes_one_source() -> None:
    for arguments in (("--bogus",), ("one", "two")):
        ended = script("demo", *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "scripts/demo --help" in ended.stderr
