"""Mounting a large store beside an empty one: time until it answers, and memory."""

from __future__ import annotations

import os
import subprocess
import tempfile

from tests.bench import bulk
from tests.bench.mounted import ROSSFS, mounted, rss_anon
from tests.bench.report import Report, Times

ROUNDS = 7


def run(report: Report, directory: str, blobs: int = 200_000, tags: int = 20_000) -> None:
    """Mount a store of *blobs* blobs and *tags* tags, and an empty one, in turns."""
    large, empty = f"{directory}/large", f"{directory}/empty"
    subprocess.run([*ROSSFS, "--store", empty, "init"], check=True, stdout=subprocess.DEVNULL)
    names = bulk.blobs(large, blobs)
    manifests = list(bulk.images(large, names))
    bulk.tags(large, manifests[0], tags)
    one = f"{directory}/one"
    bulk.tags(one, next(bulk.images(one, bulk.blobs(one, 1))), 1)
    times = {store: Times() for store in (large, empty)}
    for _ in range(ROUNDS):
        for store, measured in times.items():
            _mount(store, measured)
    report.bound(
        f"mount of {blobs:,} blobs, {tags:,} tags, more than an empty one",
        times[large].best - times[empty].best,
        "<=",
        0.1,
        "s",
        note=f"{times[large]}, empty {times[empty]}",
    )
    used = {}
    for store in (large, one):
        with mounted(store) as (mount, server):
            os.listdir(f"{mount}/tags/bench/r0/t0/")
            used[store] = rss_anon(server.pid)
    report.bound(
        "its RssAnon after a look at a tag, more than a small one",
        used[large] - used[one],
        "<=",
        20,
        "MB",
        note=f"{used[large]:.1f} MB, small {used[one]:.1f} MB",
    )


def _mount(store: str, times: Times) -> None:
    with tempfile.TemporaryDirectory(prefix="rossfs-bench-") as mountpoint:
        command = [*ROSSFS, "mount", store, mountpoint]
        times.measure(lambda: subprocess.run(command, check=True))
        subprocess.run([*ROSSFS, "umount", mountpoint], check=True, timeout=60)
