"""Run the measurements: `scripts/bench [NAME...]`; without a name all, in about twenty minutes.

Needs root (to drop caches) and /dev/fuse.  Exit status 1 if a figure misses its bound, 130 if
interrupted; mounts and files are taken away in any case.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable

from tests.bench import (
    bulk,
    collecting,
    firstbyte,
    footprint,
    handlers,
    importing,
    incoming,
    ingest,
    largefile,
    listing,
    podman,
    reading,
    sequential,
    starting,
    walking,
)
from tests.bench.report import Report

MILLION = 1_000_000


def million(report: Report, directory: str) -> None:
    """All that is measured on a store of a million blobs, which takes a while to make."""
    store = f"{directory}/million"
    names = bulk.blobs(store, MILLION)
    listing.names(report, store)
    collecting.garbage(report, store)
    collecting.needed(report, store, names)


SCENARIOS: dict[str, Callable[[Report, str], None]] = {
    "handlers": handlers.run,
    "sequential": sequential.run,
    "attributes": listing.attributes,
    "starting": starting.run,
    "incoming": incoming.run,
    "importing": importing.run,
    "ingest": ingest.run,
    "firstbyte": firstbyte.run,
    "walking": walking.run,
    "reading": reading.run,
    "largefile": largefile.run,
    "footprint": footprint.run,
    "podman": podman.run,
    "million": million,
}


def main(arguments: list[str]) -> int:
    if unknown := set(arguments) - set(SCENARIOS):
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    report = Report()
    system = f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}"
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{system}, Python {platform.python_version()}, load {load}", flush=True)
    for name, scenario in SCENARIOS.items():
        if not arguments or name in arguments:
            directory = tempfile.mkdtemp(prefix="rossfs-bench-", dir=os.environ.get("BENCH_DIR"))
            try:
                scenario(report, directory)
            except KeyboardInterrupt:
                return 130
            finally:
                shutil.rmtree(directory, ignore_errors=True)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
