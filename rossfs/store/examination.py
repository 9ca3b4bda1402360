"""Examining content: is each file what its name, its .meta and the manifests say.

One file at a time, nothing remembered, so a store of any size is examined in the same memory.
Nothing is written.  Bytes that seem wrong are hashed a second time, once nobody has written to them
for a moment: Ross writes in place.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from rossfs.errors import BlobNotFound, Damaged, InvalidDocument
from rossfs.oci.digest import Digest, is_hex_name
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import Kind as MediaKind
from rossfs.oci.mediatype import is_foreign, kind_of
from rossfs.oci.recognise import parse_as
from rossfs.store import meta, smallfile
from rossfs.store.areas import scan, stored_size
from rossfs.store.content import is_sealed
from rossfs.store.finding import Cure, Fault, Finding, Kind, Severity, place
from rossfs.store.hashing import hash_file
from rossfs.store.meta import Meta
from rossfs.store.paths import ALGORITHMS, META, Area
from rossfs.store.recheck import Recheck
from rossfs.store.sniffing import DOCUMENT_LIMIT, read_whole
from rossfs.store.verify import Identity, identity_of

if TYPE_CHECKING:
    from rossfs.store.store import Store

_QUIET = 1.0
"""Seconds without a write after which content that no seal protects counts as written."""

_ROUNDS = 3


class _Wrong(NamedTuple):
    """Bytes that are not those of their name."""

    text: str
    identity: Identity | None
    """None: it cannot be told for good."""


class Examiner:
    """The examination of the content of one store.  Not thread safe."""

    __slots__ = ("_fast", "_hashed", "_paths", "_progress", "_recheck", "_verifier")

    def __init__(
        self, store: Store, recheck: Recheck, *, fast: bool, progress: Callable[[int], None] | None
    ) -> None:
        self._paths = store.access.paths
        self._verifier = store.verifier
        self._recheck = recheck
        self._fast = fast
        self._progress = progress
        self._hashed = 0

    def everything(self) -> Iterator[Fault]:
        """The faults of all three areas."""
        for area in (Area.BLOBS, Area.MANIFESTS, Area.INDEXES):
            for entry in scan(os.path.dirname(self._paths.area(area))):
                if entry.name not in ALGORITHMS or not entry.is_dir():
                    yield self._stray(entry.path, "is neither content nor a directory of it")
            for algorithm in ALGORITHMS:
                yield from self._directory(area, algorithm)

    def one(self, digest: Digest) -> Iterator[Fault]:
        """The faults of what is stored under *digest*; BlobNotFound if nothing is."""
        areas = [
            area
            for area in Area
            if digest.is_stored and os.path.lexists(self._paths.content(area, digest))
        ]
        if not areas:
            raise BlobNotFound(f"{digest} is not stored")
        for area in areas:
            yield from self._content(area, digest)

    def _directory(self, area: Area, algorithm: str) -> Iterator[Fault]:
        for entry in scan(self._paths.area(area, algorithm)):
            name = entry.name.removesuffix(META)
            if not is_hex_name(name, algorithm):
                yield self._stray(entry.path, f"is not named as content of {algorithm} is")
            elif name == entry.name:
                yield from self._content(area, Digest(algorithm, name))
            elif not os.path.lexists(entry.path.removesuffix(META)):
                yield from self._lone_meta(area, Digest(algorithm, name))

    # One content

    def _content(self, area: Area, digest: Digest) -> Iterator[Fault]:
        path = self._paths.content(area, digest)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                yield from self._no_file(area, digest, path, status)
                return
            known, complaint = _read_meta(path)
            is_document = area is not Area.BLOBS and status.st_size <= DOCUMENT_LIMIT
            data, wrong = None, None
            if is_document:
                data, wrong = self._read(digest, path)
                if data is None and wrong is None:
                    return
            elif not self._fast or known is None or known.size != status.st_size:
                wrong = self._hash(digest, path)
        except FileNotFoundError:
            return
        except OSError as error:
            text = f"cannot be read: {error.strerror}"
            yield self._fault(Kind.DAMAGED, path, text)
            return
        if wrong is not None:
            yield self._damaged(area, digest, path, wrong)
            return
        if known is None or known.size != status.st_size:
            yield from self._about_meta(area, digest, path, known, complaint)
        if area is not Area.BLOBS:
            yield from self._document(area, digest, path, data, known)

    def _no_file(
        self, area: Area, digest: Digest, path: str, status: os.stat_result
    ) -> Iterator[Fault]:
        identity = identity_of(status)
        if self._recheck.persists(lambda: _identity(path) == identity):
            text = f"is {_kind_of_file(status.st_mode)} in place of content"
            yield self._fault(Kind.DAMAGED, path, text)._replace(
                cure=Cure.QUARANTINE, area=area, digest=digest, identity=identity
            )

    def _damaged(self, area: Area, digest: Digest, path: str, wrong: _Wrong) -> Fault:
        if wrong.identity is None:
            return self._fault(Kind.DAMAGED, path, wrong.text, Severity.NOTE)
        return self._fault(Kind.DAMAGED, path, wrong.text)._replace(
            cure=Cure.QUARANTINE, area=area, digest=digest, identity=wrong.identity
        )

    def _hash(self, digest: Digest, path: str) -> _Wrong | None:
        fd, _ = smallfile.open_regular(path)
        try:
            actual, _ = hash_file(fd, digest.algorithm, self._told)
        finally:
            os.close(fd)
        return None if actual == digest else self._confirm(digest, path)

    def _read(self, digest: Digest, path: str) -> tuple[bytes | None, _Wrong | None]:
        """Read a document; two times None for one that changed meanwhile."""
        fd, _ = smallfile.open_regular(path)
        try:
            data = read_whole(fd, DOCUMENT_LIMIT + 1)
        finally:
            os.close(fd)
        self._told(len(data))
        if Digest.of(data, digest.algorithm) == digest:
            return data, None
        return None, self._confirm(digest, path)

    def _confirm(self, digest: Digest, path: str) -> _Wrong | None:
        """Hash again what seems wrong, until nobody writes to it; None if it is right, or gone."""
        for _ in range(_ROUNDS):
            reason = ""
            try:
                # The verifier remembers it: from now on nobody is served these bytes.
                self._verifier.prove(digest, path)
            except BlobNotFound:
                return None
            except Damaged as error:
                reason = str(error).removeprefix(f"{digest} ")
            else:
                return None
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                return None
            if self._verifier.verdict(path, identity_of(status)) is not False:
                continue
            age = time.time() - status.st_mtime
            if is_sealed(digest, status.st_mtime_ns) or not 0 <= age < _QUIET:
                return _Wrong(reason, identity_of(status))
            time.sleep(_QUIET - age)
        return _Wrong("is being written to, and not yet what its name says", None)

    def _told(self, count: int) -> None:
        self._hashed += count
        if self._progress is not None:
            self._progress(self._hashed)

    # Its .meta

    def _about_meta(
        self, area: Area, digest: Digest, path: str, known: Meta | None, complaint: str
    ) -> Iterator[Fault]:
        if known is None:
            if self._recheck.persists(lambda: os.path.lexists(path) and not _read_meta(path)[0]):
                missing = not os.path.lexists(path + META)
                text = "has no .meta" if missing else f"has a .meta that {complaint}"
                # The first is what a crash leaves between the two files.
                severity = Severity.NOTE if missing else Severity.DAMAGE
                yield self._fault(Kind.METADATA, path, text, severity)._replace(
                    cure=Cure.REBUILD, area=area, digest=digest
                )
            return

        def differ() -> bool:
            try:
                said, size = _read_meta(path)[0], os.lstat(path).st_size
            except OSError:
                return False
            return said is not None and said.size != size

        if self._recheck.persists(differ):
            text = f"has a .meta that says {known.size} bytes, which is not its size"
            yield self._fault(Kind.SIZE, path, text)._replace(
                cure=Cure.REBUILD, area=area, digest=digest
            )

    def _lone_meta(self, area: Area, digest: Digest) -> Iterator[Fault]:
        path = self._paths.meta(area, digest)
        content = self._paths.content(area, digest)
        if self._recheck.persists(lambda: os.path.lexists(path) and not os.path.lexists(content)):
            yield self._fault(
                Kind.METADATA, path, "has no content beside it", Severity.NOTE
            )._replace(cure=Cure.REMOVE_META, area=area, digest=digest)

    # Manifests and indexes

    def _document(
        self, area: Area, digest: Digest, path: str, data: bytes | None, known: Meta | None
    ) -> Iterator[Fault]:
        media_type = "" if known is None else known.media_type
        if data is None:
            text = f"is longer than a manifest may be ({DOCUMENT_LIMIT} bytes)"
            yield self._fault(Kind.DOCUMENT, path, text, Severity.NOTE)
            return
        try:
            # What it says itself comes first: a .meta can be hostile.
            document = parse_as(data, "")
        except InvalidDocument as first:
            try:
                document = parse_as(data, media_type)
            except InvalidDocument:
                text = f"is neither a manifest nor an index: {first}"
                yield self._fault(Kind.DOCUMENT, path, text, Severity.NOTE)
                return
        is_index = isinstance(document, Index)
        if known is not None and is_index is not (kind_of(media_type) is MediaKind.INDEX):
            text = f"has a .meta that says it is {'no' if is_index else 'an'} index"
            yield self._fault(Kind.METADATA, path, text)._replace(
                cure=Cure.RETYPE, area=area, digest=digest
            )
        if area is Area.INDEXES and is_index:
            yield from self._about_link(digest, path)
        if area is Area.INDEXES or not os.path.lexists(self._paths.content(Area.INDEXES, digest)):
            yield from self._references(path, document)

    def _about_link(self, digest: Digest, path: str) -> Iterator[Fault]:
        linked = self._paths.content(Area.MANIFESTS, digest)
        if self._recheck.persists(lambda: os.path.lexists(path) and not os.path.lexists(linked)):
            text = "does not lie in manifests/ too, where Ross looks for what a tag names"
            yield self._fault(Kind.INDEX_LINK, path, text, Severity.NOTE)._replace(
                cure=Cure.LINK, area=Area.INDEXES, digest=digest
            )

    def _references(self, path: str, document: Manifest | Index) -> Iterator[Fault]:
        # The same layer may come a thousand times.
        for needed in {(each.digest, each.size): each for each in document.references()}.values():
            size = stored_size(self._paths, needed.digest)
            if size is None:
                if isinstance(document, Index) or is_foreign(needed.media_type):
                    continue
                missing = needed.digest

                def lacks(missing: Digest = missing) -> bool:
                    return os.path.lexists(path) and stored_size(self._paths, missing) is None

                if self._recheck.persists(lacks):
                    text = f"needs {missing}, which is not stored"
                    yield self._fault(Kind.MISSING_REFERENCE, path, text)
            elif size != needed.size:
                # If the bytes are right, which is for their own examination to say, this document
                # was wrong when it was made.
                text = f"says that {needed.digest} has {needed.size} bytes; it has {size}"
                yield self._fault(Kind.SIZE, path, text, Severity.NOTE)

    # Faults

    def _stray(self, path: str, text: str) -> Fault:
        return self._fault(Kind.STRAY, path, text, Severity.NOTE)

    def _fault(
        self, kind: Kind, path: str, text: str, severity: Severity = Severity.DAMAGE
    ) -> Fault:
        return Fault(Finding(kind, severity, place(self._paths, path), text), path)


def _read_meta(path: str) -> tuple[Meta | None, str]:
    """What the .meta beside *path* says, or what is wrong with it."""
    try:
        return meta.parse(smallfile.read(path + META, meta.LIMIT)), ""
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except meta.InvalidMeta as error:
        return None, f"cannot be read: {error}"


def _identity(path: str) -> Identity | None:
    try:
        return identity_of(os.lstat(path))
    except FileNotFoundError:
        return None


def _kind_of_file(mode: int) -> str:
    for test, noun in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a fifo"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return noun
    return "a device"
