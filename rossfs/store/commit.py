"""Carrying out what was accepted: content, then the pin that names it, then no record any more.

Each step may be repeated, so that whoever finds the record after a crash just does all of them
again.  The bytes are hashed again then: a record can outlive, in a power cut, what it was about.

    died                          left behind                  recover
    before the record             an unfinished file           nothing; a collection removes it
    before the content            record, unfinished file      hashes, files, links
    before the link               record, content              links
    before the record was gone    record, content, link        links again

An accepted manifest whose layers vanished all the same (fsck moved them away) stays as it is, with
its record, and recover says so each time.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

from rossfs.errors import Busy, DigestMismatch, RossfsError
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import is_foreign
from rossfs.oci.quotation import quote
from rossfs.oci.recognise import parse_as
from rossfs.store import arrivals, uploads
from rossfs.store.contents import Contents
from rossfs.store.filing import Stored, link_index, require_document
from rossfs.store.incoming import Incoming
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.store.sniffing import read_whole
from rossfs.store.uploads import Promise, Record

if TYPE_CHECKING:
    from rossfs.store.store import Store

_log = logging.getLogger("rossfs.store")


def accept(
    contents: Contents, incoming: Incoming, ingest: Ingest, name: bytes, stored: Stored
) -> Promise:
    """Promise that *ingest*, finished as *stored*, will be content and *name* its pin.

    MissingContent if what a manifest needs was removed since it was finished.
    """
    data = b""
    needs: tuple[Digest, ...] = ()
    if stored.area is not Area.BLOBS:
        data = read_whole(ingest.fileno(), stored.size)
        needs = tuple(
            {
                needed.digest: None
                for needed in parse_as(data, stored.media_type).references()
                if needed.digest.is_stored and not is_foreign(needed.media_type)
            }
        )
    record = Record(name, incoming.name(ingest.path), stored, needs)
    with contents.access.writing():
        # First the collection that runs is told, then it is seen whether all is there.
        arrivals.note(contents.access.paths, stored.digest, *needs)
        promise = Promise.make(contents.access, record)
        try:
            if data:
                require_document(contents, data, stored.media_type, stored.digest)
        except BaseException:
            promise.withdraw()
            raise
    return promise


def carry_out(contents: Contents, incoming: Incoming, ingest: Ingest, promise: Promise) -> None:
    """Do what was promised.  The ingest is closed afterwards.

    After an error the record is still there, for this to be called again or for `recover`.
    """
    with contents.access.writing():
        _store(contents, ingest, promise.record.stored)
        _name(contents, incoming, promise)


def recover(store: Store) -> None:
    """Carry out what dead processes promised.  Takes next to no time where there is nothing."""
    for promise in uploads.orphans(store.access.paths):
        record = promise.record
        try:
            _recover(store.contents, store.incoming, promise)
        except DigestMismatch:
            # It was written to again: not what was promised.
            promise.withdraw()
        except (RossfsError, OSError) as error:
            promise.abandon()
            _log.warning("%s waits to be committed: %s", quote(b"incoming/" + record.name), error)


def _recover(contents: Contents, incoming: Incoming, promise: Promise) -> None:
    record = promise.record
    try:
        ingest = Ingest.adopt(contents, incoming.path(record.data), record.stored.digest.algorithm)
    except Busy:
        promise.abandon()
        return
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL):
            raise
        with contents.access.writing():
            found = contents.settle(record.stored.digest)
            if found is None:
                promise.withdraw()
                return
            if found.area is Area.INDEXES:
                link_index(contents, found.digest, Area.MANIFESTS, Area.INDEXES)
            _name(contents, incoming, promise)
        return
    try:
        carry_out(contents, incoming, ingest, promise)
    finally:
        if not ingest.closed:
            ingest.detach()


def _store(contents: Contents, ingest: Ingest, stored: Stored) -> None:
    """Make the content, or what is missing of it.  Requires `Access.writing`."""
    if ingest.closed:
        return
    try:
        ingest.commit(stored.digest, stored.media_type)
    except FileNotFoundError:
        # An earlier attempt came as far as the content, but not to its .meta.
        if contents.settle(stored.digest) is None:
            raise
        ingest.detach()


def _name(contents: Contents, incoming: Incoming, promise: Promise) -> None:
    """Make the pin and forget the record.  Requires `Access.writing`."""
    record = promise.record
    try:
        incoming.link(record.name, record.stored.digest)
    except (IsADirectoryError, NotADirectoryError) as error:
        # Somebody made a directory of the name, or a file of its directory.  The content is there.
        _log.warning(
            "%s is stored, but %s could not be made its name: %s",
            record.stored.digest,
            quote(b"incoming/" + record.name),
            os.strerror(error.errno or 0),
        )
    promise.kept()
