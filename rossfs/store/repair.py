"""Repairing a store: what is derived is made anew, what is damaged is moved aside.

Derived are each .meta and an index's link in manifests/.  Damaged content goes to quarantine/, and
so do tag files and commit records that cannot be read: nothing that could be right is ever deleted.
A use that cannot be read becomes one that does not end, if it can be told of what it is.
What is missing stays missing: storing it again is the cure.  Afterwards a check finds no damage but
that.

Each cure is one change under the store lock, and looks again under it: a fault that is gone, or a
file that was changed since it was judged, is left alone.  A crash leaves a store in which some
faults are cured and others are not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rossfs.errors import RossfsError
from rossfs.oci.digest import Digest
from rossfs.oci.recognise import recognise
from rossfs.store import (
    durable,
    filing,
    fsck,
    layoutfaults,
    layoutkeeping,
    meta,
    quarantine,
    settings,
    smallfile,
    tagfaults,
    uploads,
    usefaults,
)
from rossfs.store.finding import Cure, Fault, Finding, place
from rossfs.store.paths import META, Area
from rossfs.store.sniffing import DOCUMENT_LIMIT
from rossfs.store.verify import identity_of

if TYPE_CHECKING:
    from rossfs.store.store import Store


def repair(
    store: Store,
    *,
    fast: bool = False,
    digest: Digest | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """Check *store* as `fsck.check` does, mend what can be mended, and yield all that was found.

    `repaired` says whether the fault is gone, `moved` where the file went.  ReadOnlyStore.
    """
    store.access.require_writable()
    return _repair(store, fsck.faults(store, fast=fast, digest=digest, progress=progress))


def _repair(store: Store, faults: Iterator[Fault]) -> Iterator[Finding]:
    cures = _Cures(store)
    for fault in faults:
        try:
            yield cures.apply(fault)
        except (RossfsError, OSError) as error:
            text = f"{fault.finding.text}; it could not be repaired: {error}"
            yield fault.finding._replace(text=text)


class _Cures:
    """What is done about each fault of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._access = store.access
        self._paths = store.access.paths

    def apply(self, fault: Fault) -> Finding:
        """Mend *fault* as far as that is possible, and say so."""
        finding = fault.finding
        match fault.cure:
            case Cure.NONE:
                return finding
            case Cure.QUARANTINE:
                return self._moved(finding, self._quarantine(fault))
            case Cure.QUARANTINE_TAG:
                return self._moved(finding, self._quarantine_tag(fault.path))
            case Cure.QUARANTINE_LAYOUT:
                return self._moved(finding, self._quarantine_layout(fault.path))
            case Cure.QUARANTINE_RECORD:
                return self._moved(finding, self._quarantine_record(fault.path))
            case Cure.KEEP_USED:
                return usefaults.keep_used(self._access, fault)
            case Cure.TIDY:
                self._tidy()
                return finding._replace(repaired=not os.path.lexists(fault.path))
        area, digest = fault.area, fault.digest
        assert area is not None, "the cures that are left are of content"
        assert digest is not None, "as above"
        match fault.cure:
            case Cure.REBUILD:
                done = self._rebuild(area, digest)
            case Cure.RETYPE:
                done = self._retype(area, digest)
            case Cure.REMOVE_META:
                done = self._remove_meta(area, digest)
            case _:
                done = self._link(digest)
        return finding._replace(repaired=done)

    def _moved(self, finding: Finding, target: str | None) -> Finding:
        if target is None:
            return finding._replace(text=f"{finding.text}; it changed meanwhile and was left alone")
        return finding._replace(moved=place(self._paths, target), repaired=True)

    def _quarantine(self, fault: Fault) -> str | None:
        assert fault.area is not None, "it is content"
        assert fault.digest is not None, "it is content"
        # Nobody commits meanwhile, so nobody finds the content stored and relies on it.
        with self._access.sweeping(), self._access.writing():
            try:
                status = os.lstat(fault.path)
            except FileNotFoundError:
                return None
            if identity_of(status) != fault.identity:
                return None
            return quarantine.take_content(self._paths, fault.area, fault.digest)

    def _quarantine_tag(self, path: str) -> str | None:
        with self._access.naming():
            if not tagfaults.is_bad(path):
                return None
            name = path.removeprefix(f"{self._paths.tags}/")
            return quarantine.take_file(self._paths, path, "tag", name)

    def _quarantine_layout(self, path: str) -> str | None:
        repository = layoutfaults.repository_of(self._paths, path)
        with self._access.naming():
            if not layoutfaults.is_bad(self._paths, repository):
                return None
            return quarantine.take_file(self._paths, path, "layout", repository)

    def _quarantine_record(self, path: str) -> str | None:
        with self._access.writing():
            try:
                uploads.read(path)
            except FileNotFoundError:
                return None
            except ValueError:
                return quarantine.take_file(self._paths, path, "record", os.path.basename(path))
            return None

    def _rebuild(self, area: Area, digest: Digest) -> bool:
        path = self._paths.meta(area, digest)
        with self._access.writing():
            if os.path.isdir(path) and not os.path.islink(path):
                # Nothing can be renamed over a directory.
                quarantine.take_file(self._paths, path, "meta", os.path.basename(path))
        # Without the lock, for it hashes the content.
        return self._store.contents.rebuild_meta(area, digest)

    def _retype(self, area: Area, digest: Digest) -> bool:
        path = self._paths.content(area, digest)
        with self._access.writing():
            media_type = recognise(smallfile.read(path, DOCUMENT_LIMIT))
            if media_type is None:
                return False
            data = meta.changed(smallfile.read(path + META, meta.LIMIT), media_type=media_type)
            durable.replace_file(path + META, data, self._paths.scratch, "rebuilt meta")
        return True

    def _remove_meta(self, area: Area, digest: Digest) -> bool:
        path = self._paths.meta(area, digest)
        with self._access.sweeping(), self._access.writing():
            if os.path.lexists(self._paths.content(area, digest)):
                return False
            if stat.S_ISDIR(os.lstat(path).st_mode):
                quarantine.take_file(self._paths, path, "meta", os.path.basename(path))
                return True
            return durable.remove(path, "lone meta")

    def _link(self, digest: Digest) -> bool:
        with self._access.writing():
            filing.link_index(self._store.contents, digest, Area.INDEXES, Area.MANIFESTS)
        return True

    def _tidy(self) -> None:
        uploads.tidy(self._access)
        self._store.pins.tidy()
        layoutkeeping.tidy(self._access, settings.read(self._paths).pin_age)
