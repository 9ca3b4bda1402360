"""What our part of a request costs in process: handlers driven by hand, without a kernel.

Each figure is the median over many calls of one round, the best of ten rounds; driving an empty
coroutine, which is printed too, is part of it.  `scripts/bench handlers`, or alone:
`python -m tests.bench.handlers`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import pyfuse3
import trio

from rossfs.fs import wire
from rossfs.fs.attributes import Attributes
from rossfs.fs.notify import Watcher
from rossfs.fs.operations import Operations
from rossfs.fs.readdir import CLOSED, END
from rossfs.fs.statfs import Statfs
from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from rossfs.tree.node import Directory
from rossfs.tree.root import build_root
from rossfs.tree.state import LogBuffer
from rossfs.tree.trees import Trees
from rossfs.tree.view import View
from tests.bench.mounted import ROSSFS
from tests.bench.report import Report
from tests.fs.kernel import at_once, context
from tests.fs.listing import SMALLEST, listed, reading
from tests.layers import Layer, LayeredImage, image_of

ROUNDS = 10
CALLS = 2000

BLOBS = 500
"""Blobs in the store: a listing of them is longer than one reply."""

BLOB_SIZE = 1 << 16

NAMES = 3000
"""Names in the directories of a root filesystem."""

REPLY = 1 << 15
"""Bytes of a reply that a program with the C library's buffer gets from a recent kernel."""

FILE_SIZE = 1 << 18
"""Bytes, or a few more, of a file in a layer that is packed with gzip."""


async def _nothing() -> None:
    pass


