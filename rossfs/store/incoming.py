"""incoming/ on disk.

    NAME             symbolic link ../blobs/<algorithm>/<hex>, also for manifests and indexes: a pin
    NAME             regular file: it waits, because it is empty, because it is somebody's temporary
                     file, or because it was refused; then user.ross.error says why
    NAME/            directory, with more of the same
    .tmp/            files being written, and the records of `uploads.py`

A pin keeps what it names from being collected until it is removed or too old; its age is that of
the link itself.  Names are bytes, paths below incoming/ without leading slash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

from rossfs.oci.digest import Digest
from rossfs.store import arrivals, durable, uploads
from rossfs.store.access import Access

RESERVED = b".tmp"
"""The name in incoming/ itself that nobody can use."""

ERROR = "user.ross.error"
"""Extended attribute of a waiting file: why it was refused."""

_LINK = re.compile(rb"(?:\.\./)+blobs/(?:(sha256)/([0-9a-f]{64})|(sha512)/([0-9a-f]{128}))")
_REASON_LIMIT = 1000
_WHAT = "incoming"


class Pin(NamedTuple):
    """One link.  *modified_ns* is the age's beginning, in nanoseconds since 1970."""

    name: bytes
    digest: Digest
    modified_ns: int


class Incoming:
    """The names in incoming/ of one store.  Thread safe."""

    __slots__ = ("_access",)

    def __init__(self, access: Access) -> None:
        self._access = access

    def path(self, name: bytes) -> str:
        """Where *name* lies; b"" is incoming/ itself."""
        root = self._access.paths.incoming
        return f"{root}/{os.fsdecode(name)}" if name else root

    def name(self, path: str) -> bytes:
        """The name of a path below incoming/."""
        return os.fsencode(path[len(self._access.paths.incoming) + 1 :])

    # Looking

    def status(self, name: bytes) -> os.stat_result | None:
        """What lstat(2) says, None if it is not there."""
        try:
            return os.lstat(self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def digest(self, name: bytes) -> Digest | None:
        """What the link *name* pins; None if it is no link of that form."""
        try:
            return parse_link(os.readlink(os.fsencode(self.path(name))))
        except OSError:
            return None

    def names(self, directory: bytes) -> list[bytes]:
        """The names in *directory*, in no order; none if it is not there."""
        try:
            found = os.listdir(os.fsencode(self.path(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return found if directory else [name for name in found if name != RESERVED]

    def reason(self, name: bytes) -> bytes | None:
        """Why the waiting file *name* was refused, None if it was not."""
        try:
            return os.getxattr(self.path(name), ERROR, follow_symlinks=False)
        except OSError:
            return None

    def walk(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """All names of what is no directory, in no order, and what lstat(2) says of each."""
        pending = [b""]
        while pending:
            directory = pending.pop()
            for short in self.names(directory):
                name = directory + b"/" + short if directory else short
                status = self.status(name)
                if status is None:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    pending.append(name)
                else:
                    yield name, status

    def pins(self) -> Iterator[Pin]:
        """All pins, in no order."""
        for name, status in self.walk():
            if stat.S_ISLNK(status.st_mode):
                digest = self.digest(name)
                if digest is not None:
                    yield Pin(name, digest, status.st_mtime_ns)

    def pin(self, name: bytes) -> Pin | None:
        """The link *name*; None if it is none."""
        status, digest = self.status(name), self.digest(name)
        if status is None or digest is None:
            return None
        return Pin(name, digest, status.st_mtime_ns)

    def pinned(self, max_age: float) -> Iterator[Digest]:
        """What pins keep that are younger than *max_age* seconds."""
        oldest = time.time_ns() - int(max_age * 1e9)
        for pin in self.pins():
            if pin.modified_ns > oldest:
                yield pin.digest

    def unfinished_digests(self) -> Iterator[Digest]:
        """What accepted files will be and what they need, whatever their age."""
        for record in uploads.records(self._access.paths):
            yield record.stored.digest
            yield from record.needs

    # Changing

    def link(self, name: bytes, digest: Digest) -> None:
        """Make *name* a pin of *digest*, as of now, over what is there; makes its directory too.

        Requires `Access.writing`.
        """
        text = link_text(name, digest)
        arrivals.note(self._access.paths, digest)
        durable.symlink(text, self.path(name), self._access.paths.scratch, f"{_WHAT} link")

    def leave(self, path: str, name: bytes, reason: str | None) -> None:
        """Make the file *path* wait under *name*, over what is there; *reason*: it was refused."""
        if reason is not None:
            self.refuse(path, reason)
        target = self.path(name)
        if path != target:
            durable.publish(path, target, f"{_WHAT} file")

    def refuse(self, path: str, reason: str) -> None:
        """Remember beside the bytes of *path* why they were refused, where attributes can be
        kept."""
        with contextlib.suppress(OSError):
            os.setxattr(path, ERROR, reason.encode("utf-8", "surrogateescape")[:_REASON_LIMIT])

    def forgive(self, path: str) -> None:
        """Forget the reason: other bytes are written to *path*."""
        with contextlib.suppress(OSError):
            os.removexattr(path, ERROR)

    def move(self, name: bytes, target: bytes) -> None:
        """Rename within incoming/, over what is there; a link keeps its age and finds its content
        from the new place.  OSError as rename(2)."""
        digest = self.digest(name)
        if digest is None or name.count(b"/") == target.count(b"/"):
            # Under the lock, a collection that reads all pins meets this one in one place.
            with self._access.writing():
                durable.rename(self.path(name), self.path(target), _WHAT)
            return
        status = os.lstat(self.path(name))
        with self._access.writing():
            self.link(target, digest)
            os.utime(
                self.path(target),
                ns=(status.st_atime_ns, status.st_mtime_ns),
                follow_symlinks=False,
            )
            durable.remove(self.path(name), f"{_WHAT} link")

    def remove(self, name: bytes) -> None:
        """Remove a link or a waiting file.  FileNotFoundError."""
        if not durable.remove(self.path(name), _WHAT):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def make_directory(self, name: bytes) -> None:
        """Make one directory.  FileExistsError, FileNotFoundError for the one above."""
        self._access.require_writable()
        path = self.path(name)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if os.path.dirname(path) != self._access.paths.incoming:
            os.lstat(os.path.dirname(path))
        durable.make_directory(path, f"{_WHAT} directory")

    def remove_directory(self, name: bytes) -> None:
        """Remove an empty directory.  OSError as rmdir(2)."""
        durable.remove_directory(self.path(name), f"{_WHAT} directory")


def link_text(name: bytes, digest: Digest) -> str:
    """The text of a pin: from the directory of *name* up to the top of the store or mount."""
    up = "../" * (name.count(b"/") + 1)
    return f"{up}blobs/{digest.algorithm}/{digest.hex}"


def parse_link(text: bytes) -> Digest | None:
    """The digest that a pin's text names, None if it is no pin."""
    match = _LINK.fullmatch(text)
    if match is None:
        return None
    algorithm = match[1] or match[3]
    return Digest(algorithm.decode(), (match[2] or match[4]).decode())
