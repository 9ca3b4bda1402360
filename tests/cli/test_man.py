"""`rossfs man` and `rossfs completion`: texts made from the commands themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rossfs.cli.exits import STATUSES
from rossfs.cli.main import COMMANDS
from rossfs.cli.main import rossfs as group
from rossfs.cli.manual import render
from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs
from tests.mounts import ROOT
from tests.requirements import require_tools


def test_every_command_option_and_status_is_in_the_page(rossfs: Rossfs) -> None:
    page = rossfs("man").out.replace("\\-", "-").replace("\\&", "")
    context = click.Context(group, info_name="rossfs")
    for name in COMMANDS:
        assert f".SS rossfs {name} " in page
        command = group.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[-1] in page
    for status, text in STATUSES:
        assert f"\\fB{status}\\fR\n{text}" in page
    assert "groff" not in page


def test_no_line_of_text_is_taken_for_a_request() -> None:
    allowed = (".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".nf", ".fi", ".nh", ".ad")
    for line in render(group).splitlines():
        assert not line.startswith("'")
        assert not line.startswith(".") or line.split()[0] in allowed


def test_a_formatter_finds_no_fault_in_the_page() -> None:
    require_tools("groff")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=render(group).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == b""


def test_every_epilog_and_help_shows_an_example_of_its_command() -> None:
    context = click.Context(group, info_name="rossfs")
    for name in set(COMMANDS) - {"mount", "umount", "status", "systemd"}:
        command = group.get_command(context, name)
        assert command is not None
        assert f"rossfs {name}" in (command.epilog or "").replace(
            "rossfs --store /srv/ross", "rossfs"
        )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(rossfs: Rossfs, shell: str) -> None:
    script = rossfs("completion", shell).out
    assert f"_ROSSFS_COMPLETE={shell}_complete" in script


def test_another_shell_is_refused(rossfs: Rossfs) -> None:
    rossfs("completion", "tcsh", status=2)


def complete(store: Store, words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "rossfs"],
        cwd=ROOT,
        env={
            **os.environ,
            "_ROSSFS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "ROSSFS_STORE": store.paths.root,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_commands_and_tags_are_completed(store: Store) -> None:
    builders.image(store, "1", tag="library/nginx:v1")
    builders.image(store, "2", tag="lab/nginx:v2")
    assert complete(store, "rossfs im") == ["import", "images"]
    assert complete(store, "rossfs export ng") == ["nginx:v1"]
    assert complete(store, "rossfs untag lab/nginx:v2 l") == ["lab/nginx:v2"]
    assert complete(store, "rossfs --store /nonexistent export n") == []


@pytest.mark.parametrize(
    ("words", "replies"),
    [
        ("rossfs ls ng", "nginx:v1 nginx:v2"),
        ("rossfs ls nginx : v", "v1 v2"),
        ("rossfs ls nginx :", "v1 v2"),
        ("rossfs diff nginx : v1 nginx : v2", "v2"),
    ],
)
def test_bash_completes_behind_a_colon(
    rossfs: Rossfs, store: Store, tmp_path: Path, words: str, replies: str
) -> None:
    builders.image(store, "1", tag="library/nginx:v1")
    builders.image(store, "2", tag="library/nginx:v2")
    program = tmp_path / "rossfs"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rossfs\n')
    program.chmod(0o755)
    asking = '''
COMP_WORDS=($WORDS) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_rossfs_completion "$PROGRAM"
echo "${COMPREPLY[*]}"'''
    done = subprocess.run(
        ["bash", "-c", rossfs("completion", "bash").out + asking],
        cwd=ROOT,
        env={
            **os.environ,
            "PROGRAM": str(program),
            "WORDS": words,
            "ROSSFS_STORE": store.paths.root,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == replies.split()


def test_the_script_of_bash_is_a_program_of_bash(rossfs: Rossfs) -> None:
    script = rossfs("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script.encode(), timeout=60, check=True)
