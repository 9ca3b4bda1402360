"""The pass that reads a layer for its tables, beside sha256sum of the same tar and of its blob."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import tarfile
from collections.abc import Iterator

from rossfs.image.cache import Cache
from rossfs.image.indexer import index_apart
from rossfs.oci.digest import Digest
from rossfs.store.hashing import hash_file
from tests.bench.report import Report, Times

SIZE = 400_000_000
"""Bytes of the tar."""

ROUNDS = 3


def files(root: str) -> Iterator[str]:
    """Regular files below *root*, none of them endless."""
    for directory, names, entries in os.walk(root):
        names.sort()
        for name in sorted(entries):
            path = f"{directory}/{name}"
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def layer(path: str) -> int:
    """Write a tar of SIZE bytes of this machine's programs to *path*, and *path*.gz; return how
    many files it has."""
    count = 0
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        while tar.offset < SIZE:
            for file in files("/usr"):
                tar.add(file, f"copy{count // 1_000_000}{file}", recursive=False)
                count += 1
                if tar.offset >= SIZE:
                    break
    with open(path, "rb") as source, gzip.open(f"{path}.gz", "wb", 6) as target:
        while data := source.read(1 << 20):
            target.write(data)
    return count


def run(report: Report, directory: str) -> None:
    """Hash and index in turns, from the page cache."""
    tar = f"{directory}/layer.tar"
    blob = f"{tar}.gz"
    count = layer(tar)
    ours, theirs = Times(), Times()
    fd = os.open(blob, os.O_RDONLY)
    digest, size = hash_file(fd, "sha256")
    for number in range(ROUNDS):
        cache = Cache(f"{directory}/cache{number}")
        theirs.measure(lambda: _sha256sum(tar, blob))
        ours.measure(lambda cache=cache: _index(fd, digest, cache))  # type: ignore[misc]
    os.close(fd)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report.bound(
        f"ingest pass / sha256sum of tar and blob, {SIZE // 10**6} MB",
        ours.best / theirs.best,
        "<=",
        2.0,
        note=f"rossfs {ours}, sha256sum {theirs}, {count} files, blob {size / 1e6:.0f} MB",
    )
    report.figure("memory of the ingest pass", peak, "MiB", note="its whole process")


def _sha256sum(*paths: str) -> None:
    subprocess.run(["sha256sum", *paths], check=True, stdout=subprocess.DEVNULL)


def _index(fd: int, digest: Digest, cache: Cache) -> None:
    for table in index_apart(fd, digest, cache).values():
        os.close(table)
