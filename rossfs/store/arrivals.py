"""What arrives while a collection runs.

A collection marks without the store lock, which takes long, and removes under it, in batches.
Whatever is committed, tagged or held in between must survive.  So a collection first makes the file
pins/arrivals and keeps it locked with flock; each writer, under the store lock, appends to it what
it commits, tags or holds; and before each batch the collection reads what was appended since the
last.  No clock and no second look at all tags is needed.

One collection runs at a time; others wait for it.  A collection that died leaves the file unlocked:
the next writer removes it.

Records are msgpack, [algorithm, hash].  Those that one call appends are written at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import BinaryIO

import msgpack

from rossfs.errors import Busy, InvalidDigest, StoreFull
from rossfs.oci.digest import Digest
from rossfs.store import durable
from rossfs.store.access import Access
from rossfs.store.paths import Paths

NAME = "arrivals"


def pack(digest: Digest) -> bytes:
    """The record of *digest*."""
    packed: bytes = msgpack.packb([digest.algorithm, digest.raw])
    return packed


def unpack(file: BinaryIO) -> Iterator[Digest]:
    """The digests of the records from where *file* stands; a torn last one is passed over, and the
    file left before it.

    ValueError for what is no record.
    """
    start = file.tell()
    end = start
    unpacker = msgpack.Unpacker(file, raw=False)
    while True:
        try:
            record = unpacker.unpack()
        except msgpack.OutOfData:
            break
        end = start + unpacker.tell()
        try:
            algorithm, raw = record
            digest = Digest.from_raw(algorithm, raw)
        except (TypeError, ValueError, InvalidDigest) as error:
            raise ValueError(f"no digest at byte {end}") from error
        yield digest
    file.seek(end)


def note(paths: Paths, *digests: Digest) -> None:
    """Tell the collection that runs, if one does, that *digests* were committed, tagged or held.

    Requires the store lock (`Access.writing`).
    """
    path = f"{paths.pins}/{NAME}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                durable.write_all(fd, b"".join(map(pack, digests)), path)
            except BaseException:
                # What others append after a torn record cannot be told: that collection must end.
                durable.discard(path)
                raise
        else:
            # Its collection is dead, or has not begun: then it makes another one.  Without links it
            # is gone already, and the name may be that of the next collection's.
            if os.fstat(fd).st_nlink:
                durable.discard(path)
    finally:
        os.close(fd)


class Arrivals:
    """What arrived since the collection began.  Not thread safe."""

    __slots__ = ("_file",)

    def __init__(self, file: BinaryIO | None) -> None:
        """*file*: what writers append to; None where nobody can write meanwhile."""
        self._file = file

    def new(self) -> Iterator[Digest]:
        """The digests that were noted since this was last read to its end.

        Busy if a writer could not note what it did: the collection is to be begun again.
        """
        if self._file is None:
            return
        if not os.fstat(self._file.fileno()).st_nlink:
            raise Busy("a writer had no room to say what it committed: collect garbage again")
        yield from unpack(self._file)


@contextlib.contextmanager
def collecting(access: Access) -> Iterator[Arrivals]:
    """Be the collection that runs: from here on, every writer notes what it does.

    Waits for another collection to end, and for the writers who began without noting.  Where there
    is no room for notes, nobody writes meanwhile: a full disk is what collections are for.
    """
    access.require_writable()
    path = f"{access.paths.pins}/{NAME}"
    try:
        fd = _claim(path)
    except StoreFull:
        with access.sweeping():
            yield Arrivals(None)
        return
    try:
        with open(fd, "rb", closefd=False) as file:
            with access.sweeping():
                pass
            yield Arrivals(file)
    finally:
        # Without links it is gone, and the name may be that of the next collection's.
        if os.fstat(fd).st_nlink:
            durable.discard(path)
        os.close(fd)


def _claim(path: str) -> int:
    """Make the file, or take it over, and lock it."""
    while True:
        with durable.explained(path):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                durable.make_directory(os.path.dirname(path), "pins")
                continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                # Every writer appends to it, whoever owns the process.
                os.fchmod(fd, 0o666)
                os.ftruncate(fd, 0)
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
