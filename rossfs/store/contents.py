"""Finding content: which of the three areas has it, and what is known of it.

An index also lies in manifests/, hard-linked, since Ross resolves tags there; a list that Ross
filed in manifests/ counts as an index.  Ross writes content in place before its .meta: content
without a usable .meta exists only once its bytes hash to its name; its .meta is then rebuilt, on
disk, or in memory where nothing can be written.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from rossfs.errors import Damaged, InvalidDocument, NotFound, RossfsError
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import Kind, kind_of
from rossfs.store import areas, durable, meta, smallfile
from rossfs.store.access import Access
from rossfs.store.content import Content, Unproven, is_sealed
from rossfs.store.meta import Meta
from rossfs.store.paths import ALGORITHMS, META, Area
from rossfs.store.sniffing import DOCUMENT_LIMIT, media_type_of, read_whole
from rossfs.store.verify import Identity, Verifier, identity_of, open_file

# Where a digest is looked for, what it counts as first: an index lies in manifests/ too.
_ORDER: Final = (Area.INDEXES, Area.MANIFESTS, Area.BLOBS)

_KEPT = 4096
_DAY = 86400


class Contents:
    """All content of one store.  Thread safe."""

    __slots__ = ("_guard", "_kept", "_places", "_prefixes", "access", "verifier")

    def __init__(self, access: Access, verifier: Verifier | None = None) -> None:
        self.access = access
        self.verifier = verifier or Verifier()
        self._prefixes = {
            area: {name: f"{access.paths.area(area, name)}/" for name in ALGORITHMS}
            for area in Area
        }
        self._places = {
            name: tuple((area, self._prefixes[area][name]) for area in _ORDER)
            for name in ALGORITHMS
        }
        # .meta that could not be written, by path of the content.
        self._kept: OrderedDict[str, tuple[Identity, Meta]] = OrderedDict()
        self._guard = threading.Lock()

    # Finding

    def find(self, digest: Digest) -> Content | None:
        """What is stored under *digest* in any area, or None.  Reads no content.

        Raises Unproven when only hashing can tell: then `settle` answers.
        """
        for area, prefix in self._places.get(digest.algorithm, ()):
            found = self._find_at(area, digest, prefix + digest.hex)
            if found is not None:
                return found
        return None

    def find_in(self, area: Area, digest: Digest) -> Content | None:
        """What is stored under *digest* and counts as *area*, or None; Unproven as `find`."""
        if not digest.is_stored:
            return None
        found = self._find_at(area, digest, self._prefixes[area][digest.algorithm] + digest.hex)
        if area is Area.BLOBS or (found is not None and found.area is area):
            return found
        if area is Area.INDEXES:
            path = self._prefixes[Area.MANIFESTS][digest.algorithm] + digest.hex
            found = self._find_at(Area.MANIFESTS, digest, path)
            return found if found is not None and found.area is area else None
        return None

    def glance(self, digest: Digest) -> os.stat_result | None:
        """The status of the file that holds *digest*, in any area, or None: a third of the price of
        `find`, for listings and attributes.

        Any .meta that is not empty will do; whether it can be used is for `find` to say.  Raises
        Unproven where there is none.
        """
        for _, prefix in reversed(self._places.get(digest.algorithm, ())):
            path = prefix + digest.hex
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                try:
                    if os.lstat(path + META).st_size:
                        return status
                except OSError:
                    pass
                # Nothing usable beside it: it may be known already, or be in another area.
                if self.find(digest) is not None:
                    return status
        return None

    def settle(self, digest: Digest) -> Content | None:
        """As `find`, hashing the content where nothing else tells what it is: may take long."""
        for _ in range(2):
            try:
                return self.find(digest)
            except Unproven:
                for area in _ORDER:
                    self._settle_at(area, digest)
        # Somebody is writing it at this moment.
        with contextlib.suppress(Unproven):
            return self.find(digest)
        return None

    def settle_in(self, area: Area, digest: Digest) -> Content | None:
        """As `find_in`, hashing the content where nothing else tells what it is."""
        with contextlib.suppress(Unproven):
            return self.find_in(area, digest)
        self.settle(digest)
        with contextlib.suppress(Unproven):
            return self.find_in(area, digest)
        return None

    def _find_at(self, area: Area, digest: Digest, path: str) -> Content | None:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        try:
            known = meta.parse(smallfile.read(path + META, meta.LIMIT))
        except (OSError, meta.InvalidMeta):
            kept = self._recall(digest, path, identity_of(status))
            if kept is None:
                return None
            known = kept
        else:
            if (
                known.size != status.st_size
                and self.verifier.verdict(path, identity_of(status)) is None
            ):
                raise Unproven(digest) from None
        if area is Area.MANIFESTS and kind_of(known.media_type) is Kind.INDEX:
            area = Area.INDEXES
        modified_ns = status.st_mtime_ns
        return Content(
            digest,
            area,
            path,
            known.media_type,
            status.st_size,
            known.created_at,
            known.accessed_at,
            modified_ns,
            status.st_ino,
            is_sealed(digest, modified_ns),
            status.st_ctime_ns,
        )

    def _recall(self, digest: Digest, path: str, identity: Identity) -> Meta | None:
        """What is known of a file without usable .meta; None: its bytes are not those of its name.
        Raises Unproven if nothing is known."""
        with self._guard:
            kept = self._kept.get(path)
        if kept is not None and kept[0] == identity:
            return kept[1]
        if self.verifier.verdict(path, identity) is False:
            return None
        raise Unproven(digest)

    def _settle_at(self, area: Area, digest: Digest) -> None:
        if not digest.is_stored:
            return
        path = self._prefixes[area][digest.algorithm] + digest.hex
        try:
            self._find_at(area, digest, path)
        except Unproven:
            # Damaged: the verifier remembers it; NotFound: it was removed meanwhile.
            with contextlib.suppress(Damaged, NotFound):
                self._rebuild(area, path, self.verifier.prove(digest, path))

    def rebuild_meta(self, area: Area, digest: Digest) -> bool:
        """Hash what lies in *area* and write its .meta anew; False if that could not be written.

        Damaged, BlobNotFound.
        """
        path = self._prefixes[area][digest.algorithm] + digest.hex
        return self._rebuild(area, path, self.verifier.prove(digest, path))

    def _rebuild(self, area: Area, path: str, identity: Identity) -> bool:
        """Write the .meta of the content in *path*, just found to be right; False if it can only be
        kept in memory."""
        known, data = _rebuilt(area, path, identity)
        if self.access.writable:
            # A full disk, or a directory in place of the .meta: it can still be read.
            with contextlib.suppress(OSError, RossfsError), self.access.writing():
                if os.path.lexists(path):
                    scratch = self.access.paths.scratch
                    durable.replace_file(path + META, data, scratch, "rebuilt meta")
                    return True
        with self._guard:
            self._kept[path] = identity, known
            self._kept.move_to_end(path)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return False

    # Listing

    def digests(self, area: Area) -> Iterator[Digest]:
        """The digests of all content that counts as *area*, in no order, nothing held in memory.

        Content without .meta is among them: `find_in` or `settle_in` says whether it exists.  In
        MANIFESTS and INDEXES the media type decides, so each .meta of manifests/ is read.
        """
        if area is Area.BLOBS:
            yield from areas.listed(self.access.paths, Area.BLOBS)
            return
        if area is Area.INDEXES:
            yield from areas.listed(self.access.paths, Area.INDEXES)
        for digest in areas.listed(self.access.paths, Area.MANIFESTS):
            lies_in_indexes = self._lies_in(Area.INDEXES, digest)
            if lies_in_indexes:
                continue
            found = self.settle_in(area, digest)
            if found is not None:
                yield digest

    def everything(self) -> Iterator[Digest]:
        """The digests of the content of all areas, each once."""
        yield from areas.listed(self.access.paths, Area.BLOBS)
        for digest in areas.listed(self.access.paths, Area.MANIFESTS):
            if not self._lies_in(Area.BLOBS, digest):
                yield digest
        for digest in areas.listed(self.access.paths, Area.INDEXES):
            if not self._lies_in(Area.BLOBS, digest) and not self._lies_in(Area.MANIFESTS, digest):
                yield digest

    def has_meta(self, area: Area, digest: Digest) -> bool:
        """Whether a .meta lies beside the content: if not, only `settle_in` knows whether it
        exists."""
        return self._lies_in(area, digest, META)

    def _lies_in(self, area: Area, digest: Digest, suffix: str = "") -> bool:
        return os.path.lexists(self._prefixes[area][digest.algorithm] + digest.hex + suffix)

    # Using

    def open(self, content: Content) -> int:
        """Open the file of *content* for reading and return the descriptor.

        BlobNotFound if it is gone.  What `verifier.check(content)` said holds for the bytes of the
        descriptor too: a file that was replaced or changed since it was found is hashed here,
        unless it is sealed; Damaged if it is wrong.
        """
        return self.verifier.open(content)

    def read_document(self, content: Content) -> bytes:
        """Return the bytes of a manifest or index, hashed anew each time.

        Damaged, BlobNotFound; InvalidDocument if it is longer than a manifest may be.
        """
        if content.size > DOCUMENT_LIMIT:
            raise InvalidDocument(
                f"{content.digest} is too long for a manifest: {content.size} bytes"
            )
        fd, status = open_file(content.digest, content.path)
        try:
            data = read_whole(fd, min(status.st_size, DOCUMENT_LIMIT + 1))
        finally:
            os.close(fd)
        actual = Digest.of(data, content.digest.algorithm)
        if actual != content.digest:
            raise self.verifier.accuse(
                content, f"{content.digest} is damaged: its {len(data)} bytes hash to {actual}"
            )
        return data

    def note_access(self, content: Content) -> None:
        """Bring the time of the last access in the .meta up to date, at most once a day.

        Does nothing for manifests and indexes, which have no such time, nor in a store that cannot
        be written.  Syncs files, so it belongs in a worker thread.
        """
        now = int(time.time())
        if (
            content.area is not Area.BLOBS
            or now - content.accessed_at < _DAY
            or not self.access.writable
        ):
            return
        path = content.path + META
        # That somebody looked is not worth an error.
        with contextlib.suppress(OSError, RossfsError, meta.InvalidMeta), self.access.writing():
            data = smallfile.read(path, meta.LIMIT)
            if now - meta.parse(data).accessed_at >= _DAY and os.path.lexists(content.path):
                data = meta.changed(data, accessed_at=now)
                durable.replace_file(path, data, self.access.paths.scratch, "access time")

    def remove(self, area: Area, digest: Digest) -> int | None:
        """Remove what is stored under *digest* as *area*; return its bytes, None if it was not
        there.

        An index goes from manifests/ too.  Requires `Access.writing` or `Access.sweeping`.
        """
        freed = None
        what = area.noun
        for place in (Area.INDEXES, Area.MANIFESTS) if area is Area.INDEXES else (area,):
            path = self._prefixes[place][digest.algorithm] + digest.hex
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(path)
                # Content first: .meta alone is nothing, content alone would be found again.
                if not stat.S_ISDIR(status.st_mode) and durable.remove(path, what):
                    freed = status.st_size
            durable.remove(path + META, f"{what} meta")
        return freed


def _rebuilt(area: Area, path: str, identity: Identity) -> tuple[Meta, bytes]:
    """What the .meta of the right content in *path* should say, and its bytes."""
    data = b""
    with contextlib.suppress(OSError):
        data = smallfile.read(path + META, meta.LIMIT)
    try:
        # Ross may have written it meanwhile; or the size alone is wrong.
        known = meta.parse(data)._replace(size=identity.size)
        return known, meta.changed(data, size=identity.size)
    except meta.InvalidMeta:
        media_type = meta.salvage_media_type(data)
    if media_type is None:
        fd, status = smallfile.open_regular(path)
        try:
            media_type = media_type_of(fd, status.st_size)
        finally:
            os.close(fd)
    created_at = max(0, identity.modified_ns // 10**9)
    known = Meta(media_type, identity.size, created_at, created_at)
    return known, meta.encode(area, known)
