"""Marks of a layout: content that came through it, and content that was unlinked in it.

layouts/<repository>/.put/<algorithm>-<hex> says that content came through the layout: it is listed
there, and the mark protects it from collection for as long as a pin of incoming/ would, counted
from the mark's modification time.  .dropped/<algorithm>-<hex> says that it was unlinked: it is not
listed, even if index.json reaches it.  Marks are empty files; a collection removes those of content
that is gone.

Each change is one rename or unlink, under `Access.writing`; whoever makes one of two contradicting
marks removes the other first.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from rossfs.oci.digest import Digest, is_hex_name
from rossfs.store import durable
from rossfs.store.areas import scan
from rossfs.store.paths import ALGORITHMS, Paths


class Kind(StrEnum):
    """The directories of marks."""

    PUT = ".put"
    DROPPED = ".dropped"


class Mark(NamedTuple):
    """One mark."""

    digest: Digest
    path: str


def path_of(paths: Paths, repository: str, kind: Kind, digest: Digest) -> str:
    """Where a mark lies."""
    return f"{paths.layout(repository)}/{kind}/{digest.algorithm}-{digest.hex}"


def make(paths: Paths, repository: str, kind: Kind, digest: Digest) -> None:
    """Make a mark, or make it young again.  Requires `Access.writing`."""
    path = path_of(paths, repository, kind, digest)
    durable.replace_file(path, b"", paths.scratch, "layout mark")


def remove(paths: Paths, repository: str, kind: Kind, digest: Digest) -> bool:
    """Remove a mark; False if there was none.  Requires `Access.writing`."""
    return durable.remove(path_of(paths, repository, kind, digest), "layout mark")


def exists(paths: Paths, repository: str, kind: Kind, digest: Digest) -> bool:
    """Whether there is such a mark."""
    return os.path.lexists(path_of(paths, repository, kind, digest))


def marks(paths: Paths, repository: str, kind: Kind) -> Iterator[Mark]:
    """All marks of one kind, in no order."""
    for entry in scan(f"{paths.layout(repository)}/{kind}"):
        digest = digest_in(entry.name)
        if digest is not None:
            yield Mark(digest, entry.path)


def digest_in(name: str) -> Digest | None:
    """What the mark *name* is about; None if it is no name of one."""
    algorithm, _, encoded = name.partition("-")
    if algorithm in ALGORITHMS and is_hex_name(encoded, algorithm):
        return Digest(algorithm, encoded)
    return None


def modified_ns(path: str) -> int:
    """When the mark *path* was made, in nanoseconds since 1970; 0 if it is gone, or no file."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            return status.st_mtime_ns
    return 0


def remove_all(paths: Paths, repository: str) -> None:
    """Remove all marks of a layout, and their directories.  Requires `Access.writing`."""
    for kind in Kind:
        directory = f"{paths.layout(repository)}/{kind}"
        durable.remove_together(
            (mark.path for mark in marks(paths, repository, kind)), "layout mark"
        )
        # OSError: it was never there, or something else lies in it.
        with contextlib.suppress(OSError):
            durable.remove_directory(directory, "layout mark")
