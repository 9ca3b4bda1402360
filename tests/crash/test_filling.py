"""Every operation of the store on a disk that fills up, and on one that cannot be written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.operations import OPERATIONS
from tests.mounts import ROOT

CAN_BE_FULL = 15
"""Operations that need room.  What removes and renames needs none."""


@pytest.mark.timeout(120)
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = [unshare, "-rm", sys.executable, "-W", "error", "-m", "tests.crash.filling"]
    run = subprocess.run(
        [*command, str(tmp_path), *OPERATIONS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    times = dict(line.split() for line in run.stdout.splitlines())
    assert times.keys() == OPERATIONS.keys()
    assert sum(int(count) > 0 for count in times.values()) >= CAN_BE_FULL
    # With no room at all garbage can be collected, tags and content can be removed.
    for name in ("collect_garbage", "delete_a_tag", "delete_a_blob", "remove_what_nothing_needs"):
        assert times[name] == "0"
