"""Reading a blob of 1 GiB, beside a bare pyfuse3 program that preads the same file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from tests.bench.mounted import ROSSFS, mounted, serving
from tests.bench.report import Report, Times

ROUNDS = 5


def read_all(path: str) -> None:
    """Read the file from end to end, 1 MiB at a time, into one buffer."""
    buffer = bytearray(1 << 20)
    fd = os.open(path, os.O_RDONLY)
    try:
        while os.readv(fd, [buffer]):
            pass
    finally:
        os.close(fd)


def run(report: Report, directory: str, size: int = 1 << 30) -> None:
    """Measure in *directory*, on the filesystem of which the store shall lie."""
    store = f"{directory}/sequential"
    subprocess.run([*ROSSFS, "--store", store, "init"], check=True, stdout=subprocess.DEVNULL)
    source = f"{directory}/random"
    with open(source, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    put = [*ROSSFS, "--store", store, "put", source]
    digest = subprocess.run(put, check=True, capture_output=True, text=True).stdout.split()[0]
    name = digest.removeprefix("sha256:")
    backing = f"{store}/blobs/sha256/{name}"
    os.unlink(source)
    first, again, bare_first, bare_again, native = Times(), Times(), Times(), Times(), Times()
    for _ in range(ROUNDS):
        read_all(backing)
        native.measure(lambda: read_all(backing))
        with mounted(store) as (mount, _server):
            _twice(f"{mount}/blobs/sha256/{name}", first, again)
        with tempfile.TemporaryDirectory(prefix="rossfs-bench-") as point:
            command = [sys.executable, "-m", "tests.bench.bare", backing, point]
            with serving(command, point):
                (only,) = os.listdir(point)
                _twice(f"{point}/{only}", bare_first, bare_again)
    speed: Callable[[Times], str] = lambda times: f"{size / times.best / 1e9:.2f} GB/s"  # noqa: E731
    report.bound(
        "sequential read / bare pyfuse3",
        bare_first.best / first.best,
        ">=",
        0.9,
        note=f"rossfs {speed(first)}, bare {speed(bare_first)}",
    )
    report.bound(
        "second read / its second read",
        bare_again.best / again.best,
        ">=",
        0.95,
        note=f"rossfs {speed(again)}, bare {speed(bare_again)}",
    )
    report.figure(
        "sequential read / backing file", native.best / first.best, note=f"backing {speed(native)}"
    )
    report.figure("bare pyfuse3 / backing file", native.best / bare_first.best)


def _twice(path: str, first: Times, again: Times) -> None:
    first.measure(lambda: read_all(path))
    again.measure(lambda: read_all(path))
