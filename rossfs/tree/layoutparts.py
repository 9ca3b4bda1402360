"""The parts of a layout as places of files that are being written: a blob, index.json, oci-layout.

All of it happens when a descriptor is closed (FLUSH), or when a file is renamed here: so what
close(2) or rename(2) reported is stored, and everybody sees it whole.  What is refused leaves what
was there before.
"""

from __future__ import annotations

import abc
import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rossfs.errors import InvalidDocument, MissingContent, NotFound, RossfsError, StoreFull
from rossfs.oci.digest import Digest
from rossfs.oci.document import MAX_BYTES, parse_document
from rossfs.oci.layout import INDEX_FILE, LAYOUT_FILE
from rossfs.oci.mediatype import OCTET_STREAM
from rossfs.store import layoutindex
from rossfs.store.contents import Contents
from rossfs.store.ingest import Ingest
from rossfs.store.store import Store
from rossfs.tree.bases import Origin, origin
from rossfs.tree.place import Place
from rossfs.tree.readings import Base

_VERSIONS = ("1.0.0",)

_log = logging.getLogger("rossfs.tree")

Told = Callable[[str | None], None]
"""Is told, in any thread, why a part was refused; None: it was published."""


class Part(Place):
    """One part of the layout *repository*; *size*: of what is there now."""

    __slots__ = ("_size", "_store", "_told", "_where", "repository")

    def __init__(self, store: Store, repository: str, name: str, told: Told, size: int = 0) -> None:
        self._store = store
        self._size = size
        self._told = told
        self._where = f"oci/{repository}/{name}"
        self.repository = repository

    @property
    def mapped(self) -> bool:
        """As what is put aside (`Aside`)."""
        return False

    def size(self) -> int:
        return self._size

    def publish(self, ingest: Ingest) -> None:
        """Make the bytes the part.  RossfsError: nothing has changed.  May be called again."""
        with self._explained():
            self._publish(ingest)
        self._told(None)

    @abc.abstractmethod
    def _publish(self, ingest: Ingest) -> None: ...

    def judge(self, ingest: Ingest) -> bool:
        """Publish it."""
        self.publish(ingest)
        return True

    def carry_out(self, ingest: Ingest) -> None:
        ingest.abort()

    def leave(self, ingest: Ingest, reason: str | None) -> bool:
        ingest.abort()
        return False

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Let errors name the file; what lacks is EBADMSG, for it is the text that is refused."""
        try:
            yield
        except StoreFull:
            raise
        except RossfsError as error:
            text = f"{self._where} is not published: {error}"
            explained = type(error)(text)
            explained.errno = errno.EBADMSG if isinstance(error, NotFound) else error.errno
            self._told(text)
            raise explained from None


class BlobPart(Part):
    """blobs/<algorithm>/<hex>: stored if the bytes hash to that, and listed in the layout.

    Files are copied in any order, so a manifest may come before its layers: it is a blob like any
    other until an index.json names it.
    """

    __slots__ = ("digest",)

    def __init__(
        self, store: Store, repository: str, digest: Digest, told: Told, size: int = 0
    ) -> None:
        name = f"blobs/{digest.algorithm}/{digest.hex}"
        super().__init__(store, repository, name, told, size)
        self.digest = digest

    @property
    def algorithm(self) -> str:
        return self.digest.algorithm

    def fill(self, ingest: Ingest) -> None:
        with self._store.open_blob(self.digest) as reader:
            for piece in reader.chunks():
                ingest.append(piece)

    def renew(self, contents: Contents) -> Ingest:
        """A copy, as other bytes are not those of the name: who closes it is told so, unless they
        are the same again."""
        return self.begin(contents, False, False)

    def check(self, ingest: Ingest) -> None:
        """DigestMismatch if the bytes so far are not those of the name."""
        if not ingest.closed:
            with self._explained():
                self._finish(ingest)

    def _publish(self, ingest: Ingest) -> None:
        """DigestMismatch."""
        if ingest.closed:
            return
        media_type = self._finish(ingest)
        with self._store.access.writing():
            # Before the content, which a collection could take in between.
            self._store.layouts.put(self.repository, self.digest)
            try:
                ingest.commit(self.digest, media_type)
            except MissingContent:
                # It was complete a moment ago.
                ingest.commit(self.digest, OCTET_STREAM)

    def _finish(self, ingest: Ingest) -> str:
        """Do all that can fail; return the media type to store it with."""
        try:
            return ingest.finish(self.digest).media_type
        except (MissingContent, InvalidDocument):
            return ingest.finish(self.digest, OCTET_STREAM).media_type


class IndexPart(Part):
    """index.json: merged with what others wrote since its writer read it."""

    __slots__ = ("_filled", "_known", "_last", "_texts", "_wrote")

    def __init__(
        self,
        store: Store,
        repository: str,
        told: Told,
        base: Base,
        wrote: Callable[[bytes], None],
        size: int = 0,
    ) -> None:
        super().__init__(store, repository, INDEX_FILE, told, size)
        # Who read nothing removes nothing, whether nothing was there or an empty index.
        empty = layoutindex.text_of(layoutindex.empty())
        texts = *base.others, base.text
        self._texts = [empty if each is None else each for each in texts]
        """What its writer may have read, what he read last at the end."""
        self._known = base.known
        self._filled: bytes | None = None
        self._last: bytes | None = None
        self._wrote = wrote

    def fill(self, ingest: Ingest) -> None:
        text, _ = self._store.layouts.index(self.repository)
        self._filled = self._last = text
        if not self._known:
            self._texts = [text]
        ingest.append(text)

    def was_read(self) -> None:
        if self._filled is not None:
            self._texts = [self._filled]

    def _publish(self, ingest: Ingest) -> None:
        """InvalidDocument, MissingContent, IndexTooLong, TagConflict."""
        if ingest.size > MAX_BYTES:
            raise InvalidDocument(f"it has {ingest.size} bytes, more than {MAX_BYTES}")
        ingest.require_whole()
        text = ingest.read_at(0, ingest.size)
        if text == self._last:
            return
        began = Origin(self._texts[0]) if len(self._texts) == 1 else origin(self._texts, text)
        lines = self._store.layouts.replace(self.repository, began.text, text)
        self._texts, self._last = [text], text
        self._wrote(text)
        for line in lines:
            _log.info("%s", line)
        if began.stays:
            _log.info(
                "%s: %s stay: another thread of the process that wrote it may not know them",
                self._where,
                ", ".join(began.stays),
            )


class LayoutPart(Part):
    """oci-layout: makes a layout of the directory; its text is the same for all."""

    __slots__ = ()

    def __init__(self, store: Store, repository: str, told: Told, size: int = 0) -> None:
        super().__init__(store, repository, LAYOUT_FILE, told, size)

    def _publish(self, ingest: Ingest) -> None:
        """InvalidDocument if it is not JSON that says a version that is known."""
        if ingest.size > MAX_BYTES:
            raise InvalidDocument(f"it has {ingest.size} bytes, more than {MAX_BYTES}")
        ingest.require_whole()
        version = parse_document(ingest.read_at(0, ingest.size), LAYOUT_FILE).get(
            "imageLayoutVersion"
        )
        if version not in _VERSIONS:
            raise InvalidDocument(f"imageLayoutVersion is {version!r}, not {_VERSIONS[0]!r}")
        self._store.layouts.create(self.repository)
