"""Where a server's log goes.  Each test is a process of its own: logging is global."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.mounts import ROOT

_PROGRAM = """
import logging, os, signal
from rossfs.fs.log import Log
from rossfs.tree.state import LogBuffer

buffer = LogBuffer()
log = Log(buffer, {arguments})
ours, other = logging.getLogger("rossfs.tree"), logging.getLogger("pyfuse3")
ours.debug("our debug")
ours.info("our info")
ours.warning("our warning")
other.info("other info")
other.warning("other warning")
{more}
log.close()
ours.warning("after the end")
print(buffer.text().decode(), end="")
"""


def run(arguments: str, more: str = "") -> tuple[str, str]:
    """What `.ross/log` would show, and standard error."""
    program = _PROGRAM.format(arguments=arguments, more=more)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TZ": "Pacific/Kiritimati"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout, ended.stderr


def test_warnings_go_to_standard_error_and_more_to_the_mount() -> None:
    shown, errors = run("path=None, debug=False, journal=False")
    assert [line.split("Z ")[1] for line in shown.splitlines()] == [
        "INFO our info",
        "WARNING our warning",
    ]
    assert errors.startswith("rossfs: WARNING: our warning\nrossfs: WARNING: other warning\n")
    assert "info" not in errors


def test_debug_writes_everything() -> None:
    _, errors = run("path=None, debug=True, journal=False")
    assert {"our debug", "our info", "other info"} <= {
        line.split(": ")[-1] for line in errors.splitlines()
    }


def test_the_journal_is_told_priorities() -> None:
    _, errors = run("path=None, debug=True, journal=True")
    assert {"<7>our debug", "<6>our info", "<4>our warning"} <= set(errors.splitlines())


def test_a_file_gets_the_log_and_the_stacks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    more = "os.kill(os.getpid(), signal.SIGUSR1)"
    shown, errors = run(f"path={str(path)!r}, debug=False, journal=False", more)
    text = path.read_text()
    assert "WARNING rossfs.tree: our warning" in text
    assert text.split(" WARNING")[0] == shown.splitlines()[1].split(" WARNING")[0]
    assert "most recent call first" in text
    assert "our warning" not in errors
    assert "after the end" not in text


def test_a_file_that_was_rotated_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    more = f"os.rename({str(path)!r}, {str(path) + '.1'!r})\nours.warning('new file')"
    run(f"path={str(path)!r}, debug=False, journal=False", more)
    assert "new file" in path.read_text()
    assert "our warning" in (tmp_path / "log.1").read_text()


def test_a_server_that_left_the_terminal_writes_nothing_there() -> None:
    _, errors = run(
        "path=None, debug=False, journal=False", "log.leave_terminal()\nours.warning('hidden')"
    )
    assert "our warning" in errors
    assert "hidden" not in errors


def test_an_answer_that_nobody_wanted_is_no_news() -> None:
    failed = "other.error('fuse_release(): fuse_reply_* failed with %s', os.strerror({}))"
    _, errors = run("path=None, debug=False, journal=False", failed.format(2))
    assert "fuse_reply" not in errors
    _, errors = run("path=None, debug=False, journal=False", failed.format(22))
    assert "fuse_reply_* failed with Invalid argument" in errors
