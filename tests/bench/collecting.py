"""Memory of collection and of fsck --fast on a store of a million blobs."""

from __future__ import annotations

import subprocess
import time

from tests.bench import bulk
from tests.bench.mounted import ROSSFS, PeakMemory
from tests.bench.report import Report


def garbage(report: Report, store: str) -> None:
    """`gc --dry-run` while nothing is needed."""
    _measure(report, "gc --dry-run, all of it garbage", store, "gc", "--dry-run", "--grace", "0")


def needed(report: Report, store: str, names: list[str]) -> None:
    """`gc` while tagged manifests need everything, and `fsck --fast`."""
    for number, manifest in enumerate(bulk.images(store, names)):
        bulk.tags(f"{store}", manifest, 1) if number == 0 else _tag(store, manifest, number)
    _measure(report, "gc, all of it needed", store, "gc", "--grace", "0")
    _measure(report, "fsck --fast", store, "fsck", "--fast")


def _tag(store: str, manifest: str, number: int) -> None:
    command = [*ROSSFS, "--store", store, "tag", f"sha256:{manifest}", f"bench/needed:n{number}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _measure(report: Report, name: str, store: str, *command: str) -> None:
    start = time.perf_counter()
    process = subprocess.Popen(
        [*ROSSFS, "--store", store, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with PeakMemory(process.pid) as memory:
        _, problems = process.communicate(timeout=1800)
    if process.returncode:
        raise RuntimeError(f"{command}: {problems.decode()}")
    seconds = time.perf_counter() - start
    report.bound(
        f"1,000,000 blobs: {name}", memory.peak, "<=", 300, "MB", note=f"RssAnon; {seconds:.1f} s"
    )
