"""A directory in which programs put files aside and give them their names when they are done.

Files and directories that are put aside are there for as long as the mount lives; a name that means
something there (`Workplace.part`) is published when a file is closed or renamed to it.
"""

from __future__ import annotations

import abc
import errno
import logging
import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakValueDictionary

from rossfs.errors import RossfsError
from rossfs.oci.quotation import quote
from rossfs.tree.aside import Aside
from rossfs.tree.layoutparts import Part
from rossfs.tree.lazy import Lazy
from rossfs.tree.node import (
    NLINK_UNKNOWN,
    Attr,
    AttrChange,
    Caller,
    Directory,
    Entries,
    Entry,
    Listing,
    Node,
)
from rossfs.tree.staged import Staged
from rossfs.tree.stagedhandle import StagedHandle

if TYPE_CHECKING:
    from rossfs.tree.workshop import Workshop

_NOREPLACE = 1  # RENAME_NOREPLACE of renameat2(2)

_log = logging.getLogger("rossfs.tree")


class Workplace(Directory):
    """Such a directory, of the layouts of *shop*."""

    __slots__ = ("__weakref__", "_rewritten", "aside", "shop")

    ttl: ClassVar[float] = 0.0

    def __init__(self, ino: int, shop: Workshop) -> None:
        super().__init__(ino)
        self.shop = shop
        self.aside: dict[bytes, Staged | AsideDirectory] = {}
        self._rewritten: WeakValueDictionary[tuple[bytes, int], Staged] = WeakValueDictionary()
        """What is about to be opened in the place of what is published: by name and thread."""

    # What a subclass says

    def is_part(self, name: bytes) -> bool:
        """Whether *name* is that of something that is published."""
        return False

    async def part(self, name: bytes, caller: Caller, size: int) -> Part:
        """The place of a file that is to be published as *name*, of which *size* bytes are there
        now."""
        raise AssertionError("nothing is published here")

    def must_take(self, name: bytes) -> None:
        """Raise if nothing can be put aside under *name*: it is something else, or nothing may be
        here."""
        return

    async def is_there(self, name: bytes, caller: Caller) -> bool:
        """Whether *name*, a part, is published now, and *caller* finds it."""
        return False

    @property
    @abc.abstractmethod
    def layout(self) -> str:
        """The repository in which this is."""

    @property
    @abc.abstractmethod
    def where(self) -> str:
        """The path of this in the mount, for people."""

    @property
    def algorithm(self) -> str:
        """With what files here are hashed as they arrive."""
        return "sha256"

    def named(self, name: bytes) -> str:
        """The path of *name*, for the log."""
        return quote(f"{self.where}/{os.fsdecode(name)}", 200)

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """Mode, owner and times (mkdir -m, cp -a, tar) succeed and change nothing."""

    # Files

    async def rewrite(self, name: bytes, node: Node, flags: int, caller: Caller) -> Node | None:
        """A file to write in the place of the part *name*, each opener's own."""
        if not self.is_part(name) or name in self.aside or not self.shop.writable:
            return None
        key = name, caller.pid
        staged = self._rewritten.get(key)
        if staged is None or staged.over or staged.busy:
            size = 0 if flags & os.O_TRUNC else node.attr().size
            staged = self.shop.uploads.file(await self.part(name, caller, size))
            self._rewritten[key] = staged
        return staged

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Staged, StagedHandle]:
        """Make and open a file.  FileExistsError for O_EXCL, EISDIR; EPERM where nothing may be."""
        self.shop.require_writable()
        found = self.aside.get(name)
        if isinstance(found, AsideDirectory):
            raise failure(errno.EISDIR)
        if found is not None:
            if flags & os.O_EXCL:
                raise failure(errno.EEXIST)
            return found, await found.open(flags, caller)
        if self.is_part(name):
            if flags & os.O_EXCL and await self.is_there(name, caller):
                raise failure(errno.EEXIST)
            staged = self.shop.uploads.file(await self.part(name, caller, 0))
        else:
            self.must_take(name)
            await self.shop.room.make(self.layout, caller.pid)
            staged = self.shop.uploads.file(Aside(self.algorithm))
        staged.mode = stat.S_IMODE(mode)
        handle = await staged.open(flags | os.O_TRUNC, caller)
        if not self.is_part(name):
            self.put(name, staged, caller)
        return staged, handle

    async def mknod(self, name: bytes, mode: int, rdev: int, caller: Caller) -> Node:
        """Make an empty file; EPERM for devices, pipes and sockets."""
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or self.is_part(name):
            raise failure(errno.EPERM)
        staged, handle = await self.create(name, mode, os.O_WRONLY | os.O_EXCL, caller)
        try:
            await handle.flush()
        finally:
            await handle.release()
        return staged

    async def symlink(self, name: bytes, target: bytes, caller: Caller) -> Node:
        """EROFS: there are no links in layouts."""
        raise refused(
            errno.EROFS,
            f"{self.named(name)} is not made: there are no symbolic links in layouts."
            "  Tags are links in tags/",
        )

    async def remove_aside(self, name: bytes) -> bool:
        """Remove the file *name* that was put aside; False if there is none.  EISDIR."""
        found = self.aside.get(name)
        if found is None:
            return False
        if isinstance(found, AsideDirectory):
            raise failure(errno.EISDIR)
        self.leave(name)
        await discard(found)
        return True

    # Directories

    async def make_aside(self, name: bytes, caller: Caller) -> AsideDirectory:
        """Make a directory among what is put aside.  FileExistsError; ENOSPC."""
        self.shop.require_writable()
        await self.shop.room.make(self.layout, caller.pid)
        self.must_take(name)
        if name in self.aside:
            raise failure(errno.EEXIST)
        directory = AsideDirectory(self.shop.count_directory(), self.shop, self, name)
        self.put(name, directory, caller)
        return directory

    def remove_aside_directory(self, name: bytes) -> bool:
        """Remove the empty directory *name* that was put aside; False if there is none."""
        found = self.aside.get(name)
        if found is None:
            return False
        if not isinstance(found, AsideDirectory):
            raise failure(errno.ENOTDIR)
        if found.aside:
            raise failure(errno.ENOTEMPTY)
        found.gone = True
        self.leave(name)
        return True

    # Renaming

    async def rename(
        self, name: bytes, target: Directory, target_name: bytes, flags: int, caller: Caller
    ) -> None:
        """Rename what was put aside: over such a file, or over a part, which publishes it.

        EROFS for what is published already, EXDEV out of the layouts.
        """
        self.shop.require_writable()
        if flags & ~_NOREPLACE:
            raise failure(errno.EINVAL)
        found = self.aside.get(name)
        if found is None:
            raise refused(
                errno.EROFS,
                f"{self.named(name)} is not renamed: what a layout is made of keeps its"
                " name.  Tags are renamed in tags/",
            )
        if not isinstance(target, Workplace):
            raise failure(errno.EXDEV)
        there = target.aside.get(target_name)
        if there is found:
            return
        if flags & _NOREPLACE and (there is not None or await target.is_there(target_name, caller)):
            raise failure(errno.EEXIST)
        if isinstance(found, AsideDirectory):
            self._rename_directory(found, name, target, target_name, caller)
        elif isinstance(there, AsideDirectory):
            raise failure(errno.EISDIR)
        elif target.is_part(target_name):
            await self._publish(found, await target.part(target_name, caller, 0), caller)
            if self.aside.get(name) is found:
                self.leave(name)
        else:
            target.must_take(target_name)
            self.leave(name)
            target.put(target_name, found, caller)
            if there is not None:
                await discard(there)

    def _rename_directory(
        self,
        found: AsideDirectory,
        name: bytes,
        target: Workplace,
        target_name: bytes,
        caller: Caller,
    ) -> None:
        there = target.aside.get(target_name)
        if there is not None:
            target.remove_aside_directory(target_name)
        elif target.is_part(target_name):
            raise failure(errno.ENOTDIR)
        else:
            target.must_take(target_name)
        self.leave(name)
        target.put(target_name, found, caller)

    async def _publish(self, staged: Staged, part: Part, caller: Caller) -> None:
        before = staged.place
        handle = await staged.open(os.O_WRONLY, caller)
        try:
            await staged.move(part, part.publish)
            await handle.flush()
        except (RossfsError, OSError) as error:
            _log.info("%s", error)
            if isinstance(before, Aside):
                before.refusal = str(error)
            raise
        finally:
            await handle.release()

    # What is put aside

    def put(self, name: bytes, node: Staged | AsideDirectory, caller: Caller) -> None:
        """*node* is *name* from now on."""
        before = self.aside.get(name)
        if before is not None:
            self.shop.room.left(self, before)
        self.aside[name] = node
        self.shop.room.entered(self, node, caller.pid)

    def leave(self, name: bytes) -> None:
        """*name* is nothing any more."""
        self.shop.room.left(self, self.aside.pop(name))

    async def discard_aside(self, name: bytes) -> None:
        """Remove *name*, which was put aside and is not `busy`."""
        if isinstance(self.aside[name], AsideDirectory):
            self.remove_aside_directory(name)
        else:
            await self.remove_aside(name)


