"""kill -9 amid copies into a layout, of the tool and of the server: nothing torn is to be seen,
the store is sound, and trying again succeeds."""

from __future__ import annotations

import hashlib
import random
import subprocess
import time
from pathlib import Path

import pytest

from rossfs.store.finding import Kind, Severity
from rossfs.store.store import Store
from tests import mounts
from tests.mount import layouting
from tests.mount.layouting import NAME, skopeo_copy
from tests.mount.test_robustness import rounds
from tests.requirements import require_tools

pytestmark = pytest.mark.fuse

LAYER = 3_000_000
START = 0.02
"""Seconds in which a tool has hardly begun."""

TRIES = 6
"""Copies for each that is to be killed: some end before."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    require_tools("skopeo")
    return layouting.sources(tmp_path, 1, LAYER)[0]


def changed(source: Path, turn: int) -> Path:
    """Another image of the same size beside *source*."""
    path = source.parent / f"changed{turn}"
    layouting.layout_of(path, layouting.large_image(f"changed {turn}", LAYER))
    return path


def require_whole(layout: Path) -> None:
    """Every blob that the layout lists hashes to its name, and what index.json names is there."""
    blobs = layout / "blobs/sha256"
    if blobs.exists():
        for path in blobs.iterdir():
            if len(path.name) == 64:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    if (layout / "index.json").exists():
        for digest in layouting.tags(layout).values():
            assert (blobs / digest.removeprefix("sha256:")).exists()


def time_of(command: list[str]) -> float:
    """How long *command* takes, in seconds."""
    began = time.monotonic()
    layouting.run(*command)
    return time.monotonic() - began


def killed_amid(command: list[str], seconds: float) -> bool:
    """Run *command* for so long; whether it was killed."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait(layouting.DEADLINE) != 0


@rounds(3, 50, 10.0)
def test_a_killed_copy_leaves_nothing_torn(
    store: Store, tmp_path: Path, source: Path, count: int
) -> None:
    numbers = random.Random(7)
    killed = 0
    with mounts.mounted(store.paths.root, tmp_path / "mnt", tmp_path / "log") as mounted:
        layout = mounted.path / "oci/killed"
        took = time_of(skopeo_copy(source, layout, "whole"))
        for turn in range(TRIES * count):
            if killed == count:
                break
            image = changed(source, turn)
            command = skopeo_copy(image, layout, f"t{turn}")
            killed += killed_amid(command, numbers.uniform(START, took))
            require_whole(layout)
            assert list(store.fsck()) == []
            took = time_of(command)
            assert layouting.tags(layout)[f"t{turn}"] == layouting.tags(image)[NAME]
        assert killed == count
        assert len(layouting.tags(layout)) == 1 + turn
    print(f"{killed} of {turn} copies killed")
    store.garbage_collect()


@rounds(3, 50, 20.0)
def test_a_killed_server_leaves_nothing_torn(
    store: Store, tmp_path: Path, source: Path, count: int
) -> None:
    numbers = random.Random(8)
    killed = left = 0
    took = 10 * START
    for turn in range(TRIES * count):
        if killed == count:
            break
        image = changed(source, turn)
        server = mounts.start(store.paths.root, tmp_path / "mnt", tmp_path / "log")
        try:
            layout = server.path / "oci/killed"
            command = skopeo_copy(image, layout, f"t{turn}")
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as copy:
                time.sleep(numbers.uniform(START, took))
                server.kill()
                killed += copy.wait(layouting.DEADLINE) != 0
        finally:
            server.clear()
        # Content whose .meta was to follow is mended when somebody looks for it.
        findings = list(store.fsck())
        left += len(findings)
        assert {finding.kind for finding in findings} <= {Kind.LEFTOVER, Kind.METADATA}, findings
        assert {finding.severity for finding in findings} <= {Severity.NOTE}, findings
        with mounts.mounted(store.paths.root, tmp_path / "mnt", tmp_path / "log") as mounted:
            layout = mounted.path / "oci/killed"
            require_whole(layout)
            took = time_of(command)
            assert layouting.tags(layout)[f"t{turn}"] == layouting.tags(image)[NAME]
            assert len(layouting.tags(layout)) == turn + 1
        store.garbage_collect()
        assert list(store.fsck()) == []
    assert killed == count
    print(f"{killed} of {turn} copies failed, {left} unfinished files and such found")
