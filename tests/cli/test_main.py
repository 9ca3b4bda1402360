"""The table of commands, and how errors are told."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rossfs.cli.main import COMMANDS, LazyGroup, explain, rossfs, run, status_of
from rossfs.errors import BlobNotFound, Interrupted
from rossfs.store.store import Store
from tests import mounts
from tests.cli.conftest import unread
from tests.mounts import ROOT, ROSSFS


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in text


def test_the_help_imports_no_command() -> None:
    program = (
        "import sys\nfrom rossfs.cli.main import run\nrun(['--help'])\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('trio', 'pyfuse3', 'rich')"
        " or n.startswith('rossfs.store')], file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    assert ended.stderr == b"[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_entry_of_the_table_is_a_command_that_says_the_same(name: str) -> None:
    module = f"rossfs.cli.{COMMANDS[name].module}"
    assert importlib.util.find_spec(module) is not None
    assert isinstance(rossfs, LazyGroup)
    command = rossfs.get_command(click.Context(rossfs), name)
    assert command is not None
    assert command.help
    assert COMMANDS[name].summary.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert "Usage: rossfs" in capsys.readouterr().out


def test_the_store_is_an_option_or_the_environment_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROSSFS_STORE", str(tmp_path / "from-environment"))
    assert run(["info"]) == 3
    assert f"{tmp_path}/from-environment" in capsys.readouterr().err
    assert run(["--store", str(tmp_path / "from-option"), "info"]) == 3
    assert f"{tmp_path}/from-option" in capsys.readouterr().err
    monkeypatch.delenv("ROSSFS_STORE")
    assert rossfs.make_context("rossfs", ["info"]).params["store"] == "/var/lib/ross"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["--bogus"], "--bogus"),
        (["mount"], "Missing argument"),
        (["umount", "a", "b"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("rossfs: ")
    assert told.err.count("\n") == 1
    assert words in told.err
    assert "--help" in told.err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().out


def test_an_error_of_ours_is_its_text_and_status() -> None:
    error = BlobNotFound("no blob sha256:ab")
    assert explain(error) == "no blob sha256:ab"
    assert status_of(error) == 3


def test_an_error_of_the_system_names_the_file() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/a/b")
    assert explain(error) == "/a/b: No such file or directory"
    assert status_of(error) == 3
    rename = OSError(errno.EXDEV, "Invalid cross-device link", b"/a", None, b"/b")
    assert explain(rename) == "/a -> /b: Invalid cross-device link"
    assert status_of(OSError(errno.ENOSPC, "full")) == 7
    assert status_of(OSError(errno.EIO, "broken")) == 1


def test_a_message_cannot_write_to_the_terminal() -> None:
    assert explain(OSError(errno.ENOENT, "no", "/\x1b[31m\nred")) == "/ [31m red: no"


def test_an_interrupt_is_told() -> None:
    assert explain(KeyboardInterrupt()) == "interrupted"
    assert status_of(KeyboardInterrupt()) == Interrupted.exit_status == 130


def test_a_full_disk_behind_the_output_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        ended = mounts.rossfs("--help", stdout=full)
    assert ended.returncode == 7
    assert ended.stderr == b"rossfs: No space left on device\n"


def test_a_reader_that_is_gone_is_silence() -> None:
    ended = unread("--help")
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_file_name_of_any_bytes_is_printed_as_it_is(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/\xff")
    ended = mounts.rossfs("umount", name)
    assert ended.returncode == 3
    assert b"/\xff" in ended.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rossfs 0.")


def test_a_closed_output_is_no_fault_of_the_program() -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$@" --version >&-', "sh", *ROSSFS],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in ended.stderr
    assert ended.returncode == 0


@pytest.mark.parametrize("command", ["put", "import"])
def test_a_closed_input_is_told_in_one_line(store: Store, command: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *ROSSFS, "--store", store.paths.root, command, "-"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (2, b"rossfs: standard input is closed\n")