def microseconds(make: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """The median cost of one coroutine that waits for nothing, in the best round."""
    clock = time.perf_counter_ns
    best = float("inf")
    for _ in range(ROUNDS):
        times = []
        for _ in range(CALLS):
            begin = clock()
            coroutine = make()
            try:
                coroutine.send(None)
            except StopIteration:
                pass
            else:
                raise RuntimeError("the handler waited")
            times.append(clock() - begin)
        best = min(best, statistics.median(times))
    return best / 1000


def run(report: Report, directory: str) -> None:
    """Measure the handlers over a small store made in *directory*."""
    path = f"{directory}/handlers"
    subprocess.run([*ROSSFS, "--store", path, "init"], check=True, stdout=subprocess.DEVNULL)
    with Store.open(path) as store:
        names = [
            store.put_blob("application/octet-stream", os.urandom(BLOB_SIZE))[0].hex.encode()
            for _ in range(BLOBS)
        ]
        image = _image().put(store).hex.encode()
        view = View(
            platform=Platform.host(),
            log=LogBuffer(),
            stats=dict,
            read_only=False,
            layers=Layers(store, Cache(None)),
        )
        trees = Trees()
        root = build_root(store, view, trees)
        trio.run(_measure, report, root, trees, path, names, image)


def _image() -> LayeredImage:
    """An image with directories of NAMES names, one of them in two layers, and a file."""
    lower, upper = Layer(), Layer().file("usr/changed")
    for number in range(NAMES):
        lower.file(f"plain/{number:05}", b"x", mtime=1_500_000_000 + number)
        if number % 10:
            lower.file(f"merged/{number:05}", b"x", mtime=1_500_000_000 + number)
        else:
            upper.file(f"merged/{number:05}", b"x", mtime=1_500_000_000 + number)
    lower.file("usr/file", b"".join(b"%d " % number for number in range(FILE_SIZE // 6)))
    return image_of(lower, upper)


async def _measure(
    report: Report, root: Directory, trees: Trees, path: str, names: list[bytes], image: bytes
) -> None:
    with closing(Watcher(root, lambda _parent, _name: None)) as watcher:
        operations = Operations(root, Attributes(0, 0), Statfs(path), watcher, trees=trees)
        ctx = context()

        def bound(what: str, value: float, limit: float) -> None:
            report.bound(f"handler: {what}", value, "<=", limit, "µs")

        blobs = at_once(operations.lookup(pyfuse3.ROOT_INODE, b"blobs", ctx)).st_ino
        sha256 = at_once(operations.lookup(blobs, b"sha256", ctx)).st_ino
        name = names[0]
        blob = at_once(operations.lookup(sha256, name, ctx)).st_ino
        report.figure("handler: none, the cost of measuring", microseconds(_nothing), "µs")
        bound("lookup of a place", microseconds(lambda: operations.lookup(1, b"blobs", ctx)), 2)
        bound("lookup of a blob", microseconds(lambda: operations.lookup(sha256, name, ctx)), 2)
        absent = b"0" * 64
        missing = _failing(lambda: operations.lookup(sha256, absent, ctx))
        report.figure("handler: lookup of no blob", missing, "µs")
        bound("getattr of a blob", microseconds(lambda: operations.getattr(blob, ctx)), 2)
        bound("getattr of a place", microseconds(lambda: operations.getattr(blobs, ctx)), 2)
        first, warm = await _per_entry(operations, sha256)
        report.figure("handler: readdir entry, first", first, "µs")
        report.bound("handler: readdir entry, warm", warm, "<=", 2, "µs")
        fh = (await operations.open(blob, os.O_RDONLY, ctx)).fh
        await operations.read(fh, 0, 4096)  # an unproven blob would be hashed now
        bound("read of 4 KiB", microseconds(lambda: operations.read(fh, 8192, 4096)), 5)
        await operations.release(fh)
        images = at_once(operations.lookup(pyfuse3.ROOT_INODE, b"images", ctx)).st_ino
        number = at_once(operations.lookup(images, b"sha256", ctx)).st_ino
        for name in (image, b"rootfs"):
            number = (await operations.lookup(number, name, ctx)).st_ino
        await _measure_rootfs(report, operations, number)
        await operations.close()


async def _measure_rootfs(report: Report, operations: Operations, rootfs: int) -> None:
    ctx = context()

    def figure(what: str, value: float) -> None:
        report.figure(f"handler: {what} of a rootfs", value, "µs")

    usr, plain, merged = (
        at_once(operations.lookup(rootfs, name, ctx)).st_ino
        for name in (b"usr", b"plain", b"merged")
    )
    file = at_once(operations.lookup(usr, b"file", ctx)).st_ino
    figure("lookup of a file", microseconds(lambda: operations.lookup(usr, b"file", ctx)))
    figure("lookup of a directory", microseconds(lambda: operations.lookup(rootfs, b"usr", ctx)))
    figure("lookup of no name", microseconds(lambda: operations.lookup(usr, b"absent", ctx)))
    figure("getattr of a file", microseconds(lambda: operations.getattr(file, ctx)))
    figure("getattr of a directory", microseconds(lambda: operations.getattr(usr, ctx)))
    first, warm = await _per_entry(operations, plain)
    report.figure("handler: readdir row, first", first, "µs")
    report.bound("handler: readdir row, warm", warm, "<=", 2, "µs")
    first, warm = await _per_entry(operations, merged)
    report.figure("handler: readdir row of merged layers, first", first, "µs")
    report.figure("handler: readdir row of merged layers, warm", warm, "µs")
    fh = (await operations.open(file, os.O_RDONLY, ctx)).fh
    await operations.read(fh, 0, FILE_SIZE)  # decodes it
    figure("read of 4 KiB", microseconds(lambda: operations.read(fh, 8192, 4096)))
    await operations.release(fh)


def _failing(make: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """Like `microseconds`, for a handler that answers with an error."""

    async def caught() -> None:
        try:
            await make()
        except pyfuse3.FUSEError:
            pass
        else:
            raise RuntimeError("the handler answered")

    return microseconds(caught)


async def _per_entry(operations: Operations, ino: int) -> tuple[float, float]:
    """Microseconds for each entry of the listing of *ino*, the first time and the best of more,
    without the snapshot: what adding an entry costs."""
    answer = operations.direct.answers()[wire.READDIRPLUS]
    times: list[float] = []
    for _ in range(1 + ROUNDS):
        total = offset = spent = 0
        told: list[tuple[int, int]] = []
        while True:
            begin = time.perf_counter_ns()
            reply = answer(ino, reading(offset, REPLY if offset else 2 * SMALLEST))
            if isinstance(reply, Coroutine):
                reply = await reply
            if offset:
                spent += time.perf_counter_ns() - begin
            assert isinstance(reply, (bytes, memoryview))
            if reply in (END, CLOSED):
                break
            entries = listed(bytes(reply))
            total += len(entries)
            offset = entries[-1].offset
            told += [(entry.node_id, 1) for entry in entries if entry.node_id]
        if not times:
            at_once(operations.forget(told))  # the next ones find what the kernel knows
        times.append(spent / total / 1000)
    first, *warm = times
    return first, min(warm)


def main() -> int:
    """Measure in a temporary directory and print."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="rossfs-bench-") as directory:
        run(report, directory)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
