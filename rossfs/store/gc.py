"""Garbage collection: removing what nothing needs, beside readers and writers.

Roots, in this order: what running processes hold, the pins of incoming/ and of layouts, and what
podman uses in place (`uses.py`), then tags (who goes from a pin to a tag makes the tag first, so
one of the two is seen) and what only layouts name (`layoutkeeping.py`).  With a grace period, young
manifests and indexes are roots too: whoever put one may be about to tag it.

Marking and listing take long and happen without the store lock.  Meanwhile every writer notes
what it commits, tags or holds (`arrivals.py`).  Removing happens in batches under
`Access.sweeping`: each first marks what was noted since the last, so whatever arrived is kept.
Documents go before what they refer to, and content before its .meta; names in incoming/ that then
lead nowhere, and what layouts say of what is gone, go last.

So a crash, or an interruption, between any two steps leaves a valid store, with garbage that the
next collection removes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rossfs.oci.digest import Digest, is_hex_name
from rossfs.store import arrivals, documents, durable, layoutkeeping, settings, uploads
from rossfs.store.areas import listed, scan
from rossfs.store.arrivals import Arrivals
from rossfs.store.digestset import DigestList, DigestSet
from rossfs.store.incoming import Pin
from rossfs.store.mark import Marker, referrers_first
from rossfs.store.paths import ALGORITHMS, META, Area

if TYPE_CHECKING:
    from rossfs.store.store import Store

_BATCH = 0.1
"""Seconds of removing for which writers wait."""

_PAUSE = 0.01
"""Seconds between batches: the kernel does not hand a lock over, so who waits for it must get a
chance."""


class Collected(NamedTuple):
    """What was removed, or would be."""

    blobs_removed: int
    manifests_removed: int
    """Manifests and indexes."""
    bytes_freed: int
    """Of content; .meta files are not counted."""
    digests: Sequence[Digest]


def collect(
    store: Store,
    *,
    dry_run: bool = False,
    delete_untagged: bool = True,
    grace: float = 0.0,
    pin_age: float | None = None,
) -> Collected:
    """Remove what no tag, hold, pin or unfinished commit needs; return what was removed.

    *dry_run* only tells, also in a store that is open for reading.  Without *delete_untagged*
    manifests and indexes stay, tagged or not, and what they need.  What was committed less than
    *grace* seconds ago stays.  Pins of incoming/ count until they are *pin_age* seconds old, or as
    old as the settings of the store say.

    Damaged if a tag or manifest that stays cannot be read: nothing is removed while it is unknown
    what that needs.
    """
    if pin_age is None:
        pin_age = settings.read(store.access.paths).pin_age
    collection = _Collection(store, delete_untagged=delete_untagged, grace=grace, pin_age=pin_age)
    if dry_run:
        collection.mark()
        return collection.preview()
    with arrivals.collecting(store.access) as arrived:
        collection.mark()
        return collection.sweep(arrived)


class _Collection:
    """One collection under way."""

    def __init__(
        self, store: Store, *, delete_untagged: bool, grace: float, pin_age: float
    ) -> None:
        self._store = store
        self._paths = store.access.paths
        self._delete_untagged = delete_untagged
        self._grace = grace
        self._pin_age = pin_age
        self._marker = Marker(self._paths)
        self._removed = {Area.BLOBS: 0, Area.MANIFESTS: 0}
        self._freed = 0
        self._digests = DigestSet()

    def mark(self) -> None:
        """Find out what must stay."""
        for digest in self._store.pins.live():
            self._marker.mark(digest, "a running process")
        self._mark_incoming()
        for digest in self._store.uses.contents():
            self._marker.mark(digest, "podman")
        for repository, digest in layoutkeeping.pinned(self._paths, self._pin_age):
            self._marker.mark(digest, f"what was put into oci/{repository}")
        for path, digest in self._store.tags.roots():
            self._marker.mark(digest, f"the tag {path}", is_document=True)
        for repository, digest in layoutkeeping.roots(self._paths, self._store.tags):
            self._marker.mark(digest, f"the index of oci/{repository}", is_document=True)
        if not self._delete_untagged:
            for repository, digest in layoutkeeping.untagged(self._paths):
                self._marker.mark(digest, f"the index of oci/{repository}")
        if not self._delete_untagged or self._grace > 0:
            for digest in listed(self._paths, *documents.AREAS):
                if digest not in self._marker.kept and self._is_root(digest):
                    self._marker.mark(digest, "an untagged manifest")

    def preview(self) -> Collected:
        """What a sweep would remove now."""
        for areas, candidates in self._candidates():
            for _ in self._doomed(candidates, areas):
                pass
        return self._collected()

    def sweep(self, arrived: Arrivals) -> Collected:
        """Remove what was not marked and did not arrive since."""
        for areas, candidates in self._candidates():
            doomed = functools.partial(self._doomed, areas=areas)
            self._remove(candidates, doomed, areas[-1].noun, arrived)
        for area in Area:
            strays = self._stray_meta(area)
            if strays:
                self._remove(strays, functools.partial(self._alone, area), "meta", arrived)
        void = self._void_pins()
        with self._store.access.sweeping():
            if void:
                durable.remove_together(self._still_void(void), "incoming link")
            durable.remove_together(uploads.leftovers(self._paths), "scratch")
        self._store.pins.tidy()
        layoutkeeping.tidy(self._store.access, self._pin_age)
        return self._collected()

    def _mark_incoming(self) -> None:
        for digest in self._store.incoming.pinned(self._pin_age):
            self._marker.mark(digest, "a pin in incoming/")
        for digest in self._store.incoming.unfinished_digests():
            self._marker.mark(digest, "an unfinished commit")

    def _void_pins(self) -> list[Pin]:
        """The pins that were too old to keep what they name, and lead nowhere now."""
        oldest = time.time_ns() - int(self._pin_age * 1e9)
        pins = self._store.incoming.pins()
        return [pin for pin in pins if pin.modified_ns <= oldest and self._is_void(pin)]

    def _still_void(self, pins: Iterable[Pin]) -> Iterator[str]:
        """The paths of those of *pins* that are what they were."""
        for pin in pins:
            if self._store.incoming.pin(pin.name) == pin and self._is_void(pin):
                yield self._store.incoming.path(pin.name)

    def _is_void(self, pin: Pin) -> bool:
        return not self._files(pin.digest, tuple(Area))

    def _is_root(self, document: Digest) -> bool:
        if not self._delete_untagged:
            return True
        return self._is_young(status for _, status in self._files(document, documents.AREAS))

    def _is_young(self, files: Iterable[os.stat_result]) -> bool:
        if self._grace <= 0:
            return False
        limit = time.time() - self._grace
        return any(status.st_mtime > limit for status in files)

    def _candidates(self) -> Iterator[tuple[tuple[Area, ...], Iterable[Digest]]]:
        """What is not marked, in the order in which it may be removed: (where to look, digests)."""
        found = DigestSet()
        for digest in listed(self._paths, *documents.AREAS):
            if digest not in self._marker.kept:
                found.add(digest)
        yield documents.AREAS, referrers_first(self._paths, found)
        blobs = DigestList()
        for digest in listed(self._paths, Area.BLOBS):
            if digest not in self._marker.kept:
                blobs.append(digest)
        yield (Area.BLOBS,), blobs

    def _remove(
        self,
        candidates: Iterable[Digest],
        doomed: Callable[[Iterable[Digest]], Iterator[str]],
        what: str,
        arrived: Arrivals,
    ) -> None:
        """Remove the files that *doomed* yields for those of *candidates* that are still not
        needed, in batches."""
        remaining = iter(candidates)
        finished = False
        while not finished:
            with self._store.access.sweeping():
                for digest in arrived.new():
                    self._marker.mark(digest, "what was committed meanwhile")
                self._mark_incoming()
                batch = _Batch(remaining, time.monotonic() + _BATCH)
                durable.remove_together(doomed(batch), what)
            finished = batch.finished
            if not finished:
                time.sleep(_PAUSE)

    def _doomed(self, candidates: Iterable[Digest], areas: tuple[Area, ...]) -> Iterator[str]:
        """The files of *candidates* in *areas* that may be removed; counted as removed."""
        for digest in candidates:
            if digest in self._marker.kept:
                continue
            files = self._files(digest, areas)
            if self._is_young(status for _, status in files):
                # Committed again since: then what it needs stays too.
                self._marker.mark(digest, "an untagged manifest")
                continue
            if not files:
                continue
            for path, _ in files:
                yield path
            for path, _ in files:
                yield path + META
            self._removed[areas[-1]] += 1
            self._freed += sum({status.st_ino: status.st_size for _, status in files}.values())
            self._digests.add(digest)

    def _files(self, digest: Digest, areas: tuple[Area, ...]) -> list[tuple[str, os.stat_result]]:
        """The regular files that hold *digest*."""
        files = []
        for area in areas:
            path = self._paths.content(area, digest)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    files.append((path, status))
        return files

    def _stray_meta(self, area: Area) -> DigestList:
        """The digests of .meta files in *area* that lie alone."""
        found = DigestList()
        for algorithm in ALGORITHMS:
            for entry in scan(self._paths.area(area, algorithm)):
                name = entry.name.removesuffix(META)
                if name != entry.name and is_hex_name(name, algorithm):
                    digest = Digest(algorithm, name)
                    if not os.path.lexists(self._paths.content(area, digest)):
                        found.append(digest)
        return found

    def _alone(self, area: Area, digests: Iterable[Digest]) -> Iterator[str]:
        """The .meta files of those of *digests* that have no content in *area*."""
        for digest in digests:
            if not os.path.lexists(self._paths.content(area, digest)):
                yield self._paths.meta(area, digest)

    def _collected(self) -> Collected:
        return Collected(
            self._removed[Area.BLOBS], self._removed[Area.MANIFESTS], self._freed, self._digests
        )


class _Batch:
    """As many of the remaining candidates as there is time for."""

    def __init__(self, remaining: Iterator[Digest], deadline: float) -> None:
        self._remaining = remaining
        self._deadline = deadline
        self.finished = False

    def __iter__(self) -> Iterator[Digest]:
        for digest in self._remaining:
            yield digest
            if time.monotonic() > self._deadline:
                return
        self.finished = True
