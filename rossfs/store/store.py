"""Store: everything that can be done with a store, in the words of Ross.

Thread safe.  Several processes may have one store open: what changes it holds the store lock
together with other writers, a collection or a repair has it alone (`lock.py`).  Everything a method
reports as stored survives a power cut.

For what is absent `delete_...` returns False, `stat_...` None, and `get_...` raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from rossfs.errors import BlobNotFound, ManifestNotFound, UsageError
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import Kind, kind_of
from rossfs.oci.quotation import quote
from rossfs.oci.recognise import recognise
from rossfs.store import commit, fsck, gc, info
from rossfs.store.access import Access
from rossfs.store.content import Content
from rossfs.store.contents import Contents
from rossfs.store.gc import Collected
from rossfs.store.hashing import BUFFER
from rossfs.store.incoming import Incoming
from rossfs.store.info import StoreInfo
from rossfs.store.ingest import Ingest
from rossfs.store.layouts import Layouts
from rossfs.store.paths import Area, Paths
from rossfs.store.pins import Pins
from rossfs.store.reader import Reader
from rossfs.store.references import References
from rossfs.store.repair import repair as mend
from rossfs.store.tags import TagInfo, Tags
from rossfs.store.uses import Uses

if TYPE_CHECKING:
    from rossfs.store.finding import Finding


class BlobInfo(NamedTuple):
    """What `stat_blob` tells.  Times are Unix seconds."""

    digest: Digest
    size: int
    media_type: str
    created_at: int
    accessed_at: int


class Store:
    """One opened store."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.contents = Contents(access)
        self.verifier = self.contents.verifier
        self.tags = Tags(access, self.contents)
        self.layouts = Layouts(access, self.contents, self.tags)
        self.pins = Pins(access)
        self.uses = Uses(access)
        self.incoming = Incoming(access)
        self.references = References(self.contents, self.tags, self.incoming, self.pins, self.uses)
        self._ending = ExitStack()
        if access.writable:
            commit.recover(self)

    @classmethod
    def create(cls, path: str) -> Self:
        """Make an empty store in the directory *path* and open it; a store that is there is just
        opened.  Conflict if there is something else."""
        return cls(Access.create(path))

    @classmethod
    def open(cls, path: str, *, read_only: bool = False) -> Self:
        """Open the store in the directory *path*.

        StoreNotFound, UnknownFormat.  Commits that an earlier process did not live to carry out are
        carried out, if the store can be written; otherwise nothing is written.
        """
        return cls(Access.open(path, read_only=read_only))

    def close(self) -> None:
        """Let go of the store.  May be called again."""
        self._ending.close()

    def at_close(self, task: Callable[[], None]) -> None:
        """Have *task* called when the store is closed."""
        self._ending.callback(task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def paths(self) -> Paths:
        """Where everything lies."""
        return self.access.paths

    @property
    def writable(self) -> bool:
        """Whether changes are possible."""
        return self.access.writable

    # Blobs

    def ingest(self, algorithm: str = "sha256") -> Ingest:
        """Begin a blob that is written piece by piece.  ReadOnlyStore."""
        return Ingest.create(self.contents, algorithm)

    def put_blob(
        self,
        media_type: str | None,
        data: bytes | Iterable[bytes] | BinaryIO,
        expected: Digest | None = None,
    ) -> tuple[Digest, int]:
        """Store bytes, pieces, or a stream read to its end; return the digest and the size.

        Success means that the content is stored, not that it was not before.  Without *media_type*
        it is found out; content whose type is that of a manifest or index is filed as one.
        DigestMismatch if the bytes are not those of *expected*; StoreFull, ReadOnlyStore.  Then
        nothing is stored.
        """
        algorithm = expected.algorithm if expected is not None else "sha256"
        with self.ingest(algorithm) as ingest:
            for piece in _pieces(data):
                ingest.append(piece)
            stored = ingest.commit(expected, media_type)
        return stored.digest, stored.size

    def get_blob(self, digest: Digest, offset: int = 0, length: int = -1) -> bytes:
        """Return the bytes of a content, or a range of them.

        A *length* of 0 or less reads to the end.  BlobNotFound, RangeError, Damaged.
        """
        with self.open_blob(digest) as reader:
            return reader.read(offset, length)

    def open_blob(self, digest: Digest) -> Reader:
        """Open any content (manifests and indexes too) for reading.  BlobNotFound, Damaged."""
        content = self.contents.settle(digest)
        if content is None:
            raise BlobNotFound(f"{digest} is not stored")
        return Reader(self.contents, content)

    def stat_blob(self, digest: Digest) -> BlobInfo | None:
        """Say what is known of any content."""
        found = self.contents.settle(digest)
        if found is None:
            return None
        return BlobInfo(digest, found.size, found.media_type, found.created_at, found.accessed_at)

    def delete_blob(self, digest: Digest) -> bool:
        """Remove a blob, whether or not something needs it; False if there is none.

        A manifest or index is not a blob: False.
        """
        return self._delete(digest, Area.BLOBS)

    def list_blobs(self) -> Iterator[Digest]:
        """Yield the digests of all blobs, in no order."""
        return self._list(Area.BLOBS)

    # Manifests and indexes

    def put_manifest(
        self, content: bytes, media_type: str, expected: Digest | None = None
    ) -> tuple[Digest, int]:
        """Store a manifest; return its digest and size.  An index is filed as an index.

        InvalidDocument if it is none; MissingContent if its config or a layer is not stored
        (foreign layers may be missing, and anything that an index names); DigestMismatch.
        """
        return self._put_document(content, media_type, expected, Kind.MANIFEST, Kind.INDEX)

    def get_manifest(self, digest: Digest) -> tuple[bytes, str]:
        """Return the bytes and the media type of a manifest or index.  ManifestNotFound,
        Damaged."""
        return self.read_document(self._document(digest, Area.MANIFESTS, Area.INDEXES))

    def delete_manifest(self, digest: Digest) -> bool:
        """Remove a manifest or index, whether or not something needs it; False if there is
        none."""
        return self._delete(digest, Area.INDEXES) or self._delete(digest, Area.MANIFESTS)

    def list_manifests(self) -> Iterator[Digest]:
        """Yield the digests of all manifests that are no indexes, in no order."""
        return self._list(Area.MANIFESTS)

    def put_index(
        self, content: bytes, media_type: str, expected: Digest | None = None
    ) -> tuple[Digest, int]:
        """Store an index; return its digest and size.  Errors as `put_manifest`, and
        InvalidDocument for a manifest."""
        return self._put_document(content, media_type, expected, Kind.INDEX)

    def get_index(self, digest: Digest) -> tuple[bytes, str]:
        """Return the bytes and the media type of an index.  ManifestNotFound, Damaged."""
        return self.read_document(self._document(digest, Area.INDEXES))

    def delete_index(self, digest: Digest) -> bool:
        """Remove an index, whether or not something needs it; False if there is none."""
        return self._delete(digest, Area.INDEXES)

    def list_indexes(self) -> Iterator[Digest]:
        """Yield the digests of all indexes, in no order."""
        return self._list(Area.INDEXES)

    def read_document(self, content: Content) -> tuple[bytes, str]:
        """Return the bytes and the media type of a found manifest or index, hashed anew: Damaged
        if they are wrong, InvalidDocument if there are more than 4 MiB."""
        return self.contents.read_document(content), content.media_type

    # Tags

    def set_tag(self, repository: str, tag: str, digest: Digest) -> Digest | None:
        """Make a tag name a stored manifest or index; return what it named before.

        InvalidReference, TagConflict, ManifestNotFound.
        """
        return self.tags.set(repository, tag, digest)

    def resolve_tag(self, repository: str, tag: str) -> tuple[Digest, str]:
        """Return the digest that a tag names and its media type.  TagNotFound, ManifestNotFound."""
        digest = self.tags.get(repository, tag).digest
        return digest, self._document(digest, Area.MANIFESTS, Area.INDEXES).media_type

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Remove a tag; False if there is none."""
        return self.tags.delete(repository, tag)

    def list_tags(self, repository: str) -> list[TagInfo]:
        """Return all tags of a repository, by name."""
        return sorted(self.tags.list(repository))

    def list_repositories(self) -> list[str]:
        """Return the names of all repositories that have a tag, sorted."""
        return sorted(self.tags.repositories())

    # The whole store

    def garbage_collect(
        self,
        dry_run: bool = False,
        delete_untagged: bool = True,
        grace: float = 0.0,
        pin_age: float | None = None,
    ) -> Collected:
        """Remove what no tag, pin or unfinished commit needs; return what was removed.

        *grace*: seconds; what was committed more recently stays.  *dry_run* only tells.  Without
        *delete_untagged*, manifests that no tag names stay, and what they need.  *pin_age*: seconds
        for which a pin of incoming/ counts; None: as the settings of the store say.
        """
        return gc.collect(
            self,
            dry_run=dry_run,
            delete_untagged=delete_untagged,
            grace=grace,
            pin_age=pin_age,
        )

    def get_store_info(self) -> StoreInfo:
        """Count bytes, blobs, manifests and tags."""
        return info.gather(self)

    def fsck(
        self,
        fast: bool = False,
        digest: Digest | None = None,
        repair: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Finding]:
        """Check the store, or one content, and yield what is wrong.

        *fast* hashes manifests and indexes only, and content that something speaks against.
        *repair* rebuilds what is derived and moves damaged content to quarantine/; every finding
        says what was done about it.  *progress* is called with the bytes hashed so far.
        ReadOnlyStore for a repair; BlobNotFound if *digest* is not stored.
        """
        if repair:
            return mend(self, fast=fast, digest=digest, progress=progress)
        return fsck.check(self, fast=fast, digest=digest, progress=progress)

    # Inside

    def _document(self, digest: Digest, *areas: Area) -> Content:
        for area in areas:
            found = self.contents.settle_in(area, digest)
            if found is not None:
                return found
        kind = "index" if areas == (Area.INDEXES,) else "manifest"
        raise ManifestNotFound(f"no {kind} {digest} is stored")

    def _put_document(
        self, content: bytes, media_type: str, expected: Digest | None, *kinds: Kind
    ) -> tuple[Digest, int]:
        media_type = media_type or recognise(content) or ""
        if kind_of(media_type) not in kinds:
            # Ross stores what it is told; but nothing could be done with it later.
            raise UsageError(f"{quote(media_type)} is no media type of a stored {kinds[0]}")
        return self.put_blob(media_type, content, expected)

    def _delete(self, digest: Digest, area: Area) -> bool:
        if not digest.is_stored:
            return False
        with self.access.writing():
            found = self.contents.settle_in(area, digest)
            return found is not None and self.contents.remove(area, digest) is not None

    def _list(self, area: Area) -> Iterator[Digest]:
        for digest in self.contents.digests(area):
            # In the other areas `digests` has looked at it already.
            if (
                area is not Area.BLOBS
                or self.contents.has_meta(area, digest)
                or self.contents.settle_in(area, digest) is not None
            ):
                yield digest


def _pieces(data: bytes | Iterable[bytes] | BinaryIO) -> Iterator[bytes]:
    read: Callable[[int], bytes] | None = getattr(data, "read", None)
    if isinstance(data, (bytes, bytearray, memoryview)):
        view = memoryview(data)
        for start in range(0, len(view), BUFFER):
            yield bytes(view[start : start + BUFFER])
    elif read is not None:
        while piece := read(BUFFER):
            yield piece
    else:
        yield from data
