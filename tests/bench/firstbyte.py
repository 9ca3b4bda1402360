"""From nothing to the first byte of a file of the largest layer, beside umoci and ratarmount."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from tests import realimages
from tests.bench import peers
from tests.bench.mounted import DEADLINE, ROSSFS
from tests.bench.report import Report, Times
from tests.bench.specimen import Specimen

ROUNDS = 5


def run(report: Report, directory: str) -> None:
    """Mount and unpack in turns, with nothing kept of the layers but their blobs, which are in
    the page cache."""
    specimen = Specimen(directory)
    name = specimen.late_file()
    store = specimen.store()
    layers = specimen.layers
    ours, umoci, ratarmount = Times(), Times(), Times()
    have_ratarmount = peers.find("ratarmount") is not None
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="rossfs-bench-") as point:
            shutil.rmtree(f"{store}/cache", ignore_errors=True)
            try:
                ours.measure(partial(_mount, store, point, f"{specimen.rootfs(point)}/{name}"))
            finally:
                command = [*ROSSFS, "umount", point]
                subprocess.run(command, check=False, timeout=DEADLINE)
        with tempfile.TemporaryDirectory(prefix="umoci-", dir=directory) as work:
            umoci.measure(partial(_unpack, specimen.layout, Path(work), name))
        if have_ratarmount:
            with tempfile.TemporaryDirectory(prefix="ratarmount-", dir=directory) as indexes:
                _first_byte(peers.ratarmount(layers, indexes), name, ratarmount)
    report.bound(
        "umoci unpack / rossfs mount to first byte",
        umoci.best / ours.best,
        ">=",
        5,
        note=f"rossfs {ours}, umoci {umoci}; {name}",
    )
    if have_ratarmount:
        report.bound(
            "ratarmount to first byte / rossfs mount to first byte",
            ratarmount.best / ours.best,
            ">=",
            1,
            note=f"ratarmount {ratarmount}",
        )
    else:
        report.absent("ratarmount to first byte", "not installed: scripts/install --bench")


def _read(path: str) -> None:
    with open(path, "rb", 0) as file:
        if len(file.read(1)) != 1:
            raise RuntimeError(f"{path} is empty")


def _mount(store: str, point: str, path: str) -> None:
    subprocess.run([*ROSSFS, "mount", store, point], check=True, timeout=DEADLINE)
    _read(path)


def _unpack(layout: Path, work: Path, name: str) -> None:
    _read(str(realimages.unpack(layout, work / "bundle", work) / name))


def _first_byte(mount: peers.Mount | None, name: str, times: Times) -> None:
    """Measure until the byte is there, and unmount after it."""
    if mount is None:
        return
    start = time.perf_counter()
    with mount() as root:
        _read(f"{root}/{name}")
        times.add(time.perf_counter() - start)
