"""Memory of a mount: after a walk over a million entries, and after use of the measured image."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from tests.bench import onelayer
from tests.bench.mounted import PeakMemory, drop_names, mounted, rss_anon
from tests.bench.reading import read_files
from tests.bench.report import Report
from tests.bench.specimen import NAME, Specimen, import_layout
from tests.bench.walking import scandir

SETTLED = 3.0
"""Seconds without a change after which all that the kernel sent is taken as answered."""


def run(report: Report, directory: str) -> None:
    """Walk a million entries and forget them; walk and read the measured image."""
    layout, store = f"{directory}/layout", f"{directory}/store"
    onelayer.crowded(layout)
    import_layout(store, layout)
    with mounted(store) as (mount, server):
        idle = _settled(server.pid)
        root = os.path.realpath(f"{mount}/tags/library/{NAME}/latest") + "/rootfs"
        with PeakMemory(server.pid) as memory:
            start = time.perf_counter()
            count = scandir(root)
            seconds = time.perf_counter() - start
        if count != onelayer.DIRECTORIES * (onelayer.FILES + 1):
            raise RuntimeError(f"{count} entries")
        held = _settled(server.pid)
        drop_names()
        left = _settled(server.pid)
    walked = f"{count:,} entries walked"
    note = f"idle {idle:.1f} MB; {count / seconds:,.0f} entries/s"
    report.bound(f"RssAnon, {walked}, more than idle", held - idle, "<=", 150, "MB", note)
    report.figure("  at its highest meanwhile", memory.peak - idle, "MB")
    report.bound("  after the kernel dropped them", left - idle, "<=", 48, "MB")
    specimen = Specimen(directory)
    with mounted(specimen.store()) as (mount, server):
        idle = _settled(server.pid)
        root = specimen.rootfs(mount)
        with PeakMemory(server.pid) as memory:
            count = scandir(root)
            total = read_files(root)
        held = _settled(server.pid)
    note = f"idle {idle:.1f} MB; {count:,} entries, {total / 1e6:.0f} MB read"
    report.bound(
        "RssAnon, image walked and read, more than idle", held - idle, "<=", 32, "MB", note
    )
    report.figure("  at its highest meanwhile", memory.peak - idle, "MB")


def _settled(pid: int, deadline: float = 60) -> float:
    """RssAnon in MB once it has kept still for SETTLED seconds: forgetting takes a while."""
    end = time.monotonic() + deadline
    last, since = rss_anon(pid), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < SETTLED:
        time.sleep(0.2)
        with suppress(OSError):
            now = rss_anon(pid)
            if abs(now - last) > 0.1:
                last, since = now, time.monotonic()
    return last
