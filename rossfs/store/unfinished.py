"""What is wrong in incoming/ and pins/: links to nothing, and what dead processes left."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rossfs.oci.quotation import quote
from rossfs.store import smallfile, uploads
from rossfs.store.areas import scan, stored_size
from rossfs.store.finding import Cure, Fault, Finding, Kind, Severity, place
from rossfs.store.incoming import Incoming
from rossfs.store.paths import Paths
from rossfs.store.recheck import Recheck
from rossfs.store.uploads import SUFFIX

if TYPE_CHECKING:
    from rossfs.store.store import Store

_YOUNG = 1.0
_GLANCE = 0.1
"""Seconds: a young file may lack its owner's lock only because that is about to take it."""


def faults(store: Store, recheck: Recheck) -> Iterator[Fault]:
    """The faults of incoming/ and pins/."""
    paths = store.access.paths
    yield from _names(store.incoming, paths, recheck)
    yield from _records(paths, recheck)
    yield from _leftovers(paths, recheck)


def _names(incoming: Incoming, paths: Paths, recheck: Recheck) -> Iterator[Fault]:
    for name, status in incoming.walk():
        if stat.S_ISLNK(status.st_mode):
            yield from _link(incoming, paths, recheck, name)
        elif not stat.S_ISREG(status.st_mode):
            text = "is neither a file nor a link to content"
            yield _fault(paths, Kind.STRAY, incoming.path(name), text)


def _link(incoming: Incoming, paths: Paths, recheck: Recheck, name: bytes) -> Iterator[Fault]:
    digest = incoming.digest(name)
    if digest is None:
        if incoming.status(name) is not None:
            text = "is a link, but not to content of this store"
            yield _fault(paths, Kind.STRAY, incoming.path(name), text)
    elif stored_size(paths, digest) is None and recheck.persists(
        lambda: incoming.digest(name) == digest and stored_size(paths, digest) is None
    ):
        text = f"names {digest}, which is not stored"
        yield _fault(paths, Kind.PIN, incoming.path(name), text)


def _records(paths: Paths, recheck: Recheck) -> Iterator[Fault]:
    for entry in scan(paths.scratch):
        path = entry.path
        if not path.endswith(SUFFIX):
            continue
        try:
            record = uploads.read(path)
        except ValueError as error:
            # Records are renamed into their place whole: nobody is still writing it.
            finding = Finding(Kind.RECORD, Severity.DAMAGE, place(paths, path), f"is {error}")
            yield Fault(finding, path, Cure.QUARANTINE_RECORD)
            continue
        except OSError:
            continue
        if _is_left(path, recheck):
            text = (
                f"says that incoming/{quote(record.name)} is to be committed, which the next"
                " opening of the store for writing does"
            )
            yield _fault(paths, Kind.RECORD, path, text)


def _leftovers(paths: Paths, recheck: Recheck) -> list[Fault]:
    """All at once, for a repair that tidies up removes them all at once."""
    promised = {os.fsdecode(record.data) for record in uploads.records(paths)}
    found = []
    for directory, text in (
        (paths.scratch, "is a temporary file of a process that is dead"),
        (paths.pins, "holds content for a process that is dead"),
    ):
        for entry in scan(directory):
            path = entry.path
            below = path.removeprefix(f"{paths.incoming}/")
            if path.endswith(SUFFIX) or below in promised or not _is_left(path, recheck):
                continue
            found.append(_fault(paths, Kind.LEFTOVER, path, text)._replace(cure=Cure.TIDY))
    return found


def _is_left(path: str, recheck: Recheck) -> bool:
    """Whether *path* is there and nobody uses it."""

    def is_free() -> bool:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode):
            return True
        if 0 <= time.time() - status.st_ctime < _YOUNG:
            time.sleep(_GLANCE)
        return not _is_locked(path)

    return recheck.persists(is_free)


def _is_locked(path: str) -> bool:
    """Whether a process holds the file; also if it is gone, or not for us to ask."""
    try:
        fd, _ = smallfile.open_regular(path)
    except OSError:
        return True
    try:
        # Shared, and at once let go: its owner has it or asks for it exclusively, and waits.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _fault(paths: Paths, kind: Kind, path: str, text: str) -> Fault:
    return Fault(Finding(kind, Severity.NOTE, place(paths, path), text), path)
