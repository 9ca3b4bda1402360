"""Which files lie in blobs/, manifests/ and indexes/: by name and status, none of them read.

What lies there may be right or wrong, and need not exist as content (`contents.py`).  Nothing is
held in memory, whatever the number of files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from rossfs.oci.digest import Digest, is_hex_name
from rossfs.store.descriptors import again
from rossfs.store.paths import ALGORITHMS, Area, Paths


def scan(directory: str) -> Iterator[os.DirEntry[str]]:
    """The entries of *directory*, in no order; none if it is missing."""
    try:
        entries = again(lambda: os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        yield from entries


def names(directory: str, algorithm: str) -> Iterator[Digest]:
    """The digests under which regular files lie in *directory*, in no order; it may be missing."""
    for entry in scan(directory):
        if is_hex_name(entry.name, algorithm) and entry.is_file(follow_symlinks=False):
            yield Digest(algorithm, entry.name)


def listed(paths: Paths, *areas: Area) -> Iterator[Digest]:
    """The digests of all files in *areas*; one that lies in two of them comes twice."""
    for area in areas:
        for algorithm in ALGORITHMS:
            yield from names(paths.area(area, algorithm), algorithm)


def stored_size(paths: Paths, digest: Digest) -> int | None:
    """The bytes of the regular file that holds *digest*, right or wrong; None if there is none."""
    if not digest.is_stored:
        return None
    for area in Area:
        try:
            status = os.lstat(paths.content(area, digest))
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISREG(status.st_mode):
            return status.st_size
    return None
