"""Walking a root filesystem with stat of every entry, beside a native tree and FUSE peers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial

from tests.bench import peers
from tests.bench.mounted import drop_names
from tests.bench.report import Passes, Report
from tests.bench.specimen import Specimen

ROUNDS = 5

_SLOW = 2
"""Rounds in which ratarmount takes part: its walk takes seconds."""


def scandir(root: str) -> int:
    """os.scandir of every directory and DirEntry.stat of every entry; returns how many."""
    count = 0
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return count


def _command(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _find(root: str) -> None:
    _command("find", root, "-printf", r"%s %m %T@\n")


def _list(root: str) -> None:
    _command("ls", "-lR", root)


AHEAD = {"squashfuse_ll": 1, "fuse-overlayfs": 1, "ratarmount": 10}
"""How many times faster the first pass has to be."""

WALKERS: dict[str, Callable[[str], object]] = {
    "scandir": scandir,
    "find": _find,
    "ls -lR": _list,
}


def run(report: Report, directory: str) -> None:
    """Walk in turns, each first pass on a fresh mount, the blobs and images in the page cache."""
    specimen = Specimen(directory)
    tree = specimen.tree()
    sides = {
        "rossfs": peers.rossfs(specimen, specimen.store()),
        "native": peers.native(tree),
        "squashfuse_ll": peers.squashfuse(specimen.squashfs()),
        "fuse-overlayfs": peers.fuse_overlayfs(tree),
        "ratarmount": peers.ratarmount(specimen.layers, f"{directory}/indexes"),
    }
    there = peers.there(report, sides)
    counts = {}
    for name in ("rossfs", "native"):
        with there[name]() as root:
            counts[name] = scandir(root)
    if counts["rossfs"] != counts["native"]:
        raise RuntimeError(f"{counts['rossfs']} entries, but umoci has {counts['native']}")
    for walker, walk in WALKERS.items():
        passes = {name: Passes() for name in there}
        for number in range(ROUNDS):
            for name, mount in there.items():
                if name == "ratarmount" and number >= _SLOW:
                    continue
                with mount() as root:
                    if name == "native":
                        drop_names()
                    passes[name].measure(partial(walk, root))
        _tell(report, f"{walker} of {counts['native']:,} entries", passes)


def _tell(report: Report, walk: str, passes: dict[str, Passes]) -> None:
    ours, native = passes.pop("rossfs"), passes.pop("native")
    report.bound(
        f"{walk}, first / native",
        ours.first.best / native.second.best,
        "<=",
        3.5,
        note=f"rossfs {ours.first}, native {native.second}",
    )
    report.figure(
        "  where the kernel has to learn native names too",
        ours.first.best / native.first.best,
        note=f"native {native.first}",
    )
    report.bound(
        f"{walk}, second / native",
        ours.second.best / native.second.best,
        "<=",
        2.0,
        note=f"rossfs {ours.second}",
    )
    for name, theirs in passes.items():
        report.bound(
            f"{walk}, first, {name} / rossfs",
            theirs.first.best / ours.first.best,
            ">=",
            AHEAD[name],
            note=f"{name} {theirs.first}; second {theirs.second}",
        )
