"""Putting hashed bytes in their place: the end of every commit.

Order: the content, its .meta.  An index goes to manifests/, where Ross looks, and is then linked in
indexes/: in between it counts as an index too.
Committing what is stored already only makes it young again, so that the grace period of a
collection counts from now; if the stored bytes are not known to be right, the new ones replace
them.

A crash leaves content without .meta, which `contents.py` mends, or an index without its links.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from typing import NamedTuple

from rossfs.errors import InvalidDocument, MissingContent
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import OCTET_STREAM, Kind, is_foreign, kind_of
from rossfs.oci.quotation import first_of
from rossfs.oci.recognise import parse_as
from rossfs.store import arrivals, durable, meta, smallfile
from rossfs.store.content import Content, Unproven, seal
from rossfs.store.contents import Contents
from rossfs.store.meta import Meta
from rossfs.store.paths import META, Area
from rossfs.store.sniffing import DOCUMENT_LIMIT


class Stored(NamedTuple):
    """What was stored, or is about to be."""

    digest: Digest
    size: int
    media_type: str
    area: Area


def area_of(media_type: str) -> Area:
    """Where content of *media_type* is filed."""
    kind = kind_of(media_type)
    if kind is Kind.MANIFEST:
        return Area.MANIFESTS
    return Area.INDEXES if kind is Kind.INDEX else Area.BLOBS


def require_document(contents: Contents, data: bytes, media_type: str, digest: Digest) -> None:
    """Return if *data* may be filed as the manifest or index that *media_type* says.

    InvalidDocument if it is none, MissingContent if it is a manifest whose config or layers are not
    stored.  Foreign layers may be missing, and so may a subject (image-spec manifest.md); an index
    may lack any of its manifests.
    """
    if len(data) > DOCUMENT_LIMIT:
        raise InvalidDocument(f"{digest} is too long for a manifest: {len(data)} bytes")
    document = parse_as(data, media_type)
    if not isinstance(document, Manifest):
        return
    needed = {
        needed.digest: None for needed in document.references() if not is_foreign(needed.media_type)
    }
    missing = [str(needed) for needed in needed if contents.settle(needed) is None]
    if missing:
        raise MissingContent(
            f"manifest {digest} needs what is not in the store: {first_of(missing)}"
        )


def refresh(contents: Contents, stored: Stored) -> bool:
    """Make content that is stored already, and known to be right, young again; False if it must be
    filed.  Either way a collection that runs is told.

    Requires `Access.writing`.
    """
    arrivals.note(contents.access.paths, stored.digest)
    try:
        found = contents.find_in(stored.area, stored.digest)
    except Unproven:
        return False
    if found is None or not found.proven or contents.verifier.needs_check(found):
        return False
    if stored.area is Area.INDEXES and not _is_linked(contents, found):
        return False
    try:
        durable.touch(found.path, seal(stored.digest, int(time.time())))
    except PermissionError:
        # Another user's file: times can be set by its owner only, but it can be replaced.
        return False
    if _says_less(found.media_type, stored):
        _write_meta(contents, stored, found.path, found.created_at)
    return True


def file_away(contents: Contents, source: str, stored: Stored) -> None:
    """Make the synced and sealed file *source* the content of *stored*.  *source* is gone
    afterwards.

    Requires `Access.writing`.
    """
    if refresh(contents, stored):
        durable.discard(source)
        return
    place = Area.MANIFESTS if stored.area is Area.INDEXES else stored.area
    target = contents.access.paths.content(place, stored.digest)
    durable.publish(source, target, stored.area.noun)
    known = _known(target)
    if known is None or known.size != stored.size:
        _write_meta(contents, stored, target, int(time.time()))
    elif _says_less(known.media_type, stored):
        _write_meta(contents, stored, target, known.created_at)
    if stored.area is Area.INDEXES:
        link_index(contents, stored.digest, Area.MANIFESTS, Area.INDEXES)


def link_index(contents: Contents, digest: Digest, there: Area, here: Area) -> None:
    """Make the index *digest* and its .meta, which lie in the area *there*, appear *here* too.

    Requires `Access.writing`.  Where the file system has no hard links, a copy is made.
    """
    paths = contents.access.paths
    source = paths.content(there, digest)
    target = paths.content(here, digest)
    for suffix, what in (("", "index link"), (META, "index link meta")):
        try:
            _link(source + suffix, target + suffix, paths.scratch, what)
        except OSError:
            data = smallfile.read(source + suffix, DOCUMENT_LIMIT)
            durable.replace_file(target + suffix, data, paths.scratch, what)


def _link(source: str, target: str, scratch: str, what: str) -> None:
    if durable.link(source, target, what) or os.path.samefile(source, target):
        return
    # Something else is there: Ross's own copy, or a damaged one.
    temporary = f"{scratch}/{uuid.uuid4().hex}"
    durable.link(source, temporary, what)
    try:
        durable.publish(temporary, target, what)
    finally:
        # rename(2) of two names of one file does nothing: another process linked it meanwhile.
        durable.discard(temporary)


def _is_linked(contents: Contents, found: Content) -> bool:
    """Whether an index lies in indexes/ and, with its .meta, in manifests/."""
    paths = contents.access.paths
    linked = paths.content(Area.MANIFESTS, found.digest)
    try:
        return (
            found.path == paths.content(Area.INDEXES, found.digest)
            and os.lstat(linked).st_ino == found.inode
            and os.path.lexists(linked + META)
        )
    except FileNotFoundError:
        return False


def _known(path: str) -> Meta | None:
    """What the .meta beside *path* says, if it can be read."""
    with contextlib.suppress(OSError, meta.InvalidMeta):
        return meta.parse(smallfile.read(path + META, meta.LIMIT))
    return None


def _says_less(media_type: str, stored: Stored) -> bool:
    """Whether *media_type*, which a .meta says, should give way to that of *stored*."""
    if stored.area is not Area.BLOBS:
        return area_of(media_type) is not stored.area
    return media_type == OCTET_STREAM != stored.media_type


def _write_meta(contents: Contents, stored: Stored, path: str, created_at: int) -> None:
    now = int(time.time())
    data = meta.encode(stored.area, Meta(stored.media_type, stored.size, created_at, now))
    scratch = contents.access.paths.scratch
    durable.replace_file(path + META, data, scratch, f"{stored.area.noun} meta")
