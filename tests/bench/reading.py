"""Reading every file of a root filesystem once, beside squashfuse_ll and ratarmount."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tests.bench import peers
from tests.bench.report import Passes, Report
from tests.bench.specimen import Specimen

ROUNDS = 5

_SLOW = 2
"""Rounds in which ratarmount takes part: it needs ten seconds for a pass."""


def read_files(root: str) -> int:
    """Read every regular file below *root* from end to end, 128 KiB at a time; returns how many
    bytes that were."""
    total = 0
    buffer = bytearray(128 << 10)
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += _read(entry.path, buffer)
    return total


def _read(path: str, buffer: bytearray) -> int:
    total = 0
    # Where layers disagree, ratarmount opens directories and links as files; `run` counts bytes.
    with suppress(OSError), open(path, "rb", 0) as file:
        while got := file.readinto(buffer):
            total += got
    return total


def cat(root: str) -> int:
    """The same with find and cat, in the order of the listings."""
    command = f"find {shlex.quote(root)} -type f -exec cat {{}} + 2>/dev/null | wc -c"
    done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=600)
    return int(done.stdout)


READERS: dict[str, Callable[[str], int]] = {"read": read_files, "find, cat": cat}


def run(report: Report, directory: str) -> None:
    """Read in turns, first passes on fresh mounts, the blobs and images in the page cache."""
    specimen = Specimen(directory)
    tree = specimen.tree()
    sides = {
        "rossfs": peers.rossfs(specimen, specimen.store()),
        "squashfuse_ll": peers.squashfuse(specimen.squashfs()),
        "ratarmount": peers.ratarmount(specimen.layers, f"{directory}/indexes"),
    }
    there = peers.there(report, sides)
    total = read_files(tree)
    for reader, read in READERS.items():
        passes = {name: Passes() for name in there}
        for number in range(ROUNDS):
            for name, mount in there.items():
                if name == "ratarmount" and number >= _SLOW:
                    continue
                with mount() as root:
                    passes[name].measure(partial(_all, read, root, total, name))
        _tell(report, f"{reader} of {total / 1e6:.0f} MB", passes)


def _all(read: Callable[[str], int], root: str, total: int, name: str) -> None:
    if (got := read(root)) != total and name != "ratarmount":
        raise RuntimeError(f"{name}: {got} bytes, but umoci has {total}")


def _tell(report: Report, what: str, passes: dict[str, Passes]) -> None:
    ours = passes["rossfs"]
    if theirs := passes.get("squashfuse_ll"):
        for order, mine, its in (
            ("first", ours.first, theirs.first),
            ("second", ours.second, theirs.second),
        ):
            report.bound(
                f"{what}, {order} / squashfuse_ll",
                mine.best / its.best,
                "<=",
                1.2,
                note=f"rossfs {mine}, squashfuse_ll {its}",
            )
    if theirs := passes.get("ratarmount"):
        report.bound(
            f"{what}, ratarmount / rossfs",
            theirs.first.best / ours.first.best,
            ">=",
            8,
            note=f"rossfs {ours.first}, ratarmount {theirs.first}",
        )
