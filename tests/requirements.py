"""What a test needs of the machine, and what becomes of it where that is not there.

A program that is not installed fails the test in CI, where scripts/install has put all of them, and
skips it elsewhere: the project is worked on with less than all oracles, too.  What only root may do
is skipped for others; CI is root.
"""

from __future__ import annotations

import os
import shutil

import pytest

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Some tools are not where every user looks for them."""


def missing_tools(*names: str) -> list[str]:
    """Those of the programs *names* that are not installed."""
    return [name for name in names if shutil.which(name, path=PATH) is None]


def require_tools(*names: str) -> None:
    """Go on only if the programs *names* are installed."""
    missing = missing_tools(*names)
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and this is CI", pytrace=False)
    pytest.skip(reason)


def require_root(why: str) -> None:
    """Go on only as root; *why* says what nobody else may do."""
    if os.geteuid() != 0:
        pytest.skip(f"only root may {why}")
