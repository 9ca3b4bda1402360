"""Listing: 20,000 blobs with their attributes, and the names of a million."""

from __future__ import annotations

import os
import subprocess

from tests.bench import bulk
from tests.bench.mounted import PeakMemory, drop_caches, mounted, rss_anon
from tests.bench.report import Report, Times

ROUNDS = 4


def scan(path: str) -> None:
    """scandir, and stat of each entry."""
    with os.scandir(path) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def attributes(report: Report, directory: str, count: int = 20_000) -> None:
    """scandir and stat of *count* blobs, nothing cached."""
    store = f"{directory}/attributes"
    bulk.blobs(store, count)
    through, backing = Times(), Times()
    for _ in range(ROUNDS):
        with mounted(store) as (mount, _server):
            drop_caches()
            through.measure(lambda: scan(f"{mount}/blobs/sha256"))
        drop_caches()
        backing.measure(lambda: scan(f"{store}/blobs/sha256"))
    report.bound(
        f"scandir and stat of {count:,} blobs / backing",
        through.best / backing.best,
        "<=",
        3,
        note=f"mount {through}, backing {backing}",
    )


def names(report: Report, store: str) -> None:
    """`ls -U` of the blobs of *store* (a million)."""
    through, backing = Times(), Times()
    with mounted(store) as (mount, server):
        idle = rss_anon(server.pid)
        with PeakMemory(server.pid) as memory:
            for _ in range(3):
                through.measure(lambda: _ls(f"{mount}/blobs/sha256"))
                backing.measure(lambda: _ls(f"{store}/blobs/sha256"))
    report.bound(
        "ls -U of 1,000,000 blobs / backing",
        through.best / backing.best,
        "<=",
        3,
        note=f"mount {through}, backing {backing}",
    )
    report.figure("RssAnon of the mount meanwhile, more than idle", memory.peak - idle, "MB")


def _ls(path: str) -> None:
    subprocess.run(["ls", "-U", path], check=True, stdout=subprocess.DEVNULL)
