"""Running commands as a shell would see them, in this process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rossfs.cli.main import run
from rossfs.store.store import Store
from tests import mounts


class Ended(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, parsed."""
        return json.loads(self.out)


def unread(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """How a command ends whose output nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return mounts.rossfs(*arguments, stdout=writing)
    finally:
        os.close(writing)


Rossfs = Callable[..., Ended]


@pytest.fixture
def rossfs(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Rossfs:
    """rossfs(*arguments, status=0) -> Ended: a command on the store of the test, whose exit status
    must be *status*."""
    monkeypatch.setenv("ROSSFS_STORE", store.paths.root)

    def invoke(*arguments: str | Path, status: int = 0) -> Ended:
        capsysbinary.readouterr()
        found = run(list(map(str, arguments)))
        out, err = capsysbinary.readouterr()
        ended = Ended(found, out.decode("utf-8", "surrogateescape"), err.decode())
        assert ended.status == status, ended
        return ended

    return invoke
