"""Directories whose names are digests: blobs/, manifests/, indexes/, images/.

    <place>/sha256/<hex>      always
    <place>/sha512/<hex>      where content is filed under sha512

A name is the digest in lower-case hexadecimal and means the same content for ever; all that can
happen is that it comes or goes.  So what was found is remembered here and by the kernel until it is
removed, through this directory or (says the watcher) by another process; that it is absent is
never remembered.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import trio

from rossfs.errors import Referenced
from rossfs.oci.digest import HEX_LENGTHS, Digest, is_hex_name
from rossfs.store.content import Unproven
from rossfs.tree.digestlisting import DigestListing, scan
from rossfs.tree.node import (
    FOREVER,
    Attr,
    Caller,
    Directory,
    Entries,
    Entry,
    Listing,
    Node,
    Unsettled,
    read_only,
)
from rossfs.tree.snapshots import COMPLETE, Absences, Commits, Snapshots, is_small

_REMEMBERED = 4096
"""Entries kept so that a name that the kernel asks for again costs no system call."""

_USUAL = b"sha256"

_log = logging.getLogger("rossfs.tree")


class Source(NamedTuple):
    """What one directory of digests shows."""

    algorithm: str
    find: Callable[[Digest], Node | None]
    """The node of a digest, or None; raises Unproven if `settle` has to tell.  A few system calls,
    in any thread."""
    settle: Callable[[Digest], object]
    """Hash content without .meta; after that `find` answers.  For a worker thread."""
    directories: Sequence[str]
    """Of the disk: what they hold is shown; a removal there is a removal here."""
    without: Sequence[str] = ()
    """Of the disk: what they hold is not listed."""
    mixed: bool = False
    """The directories also hold what `find` does not show here."""
    kind: int = stat.S_IFREG
    """Type of the nodes, as in st_mode."""


class DigestDirectory(Directory):
    """The content that *source* finds, by the hexadecimal part of its digest.

    *remove* deletes content that nothing refers to, in a worker thread, and answers whether it was
    there; None: nothing can be deleted here.
    """

    __slots__ = (
        "_absences",
        "_commits",
        "_known",
        "_pending",
        "_remove",
        "_snapshots",
        "_source",
    )

    ttl: ClassVar[float] = 1.0  # the modification time is that of the directory on disk
    replaces: ClassVar[bool] = False

    def __init__(
        self,
        ino: int,
        source: Source,
        commits: Commits,
        remove: Callable[[Digest], bool] | None = None,
    ) -> None:
        super().__init__(ino)
        self._absences = Absences(commits)
        self._commits = commits
        self._source = source
        self._remove = remove
        self._known: dict[bytes, Entry] = {}
        self._pending: set[Digest] = set()
        self._snapshots = Snapshots()

    def attr(self) -> Attr:
        try:
            modified_ns = os.stat(self._source.directories[0]).st_mtime_ns
        except OSError:
            modified_ns = 0
        return Attr.dated(stat.S_IFDIR | (0o555 if self._remove is None else 0o755), modified_ns)

    def exists(self) -> bool:
        """Whether any of its directories is on disk."""
        return any(map(os.path.isdir, self._source.directories))

    def lookup(self, name: bytes) -> Node | None:
        known = self._known.get(name)
        if known is not None:
            return known.node
        if not is_hex_name(name, self._source.algorithm):
            return None
        digest = Digest(self._source.algorithm, name.decode())
        try:
            found = self._find(name, digest)
        except Unproven:
            self._pending.add(digest)
            raise Unsettled from None
        if found is not None:
            return found.node
        if not self._absences.is_final(name):
            raise Unsettled
        return None

    def _find(self, name: bytes, digest: Digest) -> Entry | None:
        node = self._source.find(digest)
        if node is None:
            return None
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        entry = self._known[name] = Entry(name, node, self._source.kind)
        return entry

    def entries(self) -> Listing:
        """A snapshot; that of a large directory is made by `settle`, in a worker thread."""
        listing = self._snapshots.take()
        if listing is not None:
            return listing
        if self._commits.settled() and is_small(self._source.directories):
            with contextlib.suppress(Unproven):
                return self._snapshot(self._source.find)
        self._snapshots.want()
        raise Unsettled

    async def settle(self) -> None:
        """Hash what lookups met without .meta, wait for commits under way, make a listing."""
        for digest in tuple(self._pending):
            try:
                await trio.to_thread.run_sync(self._source.settle, digest, abandon_on_cancel=True)
            finally:
                self._pending.discard(digest)
        await self._absences.settle()
        if self._snapshots.wanted:
            await self._commits.settle()
            await self._snapshots.make(lambda: self._snapshot(self._find_settled))

    def _find_settled(self, digest: Digest) -> Node | None:
        """As the source's `find`, whatever it takes."""
        try:
            return self._source.find(digest)
        except Unproven:
            self._source.settle(digest)
        try:
            return self._source.find(digest)
        except Unproven:  # somebody is writing it at this moment
            return None

    def _snapshot(self, find: Callable[[Digest], Node | None]) -> Listing:
        """A listing as of now.  Touches nothing of this object that changes: runs in any thread."""
        source = self._source
        raw, bare = scan(source.directories, source.algorithm, source.without)
        if source.mixed or bare:
            width = HEX_LENGTHS[source.algorithm] // 2
            hashes = (raw[start : start + width] for start in range(0, len(raw), width))
            raw = b"".join(
                one
                for one in hashes
                if not (source.mixed or one in bare)
                or find(Digest(source.algorithm, one.hex())) is not None
            )
        complete = len(raw) <= COMPLETE * (HEX_LENGTHS[source.algorithm] // 2)
        return DigestListing(raw, source.algorithm, self.entry if complete else self._name_only)

    def entry(self, name: bytes) -> Entry | None:
        """The entry of the digest *name* in a listing; None if it is gone."""
        entry = self._known.get(name)
        if entry is None:
            try:
                return self._find(name, Digest(self._source.algorithm, name.decode()))
            except Unproven:  # its .meta went, or turned bad, since the snapshot
                return self._name_only(name)
        return entry

    def _name_only(self, name: bytes) -> Entry:
        return Entry(name, None, self._source.kind)

    def watched(self) -> Sequence[str]:
        return self._source.directories

    def shown_as(self, name: bytes) -> Sequence[bytes]:
        return (name,) if is_hex_name(name, self._source.algorithm) else ()

    def changed_by_others(self, name: bytes | None) -> None:
        if name is None:
            self._known.clear()
        else:
            self._known.pop(name, None)

    def forgotten(self) -> None:
        """Nobody tells of changes from now on."""
        self._known.clear()

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Delete content that nothing refers to.

        Referenced (EBUSY) while a manifest, index, tag or pin needs it; the log says which.
        """
        if not is_hex_name(name, self._source.algorithm):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self._remove is None:
            raise read_only()
        digest = Digest(self._source.algorithm, name.decode())
        try:
            if not await trio.to_thread.run_sync(self._remove, digest):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except Referenced as error:
            _log.info("%s", error)
            raise
        finally:
            self._known.pop(name, None)


class ByAlgorithm(Directory):
    """sha256/, and sha512/ where there is one on disk."""

    __slots__ = ("_absences", "_directories", "_modified_ns")

    ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(
        self,
        ino: int,
        directories: Mapping[bytes, DigestDirectory],
        commits: Commits,
        modified_ns: int = 0,
    ) -> None:
        super().__init__(ino)
        self._modified_ns = modified_ns
        self._absences = Absences(commits)
        self._directories = directories

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._modified_ns)

    def lookup(self, name: bytes) -> Node | None:
        directory = self._directories.get(name)
        if directory is None or name == _USUAL or directory.exists():
            return directory
        if not self._absences.is_final(name):
            raise Unsettled
        return None

    async def settle(self) -> None:
        """Wait for commits under way: one of them may be the first of its algorithm."""
        await self._absences.settle()

    def entries(self) -> Listing:
        return Entries(
            Entry(name, directory, stat.S_IFDIR)
            for name, directory in self._directories.items()
            if name == _USUAL or directory.exists()
        )
