"""What is wrong in layouts/: records that cannot be read, names of nothing, and strays.

No fault is a tag that is gone or a manifest without a name that was collected: index.json shows
what there is (`layoutindex.py`), and the next writing of it, or collection, brings the record in
line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rossfs.errors import Damaged
from rossfs.store import layoutkeeping, layoutmarks, layoutrecord, settings
from rossfs.store.areas import scan, stored_size
from rossfs.store.finding import Cure, Fault, Finding, Kind, Severity, place
from rossfs.store.layoutmarks import Kind as MarkKind
from rossfs.store.paths import Paths
from rossfs.store.recheck import Recheck
from rossfs.store.tags import Tags
from rossfs.store.tagtree import is_prefix

if TYPE_CHECKING:
    from rossfs.store.store import Store


def faults(store: Store, recheck: Recheck) -> Iterator[Fault]:
    """The faults of layouts/; symbolic links are not followed."""
    paths = store.access.paths
    yield from _strays(paths, "")
    for repository in layoutkeeping.repositories(paths):
        yield from _strays(paths, repository)
        yield from _record(paths, store.tags, recheck, repository)
    # All at once, for a repair removes them all at once.
    void = layoutkeeping.void_marks(paths, settings.read(paths).pin_age)
    for mark in [*void]:
        text = "is about content that is not stored"
        yield _note(paths, Kind.LEFTOVER, mark.path, text)._replace(cure=Cure.TIDY)


def is_bad(paths: Paths, repository: str) -> bool:
    """Whether the record of *repository* is there and cannot be read."""
    try:
        layoutrecord.read(paths, repository)
    except Damaged:
        return True
    return False


def _record(paths: Paths, tags: Tags, recheck: Recheck, repository: str) -> Iterator[Fault]:
    path = layoutrecord.path_of(paths, repository)
    try:
        wanted = {*layoutkeeping.named(paths, tags, repository)}
    except Damaged as error:
        if recheck.persists(lambda: is_bad(paths, repository)):
            finding = Finding(Kind.LAYOUT, Severity.DAMAGE, place(paths, path), f"is {error}")
            yield Fault(finding, path, Cure.QUARANTINE_LAYOUT)
        return
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
        yield Fault(Finding(Kind.LAYOUT, Severity.DAMAGE, place(paths, path), text), path)
        return
    for digest in wanted:

        def dangles(digest: object = digest) -> bool:
            try:
                there = layoutkeeping.named(paths, tags, repository)
                return any(each == digest and stored_size(paths, each) is None for each in there)
            except (Damaged, OSError):
                return False

        if recheck.persists(dangles):
            text = f"names {digest}, which is not stored"
            finding = Finding(Kind.LAYOUT, Severity.DAMAGE, place(paths, path), text)
            yield Fault(finding, path, digest=digest)


def _strays(paths: Paths, directory: str) -> Iterator[Fault]:
    above = f"{directory}/" if directory else ""
    for entry in scan(paths.layout(directory)):
        is_directory = entry.is_dir(follow_symlinks=False)
        if entry.name == layoutrecord.NAME and directory:
            # What is no file is for `_record` to tell.
            continue
        if entry.name in [*MarkKind] and directory and is_directory:
            yield from _stray_marks(paths, entry.path)
        elif not is_directory or entry.name.startswith("."):
            yield _note(paths, Kind.STRAY, entry.path, "is neither a repository nor of a layout")
        elif not is_prefix(above + entry.name):
            text = "cannot be a repository: it is not shown"
            yield _note(paths, Kind.STRAY, entry.path, text)


def _stray_marks(paths: Paths, directory: str) -> Iterator[Fault]:
    for entry in scan(directory):
        if layoutmarks.digest_in(entry.name) is None or not entry.is_file(follow_symlinks=False):
            yield _note(paths, Kind.STRAY, entry.path, "is not named as content is")


def repository_of(paths: Paths, path: str) -> str:
    """Whose record lies at *path*."""
    return os.path.dirname(path).removeprefix(f"{paths.layouts}/")


def _note(paths: Paths, kind: Kind, path: str, text: str) -> Fault:
    return Fault(Finding(kind, Severity.NOTE, place(paths, path), text), path)
