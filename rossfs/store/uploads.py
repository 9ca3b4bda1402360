"""Records of what was accepted and is not carried out yet: incoming/.tmp/<uuid>.commit.

Whoever closes a file of incoming/ is told that it will be content before it is: the last writer may
still be open elsewhere.  What was promised is on disk, so the next opening of the store keeps the
promise if this process dies (`commit.py`).

A record is msgpack: {"name", "data": bytes, paths below incoming/, "algorithm", "hash", "size",
"media_type", "needs": [[algorithm, hash], ...]}.  *needs* is what a manifest refers to: no
collection can find that out while the manifest itself is not in its place.

Each record is locked with flock by the process that made it, for as long as that lives; a record
that nobody locks is one to carry out.  Beside the records lie the temporary files of all writers,
locked likewise by those who take longer than one change.  A record is written or removed whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import msgpack

from rossfs.errors import InvalidDigest
from rossfs.oci.digest import Digest
from rossfs.store import durable, smallfile
from rossfs.store.access import Access
from rossfs.store.filing import Stored, area_of
from rossfs.store.paths import Paths

SUFFIX = ".commit"

# 4 MiB of manifest name at most some 60,000 digests.
_LIMIT = 16 << 20

_WHAT = "commit record"


class Record(NamedTuple):
    """What is to be carried out: *data* becomes the content *stored*, *name* a link to it."""

    name: bytes
    """Path below incoming/."""
    data: bytes
    """Path of the written file, below incoming/."""
    stored: Stored
    needs: Sequence[Digest] = ()
    """What must not be collected meanwhile, beside the content itself."""

    def pack(self) -> bytes:
        """The bytes of the record file."""
        stored = self.stored
        packed: bytes = msgpack.packb(
            {
                "name": self.name,
                "data": self.data,
                "algorithm": stored.digest.algorithm,
                "hash": stored.digest.raw,
                "size": stored.size,
                "media_type": stored.media_type,
                "needs": [[digest.algorithm, digest.raw] for digest in self.needs],
            }
        )
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read the bytes of a record file; ValueError for what is none."""
        try:
            fields: Any = msgpack.unpackb(data, raw=False)
            stored = Stored(
                Digest.from_raw(fields["algorithm"], fields["hash"]),
                fields["size"],
                fields["media_type"],
                area_of(fields["media_type"]),
            )
            needs = tuple(Digest.from_raw(*need) for need in fields["needs"])
            name, written = fields["name"], fields["data"]
        except (KeyError, TypeError, AttributeError, InvalidDigest) as error:
            raise ValueError(f"no commit record: {error!r}") from error
        if not (_is_below(name) and _is_below(written) and type(stored.size) is int):
            raise ValueError("no commit record: a field is of the wrong kind")
        return cls(name, written, stored, needs)


class Promise:
    """A record that this process holds."""

    __slots__ = ("_fd", "_path", "record")

    def __init__(self, fd: int, path: str, record: Record) -> None:
        self._fd = fd
        self._path = path
        self.record = record

    @classmethod
    def make(cls, access: Access, record: Record) -> Self:
        """Write *record*: from now on it will be carried out.  Requires `Access.writing`."""
        scratch = access.paths.scratch
        fd, temporary = durable.create(scratch)
        try:
            # Before it has its name, so that nobody ever finds it unlocked.
            fcntl.flock(fd, fcntl.LOCK_EX)
            durable.write_all(fd, record.pack(), temporary)
            durable.step(f"{_WHAT}: written")
            durable.sync(fd, _WHAT, temporary)
            durable.publish(temporary, temporary + SUFFIX, _WHAT)
        except BaseException:
            # Whoever is told that nothing was promised must not find it carried out.
            durable.discard(temporary + SUFFIX)
            durable.discard(temporary)
            os.close(fd)
            raise
        return cls(fd, temporary + SUFFIX, record)

    def moved(self, access: Access, record: Record) -> Promise:
        """Put *record* in the place of this one, which is over; return the new promise.

        Requires `Access.writing`.  A crash leaves either or both, which amount to one content with
        one or two names.
        """
        new = type(self).make(access, record)
        self.withdraw()
        return new

    def kept(self) -> None:
        """It was carried out: remove the record."""
        durable.remove(self._path, _WHAT)
        self._close()

    def withdraw(self) -> None:
        """It is not to be carried out.  A power cut may bring the record back, but not the bytes
        that it was about: those are hashed again then."""
        durable.discard(self._path)
        self._close()

    def abandon(self) -> None:
        """Leave it to the next opening of the store."""
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: str) -> Record:
    """Read the record file *path*.  OSError; ValueError for what is no record."""
    return Record.unpack(smallfile.read(path, _LIMIT))


def records(paths: Paths) -> Iterator[Record]:
    """All records, whoever holds them.  What cannot be read is passed over."""
    for path in _paths(paths):
        with contextlib.suppress(OSError, ValueError):
            yield read(path)


def orphans(paths: Paths) -> Iterator[Promise]:
    """The records whose process is dead, each locked now."""
    for path in _paths(paths):
        with contextlib.suppress(OSError, ValueError):
            fd = _take(path)
            if fd < 0:
                continue
            try:
                record = read(path)
            except BaseException:
                os.close(fd)
                raise
            yield Promise(fd, path, record)


def leftovers(paths: Paths) -> Iterator[str]:
    """The files of the scratch directory that no living process uses and no record is about.

    Requires `Access.sweeping`, since those who hold the store lock do not lock each temporary file.
    Each is locked until the next is asked for: whoever removes it then cannot hit its next owner.
    """
    promised = {os.fsdecode(record.data) for record in records(paths)}
    for name in _names(paths):
        path = f"{paths.scratch}/{name}"
        if name.endswith(SUFFIX) or f".tmp/{name}" in promised:
            continue
        with contextlib.suppress(OSError):
            if os.path.islink(path):
                # A pin on its way: whoever makes one holds the store lock.
                yield path
                continue
            fd = _take(path)
            if fd >= 0:
                try:
                    yield path
                finally:
                    os.close(fd)


def tidy(access: Access) -> None:
    """Remove what dead processes left unfinished."""
    with access.sweeping():
        for path in leftovers(access.paths):
            durable.discard(path)


def _take(path: str) -> int:
    """Open and lock the file *path*; -1 if somebody holds it."""
    fd, status = smallfile.open_regular(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its owner may have removed it, or made something else of it, before letting go.
        if os.path.samestat(status, os.lstat(path)):
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return -1


def _names(paths: Paths) -> list[str]:
    try:
        return os.listdir(paths.scratch)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _paths(paths: Paths) -> Iterator[str]:
    for name in _names(paths):
        if name.endswith(SUFFIX):
            yield f"{paths.scratch}/{name}"


def _is_below(path: object) -> bool:
    """Whether a path of a record stays below incoming/: anybody may have written the file."""
    if type(path) is not bytes or b"\0" in path:
        return False
    return all(part not in (b"", b".", b"..") for part in path.split(b"/"))
