"""The record of a layout: what its index.json has beside tags.

layouts/<repository>/.layout is msgpack, {"version": 1, "index": bytes, "before": bytes}:

    index     the text of index.json as it was written last, names and all
    before    a JSON array: the descriptors that tags had which that writing was to change

A tag may name something else by now, or be gone: `layoutindex.py` brings the text in line with the
tags.  `before` is there for a crash, or a full disk, between the record and the tags: a tag that
has not changed yet is still shown with all that was said of it.

Each change is one rename, under `Access.naming`.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import msgpack

from rossfs.errors import Damaged, InvalidDocument
from rossfs.oci.document import MAX_BYTES, compact, parse_array, parse_document
from rossfs.oci.index import Index
from rossfs.oci.quotation import quote
from rossfs.store import durable, smallfile
from rossfs.store.paths import Paths

NAME = ".layout"
"""No component of a repository begins with a dot."""

VERSION = 1

_LIMIT = 2 * MAX_BYTES + 4096

_KEPT = 1 << 20
"""Bytes of records; parsed they take some ten times as much."""


class Record(NamedTuple):
    """What is kept of a layout."""

    text: bytes
    document: dict[str, Any]
    """*text*, parsed: a valid index."""
    before: tuple[dict[str, Any], ...] = ()


def path_of(paths: Paths, repository: str) -> str:
    """Where the record of *repository* lies."""
    return f"{paths.layout(repository)}/{NAME}"


def exists(paths: Paths, repository: str) -> bool:
    """Whether there is a record, readable or not."""
    return os.path.lexists(path_of(paths, repository))


def read(paths: Paths, repository: str) -> Record | None:
    """The record, or None if there is none.  Damaged, naming it, if it cannot be read."""
    path = path_of(paths, repository)
    data = _load(path)
    return None if data is None else _parse(path, data)


class Records:
    """The records of one store, of which some are kept as they were read.  Thread safe.

    The bytes are read each time, which takes little; parsing them takes a hundred times as long.
    """

    __slots__ = ("_guard", "_kept", "_paths", "_size")

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, tuple[bytes, Record]] = OrderedDict()
        self._size = 0

    def read(self, repository: str) -> Record | None:
        """As the function `read`.  The document is shared: it must not be changed."""
        path = path_of(self._paths, repository)
        data = _load(path)
        if data is None:
            return None
        with self._guard:
            kept = self._kept.get(path)
        if kept is not None and kept[0] == data:
            return kept[1]
        record = _parse(path, data)
        with self._guard:
            previous = self._kept.pop(path, None)
            self._size += len(data) - (0 if previous is None else len(previous[0]))
            self._kept[path] = data, record
            while self._size > _KEPT:
                _, (oldest, _) = self._kept.popitem(last=False)
                self._size -= len(oldest)
        return record


def _load(path: str) -> bytes | None:
    try:
        return smallfile.read(path, _LIMIT)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        if error.errno in (errno.ELOOP, errno.EINVAL, errno.EFBIG):
            raise _damaged(path, error) from error
        raise


def _parse(path: str, data: bytes) -> Record:
    try:
        fields: Any = msgpack.unpackb(data, raw=False)
        version, text, before = fields["version"], fields["index"], fields["before"]
        if version != VERSION:
            raise ValueError(f"it has version {version!r}")
        if not (isinstance(text, bytes) and isinstance(before, bytes)):
            raise TypeError("a text is none")
        document = parse_document(text, "its index")
        Index.from_document(document, None, "its index")
        earlier = parse_array(before, "what was before")
        Index.from_document({"manifests": earlier}, None, "what was before")
    except (ValueError, KeyError, TypeError, msgpack.UnpackException, InvalidDocument) as error:
        raise _damaged(path, error) from error
    return Record(text, document, tuple(earlier))


def write(paths: Paths, repository: str, text: bytes, before: list[dict[str, Any]]) -> None:
    """Make *text*, a valid index, and *before* the record.  Requires `Access.naming`."""
    data = msgpack.packb({"version": VERSION, "index": text, "before": compact(before)})
    durable.replace_file(path_of(paths, repository), data, paths.scratch, "layout")


def remove(paths: Paths, repository: str) -> bool:
    """Remove the record; False if there was none.  Requires `Access.naming`."""
    return durable.remove(path_of(paths, repository), "layout")


def modified_ns(paths: Paths, repository: str) -> int:
    """When the record was written, in nanoseconds since 1970; 0 if there is none."""
    try:
        return os.lstat(path_of(paths, repository)).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _damaged(path: str, error: Exception) -> Damaged:
    return Damaged(f"the record of a layout {quote(path, 400)} cannot be read: {error}")
