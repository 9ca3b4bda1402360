"""Checking a store: everything that is wrong with it, told and left alone.

A check holds no lock, so it runs beside writers, readers and collections; what they are in the
middle of is not reported (`recheck.py`).  It writes nothing.  It takes the same memory for a store
of any size: one file is looked at after the other, and the findings are yielded as they come.

Content comes first, then tags and layouts/, then incoming/, pins/ and uses/, so that a repair that
goes along finds the references to what it moved away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rossfs.oci.digest import Digest
from rossfs.store import layoutfaults, tagfaults, unfinished, usefaults
from rossfs.store.examination import Examiner
from rossfs.store.finding import Fault, Finding
from rossfs.store.recheck import Recheck

if TYPE_CHECKING:
    from rossfs.store.store import Store

__all__ = ["Finding", "check", "faults"]


def check(
    store: Store,
    *,
    fast: bool = False,
    digest: Digest | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with *store*, or with the content *digest* alone.

    Everything is hashed; *fast*: only manifests and indexes, which are small, and content whose
    .meta is missing or says another size.  *progress* hears how many bytes were hashed so far.
    BlobNotFound if *digest* is not stored.
    """
    for fault in faults(store, fast=fast, digest=digest, progress=progress):
        yield fault.finding


def faults(
    store: Store,
    *,
    fast: bool = False,
    digest: Digest | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Fault]:
    """As `check`, with what a repair has to know.  The store may be changed between two of them."""
    recheck = Recheck(store.access)
    examiner = Examiner(store, recheck, fast=fast, progress=progress)
    if digest is not None:
        yield from examiner.one(digest)
        return
    yield from examiner.everything()
    yield from tagfaults.faults(store.access.paths, recheck)
    yield from layoutfaults.faults(store, recheck)
    yield from unfinished.faults(store, recheck)
    yield from usefaults.faults(store.access.paths, recheck)
