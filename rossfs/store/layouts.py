"""Layouts: the repositories of the store as OCI image layouts (image-spec image-layout.md).

A repository is a layout if it has a tag or a record.  layouts/<repository>/ is a directory, and may
hold others; in it lies what a layout has beside tags:

    .layout      index.json as it was written last (`layoutrecord.py`)
    .put/        content that came through the layout     (`layoutmarks.py`)
    .dropped/    content that was unlinked in it

index.json follows the tags, wherever they are changed (`layoutindex.py`).  What a tool writes is
merged with what others wrote since it read (oci/layoutmerge.py), and sets and removes tags.

Changes of records and of their tags are made under `Access.naming`: among all processes one follows
the other, so that none is lost, and `index` shows the state before or after it.  The record comes
before the tags, new tags before the removal of others.  A crash in between leaves each tag old or
new, with what was said of it, and index.json in line with the tags; writing it again completes it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from rossfs.errors import Conflict, Damaged, IndexTooLong, InvalidDocument, RepositoryNotFound
from rossfs.oci.digest import Digest
from rossfs.oci.document import parse_document
from rossfs.oci.layoutmerge import Merged, descriptors_of, merge, name_of
from rossfs.oci.quotation import quote
from rossfs.oci.reference import check_repository, check_repository_prefix
from rossfs.oci.schema import MAX_DESCRIPTORS
from rossfs.store import (
    areas,
    arrivals,
    durable,
    layoutindex,
    layoutlisting,
    layoutmarks,
    layoutneeds,
    layoutrecord,
    layoutreport,
    quarantine,
)
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.layoutmarks import Kind
from rossfs.store.layoutrecord import Record, Records
from rossfs.store.layouttexts import Text, Texts
from rossfs.store.paths import Area
from rossfs.store.tags import Tags
from rossfs.store.tagtree import TagTree, is_prefix, is_tag

_log = logging.getLogger("rossfs.store")


class Layouts:
    """The layouts of one store.  Thread safe.

    Everything here does I/O.  `replace`, and `index` after a change, read each tag of the
    repository, which takes some 20 microseconds for one, and `listing` the manifests.
    """

    __slots__ = ("_access", "_contents", "_paths", "_records", "_tags", "_texts", "_tree")

    def __init__(self, access: Access, contents: Contents, tags: Tags) -> None:
        self._access = access
        self._paths = access.paths
        self._contents = contents
        self._tags = tags
        self._tree = TagTree(access.paths)
        self._records = Records(access.paths)
        self._texts = Texts(access.paths)

    # Directories

    def directories(self, prefix: str = "") -> Iterator[str]:
        """The names of the directories below *prefix*, of layouts/ and of tags/, each once, in no
        order; "" is the top.  RepositoryNotFound at once."""
        if not self.is_directory(prefix):
            raise RepositoryNotFound(f"no repository {quote(prefix)}")
        return self._directories(prefix)

    def is_directory(self, path: str) -> bool:
        """Whether *path* is a repository, or the first components of one; "" is."""
        return not path or (
            is_prefix(path) and (self._tags.is_repository(path) or self._is_own(path))
        )

    def is_layout(self, repository: str) -> bool:
        """Whether *repository* has a tag or a record: a mere directory is no layout."""
        if not is_prefix(repository) or not repository:
            return False
        return layoutrecord.exists(self._paths, repository) or self._has_tags(repository)

    def make_directory(self, path: str) -> None:
        """Make a directory that is no layout yet, and those above it.

        InvalidReference; Conflict if it is there, TagConflict where a tag is.
        """
        check_repository_prefix(path)
        with self._access.naming():
            self._tree.make_way(path)
            if self.is_directory(path):
                raise Conflict(f"there is a repository {path} already")
            durable.make_directory(self._paths.layout(path), "layout directory")

    def remove_directory(self, path: str) -> None:
        """Remove a directory; also a layout without descriptors through which nothing came.

        InvalidReference, RepositoryNotFound; OSError ENOTEMPTY if there is a tag, a descriptor,
        content that was put and not dropped, or a directory in it.
        """
        check_repository_prefix(path)
        with self._access.naming():
            if not self.is_directory(path):
                raise RepositoryNotFound(f"no repository {path}")
            if not self._is_empty(path):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
            if self._is_own(path):
                layoutrecord.remove(self._paths, path)
                layoutmarks.remove_all(self._paths, path)
                durable.remove_directory(self._paths.layout(path), "layout directory")
            if self._tags.is_repository(path):
                durable.remove_directory(self._paths.repository(path), "repository")

    def create(self, repository: str) -> None:
        """Make *repository* an empty layout, if it is none.  InvalidReference, TagConflict."""
        check_repository(repository)
        with self._access.naming():
            if self.is_layout(repository):
                return
            self._tree.make_way(repository)
            text = layoutindex.text_of(layoutindex.empty())
            layoutrecord.write(self._paths, repository, text, [])

    def modified_ns(self, repository: str) -> int:
        """When index.json changed last, in nanoseconds since 1970; 0 if there is nothing.

        Looks at the status of every tag.  It never goes back while nobody sets clocks; two changes
        in one tick of the kernel's clock (4 ms) may have one time.
        """
        newest = layoutrecord.modified_ns(self._paths, repository)
        directories = [self._paths.repository(repository)]
        if not newest:
            directories.append(self._paths.layout(repository))
        for directory in directories:
            try:
                newest = max(newest, os.lstat(directory).st_mtime_ns)
            except (FileNotFoundError, NotADirectoryError):
                continue
        for entry in areas.scan(self._paths.repository(repository)):
            if is_tag(entry.name) and entry.is_file(follow_symlinks=False):
                try:
                    newest = max(newest, entry.stat(follow_symlinks=False).st_mtime_ns)
                except FileNotFoundError:
                    continue
        return newest

    # index.json

    def index(self, repository: str) -> tuple[bytes, str]:
        """The text of index.json now, and the hexadecimal SHA-256 of it, which serves as a version.

        The same state gives the same text.  If nothing changed since a tool wrote it, these are its
        own bytes.  RepositoryNotFound if it is no layout; IndexTooLong.
        """
        state = self._texts.state(repository) if is_prefix(repository) else None
        if (kept := self._texts.find(repository, state)) is not None:
            return kept
        record, tags = self._seen(repository)
        if record is None and not tags and not self.is_layout(repository):
            raise RepositoryNotFound(f"no layout {quote(repository)}")
        document, data = self._current(record, tags)
        text = Text(data, Digest.of(data).hex)
        if tags.keys() <= {name_of(each) for each in descriptors_of(document)}:
            # What a tag that is not shown names may be complete at any moment.
            self._texts.keep(repository, state, text)
        return text

    def replace(self, repository: str, base: bytes | None, ours: bytes) -> list[str]:
        """Make *ours* index.json, as far as nobody changed what it changes; set and remove tags.

        *base*: the text that its writer had read; None if there was none, or nobody knows: then
        nothing is removed.  Returns lines for the log, about tags that others changed too (the
        later change wins) and names that can be no tags.

        InvalidDocument, also for a name of a tag that names a blob; MissingContent (EBADMSG) if
        something that is new in it, or a manifest below, is not stored: an index may lack
        manifests, a manifest its foreign layers and its subject.  IndexTooLong, TagConflict,
        Damaged, InvalidReference.  Then nothing is changed.  StoreFull: some of the tags may be.
        """
        check_repository(repository)
        new = layoutindex.parse(ours)
        old = None if base is None else _ancestor(base)
        # One lock from the look at the content to the tags: what is here stays here.
        with self._access.writing():
            # Most of the work is done before others who change tags must wait.
            present, _, merged = self._merged(old, new, *self._seen(repository))
            reached = layoutneeds.require(self._contents, _beyond(merged.document, present))
            with self._access.naming():
                record = self._intact(repository)
                present, text, merged = self._merged(old, new, record, self._tags_of(repository))
                document = merged.document
                late = _beyond(document, present)
                layoutneeds.require(
                    self._contents, [d for d in late if layoutindex.digest_of(d) not in reached]
                )
                if document == new:
                    text = ours
                elif document != present:
                    text = layoutindex.text_of(document)
                lines = [layoutreport.dispute(repository, each) for each in merged.disputes]
                lines += layoutreport.no_tags(repository, present, document)
                self._store(repository, record, present, document, text)
            for digest in reached:
                layoutmarks.remove(self._paths, repository, Kind.DROPPED, digest)
        return lines

    # Content

    def put(self, repository: str, digest: Digest) -> None:
        """Say that *digest* came through this layout: it is listed, and stays for as long as a pin
        of incoming/ would, even if nothing names it.

        It may be said before the content is committed, so that no collection comes in between.
        """
        check_repository(repository)
        with self._access.writing():
            layoutmarks.remove(self._paths, repository, Kind.DROPPED, digest)
            layoutmarks.make(self._paths, repository, Kind.PUT, digest)
            arrivals.note(self._paths, digest)

    def drop(self, repository: str, digest: Digest) -> None:
        """Leave *digest* out of the listing, until it is put again or a new manifest needs it; the
        content stays until nothing needs it and garbage is collected."""
        check_repository(repository)
        with self._access.writing():
            layoutmarks.remove(self._paths, repository, Kind.PUT, digest)
            if areas.stored_size(self._paths, digest) is not None:
                layoutmarks.make(self._paths, repository, Kind.DROPPED, digest)

    def listing(self, repository: str) -> Iterator[Digest]:
        """What blobs/ of this layout lists, each once, in no order: what index.json reaches and
        what was put, as far as it is stored, without what was dropped.

        33 bytes of memory for each.  RepositoryNotFound, IndexTooLong at once.
        """
        text, _ = self.index(repository)
        document = parse_document(text, "index.json")
        named = map(layoutindex.digest_of, descriptors_of(document))
        return layoutlisting.listing(self._paths, repository, named)

    # Inside

    def _directories(self, prefix: str) -> Iterator[str]:
        above = f"{prefix}/" if prefix else ""
        if self._tags.is_repository(prefix):
            for found in self._tags.entries(prefix):
                if found.is_repository:
                    yield found.name
        for entry in areas.scan(self._paths.layout(prefix)):
            path = above + entry.name
            if (
                entry.is_dir(follow_symlinks=False)
                and is_prefix(path)
                and not self._tags.is_repository(path)
            ):
                yield entry.name

    def _is_own(self, path: str) -> bool:
        """Whether *path* is a directory of layouts/, by no link."""
        while path:
            try:
                if not stat.S_ISDIR(os.lstat(self._paths.layout(path)).st_mode):
                    return False
            except (FileNotFoundError, NotADirectoryError):
                return False
            path, _, _ = path.rpartition("/")
        return True

    def _has_tags(self, repository: str) -> bool:
        if not self._tags.is_repository(repository):
            return False
        return any(not entry.is_repository for entry in self._tags.entries(repository))

    def _is_empty(self, path: str) -> bool:
        own = (layoutrecord.NAME, *Kind)
        if any(entry.name not in own for entry in areas.scan(self._paths.layout(path))):
            return False
        if any(True for _ in areas.scan(self._paths.repository(path))):
            return False
        if any(True for _ in layoutmarks.marks(self._paths, path, Kind.PUT)):
            return False
        record = layoutrecord.read(self._paths, path)
        return not descriptors_of(self._current(record, {})[0])

    def _seen(self, repository: str) -> tuple[Record | None, dict[str, Digest]]:
        """The record and the tags at one moment.  A record that cannot be read is none, with a line
        in the log."""
        if not is_prefix(repository) or not repository:
            return None, {}
        # Only names are read in here: whoever looks must not wait for the store lock.
        with self._access.looking():
            tags = self._tags_of(repository)
            try:
                return self._records.read(repository), tags
            except Damaged as error:
                self._tree.warn(str(error))
                return None, tags

    def _intact(self, repository: str) -> Record | None:
        """The record; one that cannot be read is moved aside.  Requires `Access.naming`."""
        try:
            return self._records.read(repository)
        except Damaged as error:
            _log.warning("%s", error)
            path = layoutrecord.path_of(self._paths, repository)
            quarantine.take_file(self._paths, path, "layout", repository)
            return None

    def _current(
        self, record: Record | None, tags: Mapping[str, Digest]
    ) -> tuple[dict[str, Any], bytes]:
        return layoutindex.current(record, tags, self._describe, self._is_stored)

    def _tags_of(self, repository: str) -> dict[str, Digest]:
        found: dict[str, Digest] = {}
        if self._tags.is_repository(repository):
            for info in self._tags.list(repository):
                found[info.tag] = info.digest
                if len(found) > MAX_DESCRIPTORS:
                    raise IndexTooLong(
                        f"{repository} has more than {MAX_DESCRIPTORS} tags: use tags/ instead"
                    )
        return found

    def _describe(self, digest: Digest) -> tuple[str, int] | None:
        content = self._contents.settle(digest)
        if content is None or content.area is Area.BLOBS:
            return None
        return content.media_type, content.size

    def _is_stored(self, digest: Digest) -> bool:
        return areas.stored_size(self._paths, digest) is not None

    def _merged(
        self,
        old: dict[str, Any] | None,
        new: dict[str, Any],
        record: Record | None,
        tags: Mapping[str, Digest],
    ) -> tuple[dict[str, Any], bytes, Merged]:
        """The index as it is, its text, and what it becomes."""
        present, text = self._current(record, tags)
        if record is None and not tags:
            # Nothing to merge with, whatever the writer took for empty.
            present, old = {}, None
        return present, text, merge(old, present, new)

    def _store(
        self,
        repository: str,
        record: Record | None,
        present: Mapping[str, Any],
        document: Mapping[str, Any],
        text: bytes,
    ) -> None:
        """Make *document* the index where *present* was.  Requires `Access.naming`."""
        was, wanted = layoutindex.tags_of(present), layoutindex.tags_of(document)
        named = {tag: digest for tag, digest in wanted.items() if was.get(tag) != digest}
        for tag, digest in named.items():
            if self._describe(digest) is None:
                raise InvalidDocument(
                    f"index.json gives the name {tag} to {digest}, which is no manifest"
                )
        gone = [tag for tag in was if tag not in wanted]
        if record is not None and record.text == text and not (named or gone):
            return
        self._tags.require_free(repository, named)
        before = [each for each in descriptors_of(present) if name_of(each) in {*named, *gone}]
        layoutrecord.write(self._paths, repository, text, before)
        arrivals.note(self._paths, *map(layoutindex.digest_of, descriptors_of(document)))
        self._tags.change(repository, named, gone)


def _beyond(document: Mapping[str, Any], present: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The descriptors of *document* of which *present* has no content, or of another size."""
    known = {(each["digest"], each["size"]) for each in descriptors_of(present)}
    return [d for d in descriptors_of(document) if (d["digest"], d["size"]) not in known]


def _ancestor(text: bytes) -> dict[str, Any] | None:
    """What the writer had read; None if that was no index."""
    with contextlib.suppress(InvalidDocument):
        return layoutindex.parse(text)
    return None
