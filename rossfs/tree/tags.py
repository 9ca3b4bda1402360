"""tags/: repositories are directories, tags are symbolic links to images.

    tags/<repository...>/<tag>    -> ../../../images/sha256/<hex>, as many ../ as it takes

readlink(2) tells the digest.  A tag is made by `ln -s ANYTHING/sha256/<hex>`: only the last two
components count, and what is stored is the digest; it is moved by `ln -sfn`, and renamed by
rename(2), atomically over another one.  A manifest that is copied or moved here is stored and
tagged.  A refusal has its reason in the log.

A tag that names something else is a new inode, so nobody sees the old link under the new name.  The
kernel keeps the inode of what it renames: so the node of a renamed tag or repository learns its new
place, and what takes the old place meanwhile gets another number.

A tag file that cannot be read is shown as a file that cannot be read, so that it can be removed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, TypeVar
from weakref import WeakValueDictionary

import trio

from rossfs.errors import Conflict, Damaged, RossfsError, TagNotFound
from rossfs.oci.digest import Digest
from rossfs.oci.reference import check_repository, check_tag
from rossfs.store.tags import TagEntry, TagName
from rossfs.tree.handle import Handle
from rossfs.tree.lazy import Lazy
from rossfs.tree.node import (
    Attr,
    AttrChange,
    Caller,
    Directory,
    Entry,
    Listing,
    Node,
    Unsettled,
    read_only,
)
from rossfs.tree.numbers import Numbers
from rossfs.tree.snapshots import COMPLETE, Snapshots, is_small
from rossfs.tree.taglink import DamagedTag, TagLink, digest_of_link
from rossfs.tree.uploads import Uploads

T = TypeVar("T", "TagsDirectory", TagLink, DamagedTag)

RENAME_NOREPLACE = 1  # renameat2(2)

_log = logging.getLogger("rossfs.tree")


class Names:
    """What all directories of tags/ share: the tags, and the nodes of them that are in use."""

    __slots__ = ("_directories", "_live", "_number", "path", "tags", "uploads", "writable")

    def __init__(self, uploads: Uploads, numbers: Numbers, *, writable: bool) -> None:
        self.uploads = uploads
        self.tags = uploads.store.tags
        self.path = uploads.store.paths.tags
        """tags/ on disk."""
        self.writable = writable
        self._number = numbers.family(b"tag")
        self._live: WeakValueDictionary[int, TagsDirectory | TagLink | DamagedTag] = (
            WeakValueDictionary()
        )
        self._directories: WeakValueDictionary[str, TagsDirectory] = WeakValueDictionary()

    def find(self, name: TagName) -> Node | None:
        """The node of one name in the directory `name.repository`, or None."""
        path = "/".join(filter(None, name))
        if self.tags.is_repository(path):
            return self.directory(path)
        return self.tag(name)

    def directory(self, path: str) -> TagsDirectory:
        """The node of a repository, the same one while it is in use."""
        node = self._directories.get(path)
        if node is None:
            node = self._node(TagsDirectory, path, path, lambda ino: TagsDirectory(ino, self, path))
            self._directories[path] = node
        return node

    def tag(self, name: TagName) -> TagLink | DamagedTag | None:
        """The node of a tag, the same one while it is in use and names the same."""
        try:
            info = self.tags.find(*name)
        except Damaged as error:
            reason = str(error)
            return self._node(
                DamagedTag, f"{name} {reason}", name, lambda ino: DamagedTag(ino, name, reason)
            )
        if info is None:
            return None
        identity = f"{name} {info.digest} {info.updated_at}"
        return self._node(TagLink, identity, name, lambda ino: TagLink(ino, name, info))

    def _node(self, kind: type[T], identity: str, name: object, make: Callable[[int], T]) -> T:
        while True:
            ino = self._number(identity.encode())
            node = self._live.get(ino)
            if node is None:
                new = self._live[ino] = make(ino)
                return new
            if isinstance(node, kind) and node.name == name:
                return node
            # It was here, and the kernel still knows it, but it was renamed since.
            identity += " again"

    def tag_moved(self, old: TagName, new: TagName) -> None:
        """Tell the nodes of a renamed tag."""
        for node in tuple(self._live.values()):
            if not isinstance(node, TagsDirectory) and node.name == old:
                node.move(new)

    def repository_moved(self, old: str, new: str) -> None:
        """Tell the nodes of a renamed repository, and of all that is in it."""
        for node in tuple(self._live.values()):
            name = node.name
            path = name if isinstance(name, str) else name.repository
            if path != old and not path.startswith(old + "/"):
                continue
            moved = new + path.removeprefix(old)
            if isinstance(node, TagsDirectory):
                self._directories.pop(path, None)
                self._directories[moved] = node
                node.name = moved
            else:
                node.move(TagName(moved, node.name.tag))


class TagsDirectory(Directory):
    """A repository, the first components of some, or (with the name "") tags/ itself."""

    __slots__ = ("__weakref__", "_names", "_snapshots", "name")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, names: Names, name: str = "") -> None:
        super().__init__(ino)
        self._names = names
        self.name = name
        self._snapshots = Snapshots()

    def attr(self) -> Attr:
        try:
            modified_ns = os.stat(self._path()).st_mtime_ns
        except OSError:
            modified_ns = 0
        return Attr.dated(stat.S_IFDIR | (0o755 if self._names.writable else 0o555), modified_ns)

    def same(self, other: Node) -> bool:
        return isinstance(other, TagsDirectory) and other.name == self.name

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """Mode, owner and times (mkdir -m, cp -a, rsync) succeed and change nothing."""

    def lookup(self, name: bytes) -> Node | None:
        return self._names.find(self._tag(name))

    def entries(self) -> Listing:
        """A snapshot; that of a large directory is made by `settle`, in a worker thread."""
        listing = self._snapshots.take()
        if listing is not None:
            return listing
        if is_small((self._path(),)):
            return self._snapshot()
        self._snapshots.want()
        raise Unsettled

    async def settle(self) -> None:
        if self._snapshots.wanted:
            await self._snapshots.make(self._snapshot)

    def _snapshot(self) -> Listing:
        """A listing as of now.  Touches nothing that changes: runs in any thread."""
        return TagListing(self._names, self.name, tuple(self._names.tags.entries(self.name)))

    def watched(self) -> Sequence[str]:
        return (self._path(),)

    def _path(self) -> str:
        return f"{self._names.path}/{self.name}" if self.name else self._names.path

    def _tag(self, name: bytes) -> TagName:
        """*name* as a tag of this repository; whether it can be one is for the store to say."""
        return TagName(self.name, name.decode("utf-8", "surrogateescape"))

    def _repository(self, name: bytes) -> str:
        return "/".join(filter(None, self._tag(name)))

    # Changing

    async def symlink(self, name: bytes, target: bytes, caller: Caller) -> Node:
        """Tag the image whose digest *target* ends in.

        InvalidReference, ManifestNotFound, TagConflict; Conflict if there is such a tag.
        """
        with _told():
            digest = digest_of_link(target)
        await self.adopt(name, digest, RENAME_NOREPLACE, caller)
        node = self._names.tag(self._tag(name))
        if node is None:  # somebody else removed it at once
            raise _os_error(errno.ENOENT)
        return node

    async def adopt(self, name: bytes, digest: Digest, flags: int, caller: Caller) -> None:
        """Make the tag *name* name *digest*; *flags* as in renameat2(2).

        InvalidReference, ManifestNotFound, TagConflict; Conflict if there is such a tag and *flags*
        keep it.
        """
        if flags & ~RENAME_NOREPLACE:
            raise _os_error(errno.EINVAL)
        # The manifest may have been closed a moment ago.
        await self._names.uploads.settle()
        with _told():
            if flags:
                self._must_be_free(name)
            await trio.to_thread.run_sync(self._names.tags.set, *self._tag(name), digest)

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Node, Handle]:
        """A file whose content is to be a manifest or index, tagged when it is closed.

        close(2) gets InvalidDocument, MissingContent, TagConflict; here InvalidReference, and
        Conflict if there is such a tag.  Nothing is to be seen before.
        """
        tag = self._tag(name)
        with _told():
            check_repository(tag.repository)
            check_tag(tag.tag)
            self._must_be_free(name)

        def publish(digest: Digest, media_type: str) -> None:
            with _told():
                self._names.tags.set(*tag, digest)

        staged = self._names.uploads.stage(publish, lambda: None)
        return staged, await staged.open(flags, caller)

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Remove a tag; ENOENT, or EISDIR for a repository."""
        if self._names.tags.is_repository(self._repository(name)):
            raise _os_error(errno.EISDIR)
        with _told():
            if not await trio.to_thread.run_sync(self._names.tags.delete, *self._tag(name)):
                raise TagNotFound(f"no tag {self._tag(name)}")

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make an empty repository.  InvalidReference, Conflict, TagConflict."""
        path = self._repository(name)
        with _told():
            await trio.to_thread.run_sync(self._names.tags.make_repository, path)
        return self._names.directory(path)

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove an empty repository; ENOTEMPTY, ENOTDIR."""
        path = self._repository(name)
        with _told():
            await trio.to_thread.run_sync(self._names.tags.remove_repository, path)

    async def rename(
        self, name: bytes, target: Directory, target_name: bytes, flags: int, caller: Caller
    ) -> None:
        """Rename a tag, over another one; or a repository, over an empty one.

        TagConflict, InvalidReference; EROFS out of tags/, EINVAL for an exchange.
        """
        if not isinstance(target, TagsDirectory):
            raise read_only()
        if flags & ~RENAME_NOREPLACE:
            raise _os_error(errno.EINVAL)
        with _told():
            if flags & RENAME_NOREPLACE:
                target._must_be_free(target_name)
            old, new = self._repository(name), target._repository(target_name)
            if self._names.tags.is_repository(old):
                await trio.to_thread.run_sync(self._names.tags.rename_repository, old, new)
                self._names.repository_moved(old, new)
            else:
                tag, new_tag = self._tag(name), target._tag(target_name)
                await trio.to_thread.run_sync(self._names.tags.rename, tag, new_tag)
                self._names.tag_moved(tag, new_tag)

    def _must_be_free(self, name: bytes) -> None:
        """Conflict if there is a tag or repository *name*: the kernel's own check may be a second
        old."""
        if self._names.find(self._tag(name)) is not None:
            raise Conflict(f"there is {self._repository(name)} already: ln -sfn and mv -T replace")


class TagListing(Lazy):
    """A snapshot of one directory of tags/; tags are read as their entries are asked for."""

    __slots__ = ("_complete", "_found", "_names", "_repository")

    def __init__(self, names: Names, repository: str, found: Sequence[TagEntry]) -> None:
        self._names = names
        self._repository = repository
        self._found = found
        self._complete = len(found) <= COMPLETE

    def __len__(self) -> int:
        return len(self._found)

    def entry(self, index: int) -> Entry | None:
        name, is_repository = self._found[index]
        kind = stat.S_IFDIR if is_repository else stat.S_IFLNK
        if not self._complete:
            return Entry(name.encode(), None, kind)
        if is_repository:
            path = f"{self._repository}/{name}" if self._repository else name
            return Entry(name.encode(), self._names.directory(path), kind)
        node = self._names.tag(TagName(self._repository, name))
        return None if node is None else Entry(name.encode(), node, kind)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Put the reason of a refusal into the log: the kernel passes on its number only."""
    try:
        yield
    except RossfsError as error:
        _log.info("%s", error)
        raise


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
