"""Content that somebody's container storage uses in place: podman's, through als/ of a mount.

Such a storage has a path into the mount where others have a copy, so the content must stay until
the storage says that it no longer needs it; weeks later, perhaps, and through another mount.  So
each is a record on disk, which counts however many processes there are, none included:

    uses/<algorithm>/<hex>      msgpack: [version, count, algorithm, hash]

The name is the digest that was asked for, the record says which content that is (a layer may be
asked for by the digest of its table of contents) and how often it was said to be in use and not
released since.  A record is replaced whole and goes with the last release.  A crash leaves the
count before or after; a storage that is deleted without a word leaves its counts, which whoever
knows that may release.

A record that cannot be read still keeps the content of its own name, if that is stored.  A repair
(usefaults.py) makes of it one with the count UNKNOWN, which no release lowers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import msgpack

from rossfs.errors import Damaged, InvalidDigest
from rossfs.oci.digest import Digest
from rossfs.store import areas, arrivals, durable, smallfile
from rossfs.store.access import Access
from rossfs.store.paths import ALGORITHMS, Paths

VERSION = 1

_LIMIT = 256
"""Bytes: a record has at most 90."""

UNKNOWN = 1 << 32
"""The count where nobody knows how many uses there are; and the highest, after which that is so."""


class Use(NamedTuple):
    """What one record says."""

    times: int
    content: Digest


class Uses:
    """The records of one store.  Thread safe; several processes may change them at once."""

    __slots__ = ("_access",)

    def __init__(self, access: Access) -> None:
        self._access = access

    def begin(self, asked: Digest, content: Digest) -> int:
        """Note one use more of *content*, which was asked for as *asked*; return how many now.

        It is kept from now on; whether it is stored still, look afterwards.  ReadOnlyStore,
        StoreFull; Damaged if the record cannot be read.
        """
        with self._access.naming():
            known = read(self._access.paths, asked)
            count = min(known.times + 1 if known is not None else 1, UNKNOWN)
            _write(self._access.paths, asked, Use(count, content))
            arrivals.note(self._access.paths, content)
        return count

    def end(self, asked: Digest) -> int:
        """Note one use less; return how many are left, UNKNOWN if that was the count.  Errors as
        `begin`."""
        with self._access.naming():
            known = read(self._access.paths, asked)
            if known is None:
                return 0
            if known.times == UNKNOWN:
                return UNKNOWN
            if known.times > 1:
                _write(self._access.paths, asked, Use(known.times - 1, known.content))
            else:
                durable.remove(path_of(self._access.paths, asked), "use")
            return known.times - 1

    def get(self, asked: Digest) -> Use | None:
        """What is noted of *asked*; None if it is not in use.  Damaged."""
        return read(self._access.paths, asked)

    def asked(self) -> Iterator[Digest]:
        """What is in use, by the digests that were asked for, in no order."""
        for algorithm in ALGORITHMS:
            yield from areas.names(f"{self._access.paths.uses}/{algorithm}", algorithm)

    def contents(self) -> Iterator[Digest]:
        """All content that is in use; some of it several times.  Damaged if that cannot be told."""
        for asked in self.asked():
            content = content_of(self._access.paths, asked)
            if content is not None:
                yield content

    def is_used(self, content: Digest) -> bool:
        """Whether *content* is in use.  Final under `Access.sweeping`."""
        return any(used == content for used in self.contents())


def path_of(paths: Paths, asked: Digest) -> str:
    """The record of *asked*."""
    return f"{paths.uses}/{asked.algorithm}/{asked.hex}"


def read(paths: Paths, asked: Digest) -> Use | None:
    """The record of *asked*; None if there is none.  Damaged."""
    path = path_of(paths, asked)
    try:
        version, count, algorithm, raw = msgpack.unpackb(smallfile.read(path, _LIMIT))
        if version != VERSION or type(count) is not int or not 0 < count <= UNKNOWN:
            raise ValueError("no record of a use")
        return Use(count, Digest.from_raw(algorithm, raw))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, InvalidDigest, msgpack.UnpackException) as error:
        raise Damaged(f"{path} cannot be read: {error}") from error


def is_bad(paths: Paths, asked: Digest) -> bool:
    """Whether there is a record of *asked* that cannot be read."""
    try:
        read(paths, asked)
    except Damaged:
        return True
    return False


def keep(paths: Paths, asked: Digest, content: Digest) -> None:
    """Write a record, over whatever is there, that keeps *content* until somebody removes the
    record.  Requires `Access.naming`."""
    _write(paths, asked, Use(UNKNOWN, content))


def content_of(paths: Paths, asked: Digest) -> Digest | None:
    """Which content *asked* keeps; None if none.  Damaged if that cannot be told."""
    try:
        use = read(paths, asked)
    except Damaged:
        if areas.stored_size(paths, asked) is None:
            raise
        return asked
    return None if use is None else use.content


def _write(paths: Paths, asked: Digest, use: Use) -> None:
    record = [VERSION, use.times, use.content.algorithm, use.content.raw]
    path = path_of(paths, asked)
    durable.make_directory(os.path.dirname(path), "use")
    durable.replace_file(path, msgpack.packb(record), paths.scratch, "use")
