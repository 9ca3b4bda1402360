"""Writing 1 GiB through incoming/, beside a plain copy followed by sha256sum."""

from __future__ import annotations

import os
import subprocess

from tests.bench.mounted import ROSSFS, PeakMemory, mounted, rss_anon
from tests.bench.report import Report, Times

ROUNDS = 3


def run(report: Report, directory: str, size: int = 1 << 30) -> None:
    """Copy a file of *size* bytes both ways, new content each time."""
    store = f"{directory}/incoming"
    subprocess.run([*ROSSFS, "--store", store, "init"], check=True, stdout=subprocess.DEVNULL)
    source, plain = f"{directory}/source", f"{directory}/plain"
    through, native = Times(), Times()
    memory = idle = 0.0
    with mounted(store) as (mount, server):
        idle = rss_anon(server.pid)
        for number in range(ROUNDS):
            with open(source, "wb") as file:
                for _ in range(size >> 20):
                    file.write(os.urandom(1 << 20))
            os.sync()
            target = f"{mount}/incoming/file{number}"
            with PeakMemory(server.pid) as peak:
                through.measure(lambda target=target: _run("cp", source, target))  # type: ignore[misc]
            memory = max(memory, peak.peak)
            native.measure(lambda: _copy_and_hash(source, plain))
            os.unlink(plain)
            os.sync()
    report.bound(
        "cp and sha256sum / cp to incoming/",
        native.best / through.best,
        ">=",
        0.6,
        note=f"incoming {through}, cp and sha256sum {native}",
    )
    report.bound(
        "RssAnon of the mount meanwhile, more than idle",
        memory - idle,
        "<=",
        64,
        "MB",
        note=f"idle {idle:.1f} MB",
    )


def _copy_and_hash(source: str, target: str) -> None:
    _run("cp", source, target)
    _run("sha256sum", target)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
