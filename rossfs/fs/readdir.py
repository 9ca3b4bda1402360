"""Open directories, and the filling of a READDIRPLUS reply.

A listing is a snapshot, taken when its first entry is asked for and again at rewinddir(3).  The
offset is the position in the snapshot: 0 is ".", 1 is "..", 2 the first name; so an entry keeps its
offset whatever is made or removed meanwhile (readdir(3) asks for no more).

Each entry carries all attributes, so that `ls -l` needs no further request, and counts as a lookup;
entries without a node count nothing.
"""

from __future__ import annotations

import errno
import logging
import stat

from pyfuse3 import EntryAttributes, FUSEError, ReaddirToken, readdir_reply

from rossfs.errors import RossfsError
from rossfs.fs.attributes import SECTOR, NamesOnly
from rossfs.fs.inodes import Inodes
from rossfs.tree.node import FOREVER, Directory, Entry, Listing, Rows, Unsettled
from rossfs.tree.numbers import TREE_SHIFT

log = logging.getLogger("rossfs.fs")

S_IFMT = 0o170000
S_IFLNK = stat.S_IFLNK
"""Masks of st_mode (inode(7))."""

DOTS = 2
"""Entries before the first name: "." and ".."."""


class OpenDirectory:
    """A directory that somebody opened, and its snapshot once one was taken."""

    __slots__ = ("directory", "listing")

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.listing: Listing | Rows | None = None


class Readdir:
    """Fills replies from snapshots and counts what it tells the kernel; *umask* as in
    Attributes."""

    __slots__ = ("_dot", "_inodes", "_kept", "_names_only", "_row")

    def __init__(self, inodes: Inodes, names_only: NamesOnly | None, umask: int = 0) -> None:
        self._inodes = inodes
        self._names_only = names_only
        self._kept = ~(umask & 0o777)
        # One is enough for all: it is copied into the reply at once.
        self._dot = EntryAttributes()
        self._dot.st_mode = stat.S_IFDIR
        self._row = EntryAttributes()
        self._row.entry_timeout = self._row.attr_timeout = FOREVER

    def fill(self, opened: OpenDirectory, start: int, token: ReaddirToken) -> None:
        """Add entries from offset *start* until the reply is full or the snapshot, which must be
        there, ends."""
        if start < 0:
            raise FUSEError(errno.EINVAL)
        directory = opened.directory
        parent = directory.ino
        if start < DOTS and not self._dots(directory, start, token):
            return
        listing = opened.listing
        if isinstance(listing, Rows):
            self._fill_rows(listing, max(start - DOTS, 0), token)
            return
        listing = listing or ()
        inodes = self._inodes
        names_only = self._names_only
        # What is in the reply is counted, so from here on nothing may raise.
        for index in range(max(start - DOTS, 0), len(listing)):
            entry = None
            try:
                entry = listing[index]
                if entry is None:
                    continue  # gone since the snapshot
                node = entry.node
                if node is not None:
                    answer = inodes.answer(node)
                elif names_only is not None:
                    answer = names_only(entry)
                else:
                    node = directory.lookup(entry.name)
                    if node is None:
                        continue
                    answer = inodes.answer(node)
            except Exception as error:
                named = self._without_node(entry, error)
                if named is None or names_only is None:
                    continue
                entry, node, answer = named, None, names_only(named)
            if not readdir_reply(token, entry.name, answer, index + DOTS + 1):
                return
            if node is not None:
                inodes.count(node, parent)

    def _fill_rows(self, listing: Rows, index: int, token: ReaddirToken) -> None:
        lookups = self._inodes.lookups
        kept = self._kept
        answer = self._row
        offset = index + DOTS
        time_ns = None
        for name, ino, mode, size, nlink, uid, gid, rdev, mtime_ns in listing.rows(index):
            offset += 1
            answer.st_ino = ino
            answer.st_mode = mode if mode & S_IFMT == S_IFLNK else mode & kept
            answer.st_size = size
            answer.st_blocks = (size + SECTOR - 1) // SECTOR
            answer.st_nlink = nlink
            answer.st_uid = uid
            answer.st_gid = gid
            answer.st_rdev = rdev
            if mtime_ns != time_ns:  # a third of all the rest, and often the same
                time_ns = mtime_ns
                answer.st_mtime_ns = answer.st_ctime_ns = answer.st_atime_ns = mtime_ns
            if not readdir_reply(token, name, answer, offset):
                return
            lookups[ino >> TREE_SHIFT] += 1

    def _dots(self, directory: Directory, start: int, token: ReaddirToken) -> bool:
        """Add "." and ".."; whether there may be room for more."""
        names = ((b".", directory.ino), (b"..", self._inodes.above(directory)))
        entry = self._dot
        for offset in range(start, DOTS):
            name, entry.st_ino = names[offset]
            if not readdir_reply(token, name, entry, offset + 1):
                return False
        return True

    @staticmethod
    def _without_node(entry: Entry | None, error: Exception) -> Entry | None:
        """The entry to show although its node answers *error*, so that one bad entry does not hide
        the others: lstat(2) of the name will say what is wrong."""
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        if not isinstance(error, (OSError, RossfsError, Unsettled)):
            log.error("readdir: unforeseen error for %r", entry, exc_info=error)
        if entry is None:
            return None
        return entry._replace(node=None, kind=0)  # DT_UNKNOWN