class AsideDirectory(Workplace):
    """A directory that a program put aside, in *above* at first."""

    __slots__ = ("_layout", "_where", "gone")

    def __init__(self, ino: int, shop: Workshop, above: Workplace, name: bytes) -> None:
        super().__init__(ino, shop)
        self._layout = above.layout
        self._where = f"{above.where}/{os.fsdecode(name)}"
        self.gone = False

    @property
    def busy(self) -> bool:
        """Whether it holds something."""
        return bool(self.aside)

    @property
    def layout(self) -> str:
        return self._layout

    @property
    def where(self) -> str:
        return self._where

    def attr(self) -> Attr:
        return Attr(stat.S_IFDIR | 0o755, nlink=NLINK_UNKNOWN)

    def same(self, other: Node) -> bool:
        return self is other

    def lookup(self, name: bytes) -> Node | None:
        return self.aside.get(name)

    def entries(self) -> Listing:
        return Entries(asides(self))

    def must_take(self, name: bytes) -> None:
        if self.gone:
            raise failure(errno.ENOENT)

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make a directory."""
        return await self.make_aside(name, caller)

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Remove a file."""
        self.shop.require_writable()
        if not await self.remove_aside(name):
            raise failure(errno.ENOENT)

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove an empty directory."""
        self.shop.require_writable()
        if not self.remove_aside_directory(name):
            raise failure(errno.ENOENT)


class Joined(Lazy):
    """One listing after the other."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Sequence[Entry | None], second: Sequence[Entry | None]) -> None:
        self._first = first
        self._second = second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def entry(self, index: int) -> Entry | None:
        if index < len(self._first):
            return self._first[index]
        return self._second[index - len(self._first)]


def asides(directory: Workplace) -> list[Entry]:
    """What is put aside in *directory*."""
    return [
        Entry(name, node, stat.S_IFREG if isinstance(node, Staged) else stat.S_IFDIR)
        for name, node in directory.aside.items()
    ]


async def discard(staged: Staged) -> None:
    """Remove a file that was put aside; whoever has it open goes on."""
    place = staged.place
    await staged.drop()
    if isinstance(place, Aside):
        await staged.uploads.work(place.discard)


def refused(number: int, reason: str) -> OSError:
    """The system error *number*, with the reason in the log."""
    _log.info("%s", reason)
    return failure(number)


def failure(number: int) -> OSError:
    """The system error *number*."""
    return OSError(number, os.strerror(number))
