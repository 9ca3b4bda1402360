"""One large file in a gzip layer: from end to end beside igzip, and 4 KiB at random places."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from functools import partial

from tests.bench import onelayer
from tests.bench.mounted import mounted
from tests.bench.report import Report, Times
from tests.bench.sequential import read_all
from tests.bench.specimen import import_layout

ROUNDS = 5
BLOCK = 4096
READS = 400
"""In a round, on a fresh mount, no place twice."""


def run(report: Report, directory: str, size: int = 300_000_000) -> None:
    """Read and decompress in turns, the blob in the page cache."""
    layout, store = f"{directory}/layout", f"{directory}/store"
    layer = onelayer.large(layout, size)
    import_layout(store, layout)
    path = f"tags/library/debian/latest/rootfs/{onelayer.LARGE}"
    ours, again, igzip = Times(), Times(), Times()
    delays: list[float] = []
    source = random.Random(4096)
    for _ in range(ROUNDS):
        with mounted(store) as (mount, _server):
            file = os.path.realpath(f"{mount}/{path}")
            ours.measure(partial(read_all, file))
            again.measure(partial(read_all, file))
        igzip.measure(partial(_decompress, layer))
        with mounted(store) as (mount, _server):
            places = source.sample(range(size // BLOCK), READS)
            delays += _read_at(os.path.realpath(f"{mount}/{path}"), places)
    tar = f"{os.path.getsize(layer) / 1e6:.0f} MB gzip of {size / 1e6:.0f} MB"
    report.bound(
        "sequential read of a large file / isal.igzip -dc",
        igzip.best / ours.best,
        ">=",
        0.8,
        note=f"rossfs {_speed(size, ours)}, igzip {_speed(size, igzip)}; {tar}",
    )
    report.figure("its second read", size / again.best / 1e6, "MB/s", note=str(again))
    ninth = statistics.quantiles(delays, n=10)[-1]
    report.bound(
        "random 4 KiB of it, cold, median",
        statistics.median(delays) * 1e3,
        "<=",
        1.5,
        "ms",
        note=f"least {min(delays) * 1e3:.2f}, nine of ten below {ninth * 1e3:.2f}, "
        f"most {max(delays) * 1e3:.2f} ms",
    )


def _speed(size: int, times: Times) -> str:
    return f"{size / times.best / 1e6:.0f} MB/s (median {size / times.median / 1e6:.0f})"


def _decompress(layer: str) -> None:
    command = [sys.executable, "-m", "isal.igzip", "-dc", layer]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _read_at(path: str, blocks: list[int]) -> list[float]:
    """Read single blocks, of which the kernel has none; returns how long each took."""
    delays = []
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        # The first read of a mount opens the layer, too.
        os.pread(fd, 1, 0)
        for block in blocks:
            start = time.perf_counter()
            got = os.pread(fd, BLOCK, block * BLOCK)
            delays.append(time.perf_counter() - start)
            if len(got) != BLOCK:
                raise RuntimeError(f"{path}: {len(got)} bytes of block {block}")
    finally:
        os.close(fd)
    return delays
