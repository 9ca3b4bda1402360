"""Every operation of the store, killed at every named step of it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.operations import OPERATIONS
from tests.mounts import ROOT

MEMORY = "/dev/shm"
"""A kill loses nothing that was written, synced or not: there is no use in waiting for a disk."""

DEADLINE = 100.0


class Killer:
    """The process that has operations die."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.crash.dying"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, name: str, directory: Path) -> int:
        """Have *name* die at each of its steps; return how many deaths went wrong."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(name, directory, file=self.process.stdin, flush=True)
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
        assert ready, f"{name} hangs"
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    started = Killer()
    with started.process:
        yield started
        started.process.kill()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    place = MEMORY if os.access(MEMORY, os.W_OK) else str(tmp_path)
    with tempfile.TemporaryDirectory(prefix="rossfs-crash-", dir=place) as made:
        yield Path(made)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_death_at_any_step_leaves_a_valid_store(
    killer: Killer, directory: Path, name: str
) -> None:
    failures = killer(name, directory)
    wrong = (directory / "wrong").read_text()
    assert not failures, wrong
    assert wrong == ""
    assert len((directory / "steps").read_text().splitlines()) >= 2
