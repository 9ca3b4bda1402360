"""Ctrl-C, from the first import on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounts import ROOT

_INTERRUPT = "import os, signal; os.kill(os.getpid(), signal.SIGINT)\n"


def started(
    program: str, path: Path | None = None, ignored: bool = False
) -> subprocess.CompletedProcess[str]:
    """How *program* of Python ends; modules in *path* go before installed ones."""
    disposition = "SIG_IGN" if ignored else "default_int_handler"
    # Whoever started the tests may ignore it.
    program = f"import signal; signal.signal(signal.SIGINT, signal.{disposition}); {program}"
    places = [str(path)] if path is not None else []
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*places, str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["main", "mount_helper"])
def test_an_interrupt_while_loading_is_silent(tmp_path: Path, name: str) -> None:
    (tmp_path / "click.py").write_text(_INTERRUPT)
    ended = started(f"from rossfs.cli.start import {name}; {name}()", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_the_module_begins_there_too(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(_INTERRUPT)
    ended = started("import runpy; runpy.run_module('rossfs', run_name='__main__')", tmp_path)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_an_interrupt_of_a_command_is_told() -> None:
    ended = started(
        "import os; from rossfs.cli import main, start; "
        "main._invoke = lambda argv: os.kill(os.getpid(), signal.SIGINT); start.main()"
    )
    assert (ended.returncode, ended.stderr) == (130, "rossfs: interrupted\n")


def test_an_interrupt_at_the_end_is_silent() -> None:
    ended = started(
        "import atexit, os; atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT)); "
        "from rossfs.cli import main, start; main._invoke = lambda argv: 0; start.main()"
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    ended = started(
        "import os; from rossfs.cli import main, start; "
        "main._invoke = lambda argv: os.kill(os.getpid(), signal.SIGINT) or 0; start.main()",
        ignored=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_programs_begin_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'rossfs = "rossfs.cli.start:main"' in text
    assert '"mount.rossfs" = "rossfs.cli.start:mount_helper"' in text
