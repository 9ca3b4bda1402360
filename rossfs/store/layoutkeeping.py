"""What layouts keep from collection, and what a collection does about layouts.

    names that can be no tags       keep what they name, as tags do
    content put through a layout    is kept for as long as a pin of incoming/ would keep it
    descriptors without a name      are untagged manifests: they keep nothing, and leave the record
                                    when their content is collected

Everything here reads one record after the other, and remembers nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.oci.layoutmerge import descriptors_of, name_of
from rossfs.store import areas, durable, layoutindex, layoutmarks, layoutrecord
from rossfs.store.access import Access
from rossfs.store.layoutmarks import Kind, Mark
from rossfs.store.paths import Paths
from rossfs.store.tags import Tags


def repositories(paths: Paths) -> Iterator[str]:
    """All directories of layouts/, whether or not they are layouts, in no order."""
    pending = [""]
    while pending:
        directory = pending.pop()
        if directory:
            yield directory
        above = f"{directory}/" if directory else ""
        pending.extend(
            above + entry.name
            for entry in areas.scan(paths.layout(directory))
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        )


def named(paths: Paths, tags: Tags, repository: str) -> Iterator[Digest]:
    """What index.json of *repository* names by what can be no tag, or by a tag that has several
    descriptors.  Damaged if the record cannot be read."""
    record = layoutrecord.read(paths, repository)
    if record is None:
        return
    firsts = layoutindex.tags_of(record.document)
    for name, digest in layoutindex.named_beside(record.document):
        first = firsts.get(name)
        if first is None:
            yield digest
            continue
        # Others of one name are there for as long as the first.
        found = tags.find(repository, name)
        if found is not None and found.digest == first:
            yield digest


def roots(paths: Paths, tags: Tags) -> Iterator[tuple[str, Digest]]:
    """(repository, digest) of all that `named` tells of any layout.  Damaged."""
    for repository in repositories(paths):
        for digest in named(paths, tags, repository):
            yield repository, digest


def untagged(paths: Paths) -> Iterator[tuple[str, Digest]]:
    """(repository, digest) of all descriptors without a name.  Damaged."""
    for repository in repositories(paths):
        record = layoutrecord.read(paths, repository)
        if record is not None:
            for digest in layoutindex.unnamed(record.document):
                yield repository, digest


def pinned(paths: Paths, pin_age: float) -> Iterator[tuple[str, Digest]]:
    """(repository, digest) of what was put less than *pin_age* seconds ago."""
    oldest = time.time_ns() - int(pin_age * 1e9)
    for repository in repositories(paths):
        for mark in layoutmarks.marks(paths, repository, Kind.PUT):
            if layoutmarks.modified_ns(mark.path) > oldest:
                yield repository, mark.digest


def void_marks(paths: Paths, pin_age: float) -> Iterator[Mark]:
    """The marks that are older than *pin_age* seconds and whose content is not stored."""
    oldest = time.time_ns() - int(pin_age * 1e9)
    for repository in repositories(paths):
        for kind in Kind:
            for mark in layoutmarks.marks(paths, repository, kind):
                if 0 < layoutmarks.modified_ns(mark.path) <= oldest and _is_gone(paths, mark):
                    yield mark


def tidy(access: Access, pin_age: float) -> None:
    """Take out of the records, and of the marks, what is gone.  A record that cannot be read is
    left alone."""
    paths = access.paths
    for repository in repositories(paths):
        if _is_behind(paths, repository):
            with access.naming():
                _tidy_record(paths, repository)
    if any(True for _ in void_marks(paths, pin_age)):
        # Nobody puts meanwhile: a young mark may come before its content.
        with access.sweeping():
            found = (mark.path for mark in void_marks(paths, pin_age))
            durable.remove_together(found, "layout mark")


def _is_behind(paths: Paths, repository: str) -> bool:
    """Whether the record has descriptors that no tag holds and whose content is gone."""
    try:
        record = layoutrecord.read(paths, repository)
    except Damaged:
        return False
    return record is not None and _remaining(paths, record.document) is not None


def _tidy_record(paths: Paths, repository: str) -> None:
    try:
        record = layoutrecord.read(paths, repository)
    except Damaged:
        return
    if record is None:
        return
    remaining = _remaining(paths, record.document)
    if remaining is not None:
        text = layoutindex.text_of({**record.document, "manifests": remaining})
        layoutrecord.write(paths, repository, text, list(record.before))


def _remaining(paths: Paths, document: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The descriptors without those that no tag holds and whose content is gone; None: all."""
    every = descriptors_of(document)
    held = {(name, str(digest)) for name, digest in layoutindex.tags_of(document).items()}
    remaining = [
        each
        for each in every
        if (name_of(each), each["digest"]) in held
        or areas.stored_size(paths, layoutindex.digest_of(each)) is not None
    ]
    return None if len(remaining) == len(every) else remaining


def _is_gone(paths: Paths, mark: Mark) -> bool:
    return areas.stored_size(paths, mark.digest) is None
