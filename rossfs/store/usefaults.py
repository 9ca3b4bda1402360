"""What is wrong in uses/: records that cannot be read, or that are of what is not stored."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.store import areas, uses
from rossfs.store.finding import Fault, Finding, Kind, Severity, place
from rossfs.store.paths import ALGORITHMS, Paths
from rossfs.store.recheck import Recheck


def faults(paths: Paths, recheck: Recheck) -> Iterator[Fault]:
    """The faults of uses/.  None is repaired: who uses what cannot be invented."""
    for algorithm in ALGORITHMS:
        for asked in areas.names(f"{paths.uses}/{algorithm}", algorithm):
            path = uses.path_of(paths, asked)
            try:
                use = uses.read(paths, asked)
            except Damaged:
                if recheck.persists(lambda asked=asked: _is_bad(paths, asked)):  # type: ignore[misc]
                    yield _fault(paths, path, "cannot be read: who uses that layer is unknown")
                continue
            if use is None or areas.stored_size(paths, use.content) is not None:
                continue
            if recheck.persists(lambda asked=asked: _is_void(paths, asked)):  # type: ignore[misc]
                text = f"says that podman uses {use.content}, which is not stored"
                yield _fault(paths, path, text)


def _is_bad(paths: Paths, asked: Digest) -> bool:
    try:
        uses.read(paths, asked)
    except Damaged:
        return True
    return False


def _is_void(paths: Paths, asked: Digest) -> bool:
    try:
        use = uses.read(paths, asked)
    except Damaged:
        return False
    return use is not None and areas.stored_size(paths, use.content) is None


def _fault(paths: Paths, path: str, text: str) -> Fault:
    severity = Severity.DAMAGE
    return Fault(Finding(Kind.USE, severity, place(paths, os.fspath(path)), text), path)
