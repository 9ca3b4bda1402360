"""Tools of others that serve as oracles."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.requirements import require_tools

Tool = Callable[..., str]
"""tool(name, *arguments) -> its standard output."""


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Runs an installed program, which must succeed.  A missing one fails in CI and skips
    elsewhere."""
    home = tmp_path / "home"

    def run(name: str, *arguments: str | Path) -> str:
        require_tools(name)
        home.mkdir(exist_ok=True)
        # skopeo remembers where it saw blobs, below HOME.
        done = subprocess.run(
            [name, *map(str, arguments)],
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{name} {arguments}: {done.stderr}"
        return done.stdout

    return run
