"""Tools of others that serve as oracles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import realimages
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
        return realimages.run(name, *arguments, home=home)

    return run
