"""What a place in the mount is: Node, and its kinds Directory, File and Symlink.

The contract between what users see (this package) and the kernel's side (fs/).  Nodes know nothing
of FUSE; fs/ knows nothing of images.

`def` cannot wait, so nothing else runs while it does; `async def` may.  What a node answers from
memory or with a few system calls on names (attr, lookup, entries) is `def`.  Everything that may
take long (load, open, read, write, mutations) is `async def`.

Errors: a node raises RossfsError or OSError; fs/boundary.py makes the errno.  Mutations answer
EROFS unless a directory says otherwise.  `lookup` returns None for "no such name"; the answer is
cached by the kernel for the directory's `negative_ttl`.
"""

from __future__ import annotations

import abc
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from rossfs.tree.handle import Handle

FOREVER = 365 * 86400.0
"""Cache time in seconds of what cannot change: content is named by its digest.  The kernel takes a
year for ever."""

NLINK_UNKNOWN = 1
"""Links of a directory: find(1) trusts a count of 2 and more to number the subdirectories; 1 tells
it not to."""

BLOCK = 4096
"""Preferred size of requests that stat(2) reports."""


class Attr(NamedTuple):
    """What stat(2) shows of a node, but for the inode number.  Times are nanoseconds since 1970 and
    may be negative."""

    mode: int
    size: int = 0
    nlink: int = 1
    uid: int | None = None
    """None: the owner of the mount (option uid=, else who mounted)."""
    gid: int | None = None
    rdev: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    atime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Attr:
        """Of a file of the disk, with all that is that file's own."""
        times = status.st_mtime_ns, status.st_ctime_ns, status.st_atime_ns
        owner = status.st_uid, status.st_gid
        return cls(status.st_mode, status.st_size, status.st_nlink, *owner, 0, *times)

    @classmethod
    def dated(cls, mode: int, time_ns: int, size: int = 0) -> Attr:
        """Of what has one time for everything and is owned by the owner of the mount."""
        return cls(mode, size, NLINK_UNKNOWN, None, None, 0, time_ns, time_ns, time_ns)


class Caller(NamedTuple):
    """Who makes a request."""

    uid: int
    gid: int
    pid: int
    umask: int = 0o022


class Unsettled(Exception):
    """Raised by `lookup` or `entries` when the answer depends on work under way: call `settle`,
    then ask again."""


class Published(Exception):
    """Raised by `File.open` when published content is opened for writing.

    The kernel's side answers ESTALE, the kernel walks the path again, and `Directory.rewrite` of
    the directories on that path may answer a file to write instead.  Where none does, the second
    open is EROFS.
    """


class Node(abc.ABC):
    """One place in the mount.

    Two node objects with the same `ino` are the same inode: the kernel's side keeps whichever it
    met first for as long as the kernel remembers it.
    """

    __slots__ = ("ino",)

    ttl: ClassVar[float] = 0.0
    """Seconds for which the kernel may believe the name and the attributes without asking again."""

    constant: ClassVar[bool] = False
    """attr() answers the same for ever: the kernel's side may build its answer once."""

    remade: ClassVar[bool] = False
    """The node can be made again from its number at any time (`Tree`): the kernel's side keeps
    nothing of it but a count for its whole tree."""

    foreign_xattrs: ClassVar[bool] = False
    """xattrs() may hold names that do not begin with "user.".  False: the kernel's side answers
    those, which the kernel itself asks for with each write(2), without asking the node."""

    def __init__(self, ino: int) -> None:
        self.ino = ino

    @abc.abstractmethod
    def attr(self) -> Attr:
        """What stat(2) shows."""

    def xattrs(self) -> Mapping[bytes, bytes]:
        """The extended attributes that listxattr(2) shows, by full name (b"user.ross.digest")."""
        return {}

    async def xattr(self, name: bytes) -> bytes | None:
        """The value of one, which may be one that `xattrs` does not show; None if there is none."""
        return self.xattrs().get(name)

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """chmod, chown, utimes, truncate by name.  EROFS unless the kind of node says otherwise."""
        raise read_only()

    async def setxattr(self, name: bytes, value: bytes) -> None:
        """Set an extended attribute."""
        raise read_only()

    async def removexattr(self, name: bytes) -> None:
        """Remove an extended attribute that `xattrs` has."""
        raise read_only()

    def same(self, other: Node) -> bool:
        """Whether *other*, a node with the same `ino`, is this very place.  Where the number is a
        hash, a node that can compare what was hashed should."""
        return type(self) is type(other)

    def forgotten(self) -> None:  # noqa: B027 - most nodes have nothing to do
        """The kernel no longer knows this node; called by the kernel's side when the last lookup is
        taken back."""


class Tree(abc.ABC):
    """Many nodes that are made again from their numbers, `number << TREE_SHIFT | index`: so a tree
    of a million entries costs no memory for what the kernel knows of it.
    """

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number

    @abc.abstractmethod
    def node(self, ino: int) -> Node:
        """The node of a number of this tree; ESTALE if there is none."""

    def forgotten(self) -> None:  # noqa: B027 - most trees have nothing to do
        """The kernel knows none of its nodes any more."""


class AttrChange(NamedTuple):
    """What setattr asks for; None leaves a field alone.  Times in nanoseconds."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime_ns: int | None = None
    atime_ns: int | None = None


class Entry(NamedTuple):
    """One name of a listing.  *node* None: the name and its type only (*kind*, as in st_mode), no
    inode is made."""

    name: bytes
    node: Node | None
    kind: int = stat.S_IFREG
    ino: int = 0
    """The number that readdir(3) shows where *node* is None; 0: not known."""


Listing = Sequence[Entry | None]
"""A snapshot of a directory: entry i stays entry i.  May be lazy: `__getitem__` makes the entry,
may return None for one that is gone since, and costs no more than one lookup."""


class Row(NamedTuple):
    """One name of a listing with what stat(2) shows, of a node that is `remade` and whose cache
    time is FOREVER."""

    name: bytes
    ino: int
    mode: int
    size: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    mtime_ns: int


class Rows(abc.ABC):
    """A listing without nodes: nothing is made but what goes to the kernel."""

    __slots__ = ()

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many names there are."""

    @abc.abstractmethod
    def rows(self, start: int) -> Iterable[tuple[bytes, int, int, int, int, int, int, int, int]]:
        """The names from position *start* on, each with the fields of `Row`; plain tuples will
        do."""


class Directory(Node):
    """A place with names in it.  Read-only unless a subclass answers a mutation."""

    __slots__ = ()

    negative_ttl: ClassVar[float] = 0.0
    """Seconds for which the kernel may believe that a name is absent.  FOREVER only where nothing
    can appear."""

    replaces: ClassVar[bool] = True
    """A name that appears in a watched directory may take the place of another.  False where a name
    means one content for ever (digests): then the kernel is told only of names that went away."""

    notes_absence: ClassVar[bool] = False
    """`missed` is to be called."""

    loaded: bool = True
    """False: `load` must be awaited before lookup and entries."""

    def attr(self) -> Attr:
        return Attr(stat.S_IFDIR | 0o555, nlink=NLINK_UNKNOWN)

    async def load(self) -> None:
        """Fetch what lookup and entries need; sets `loaded`."""

    async def settle(self) -> None:
        """Wait for the work that made lookup or entries raise Unsettled."""

    @abc.abstractmethod
    def lookup(self, name: bytes) -> Node | None:
        """The node under *name*, or None.  May raise Unsettled."""

    @abc.abstractmethod
    def entries(self) -> Listing | Rows:
        """A snapshot of all names, without "." and "..".  May raise Unsettled."""

    def about(self) -> int:
        """Of a `remade` one: how many names `entries` may have, at most, known at little cost."""
        return 0

    def missed(self, name: bytes, caller: Caller) -> Node | None:
        """*caller* looked for *name*, and `lookup` found nothing: what this caller finds there, or
        None, which is what he is told.

        Called in the same moment as `lookup`.
        """
        return None

    def parent_ino(self) -> int:
        """The number of the directory above a `remade` one; of others the kernel's side knows."""
        return self.ino

    async def rewrite(self, name: bytes, node: Node, flags: int, caller: Caller) -> Node | None:
        """*caller* opened *node* for writing with *flags*, was told Published, and walks its path
        again by *name*.

        The file to write instead, the same one each time until it is opened; None: answer as
        `lookup` does.  Decide by *name*: another writer may have published something else under it
        since, and the kernel walks only once more.
        """
        return None

    def watched(self) -> Sequence[str]:
        """Directories of the disk whose changes by other processes show here: the kernel's side
        watches them once the kernel has been shown this directory."""
        return ()

    def shown_as(self, name: bytes) -> Sequence[bytes]:
        """The names of this directory that may have changed when *name* changed in a watched
        directory."""
        return (name,)

    def changed_by_others(self, name: bytes | None) -> None:
        """*name*, one that `shown_as` gave, may be gone or something else: forget what is
        remembered of it.  None: of every name.

        Called for each change in a watched directory, before the kernel is told of it.
        """

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Node, Handle]:
        """Make and open a file (open(2) with O_CREAT)."""
        raise read_only()

    async def mknod(self, name: bytes, mode: int, rdev: int, caller: Caller) -> Node:
        """Make a file without opening it."""
        raise read_only()

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make a directory."""
        raise read_only()

    async def symlink(self, name: bytes, target: bytes, caller: Caller) -> Node:
        """Make a symbolic link with the text *target*."""
        raise read_only()

    async def link(self, name: bytes, node: Node, caller: Caller) -> Node:
        """Make another name for *node*."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Remove what is not a directory."""
        raise read_only()

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove an empty directory."""
        raise read_only()

    async def rename(
        self, name: bytes, target: Directory, target_name: bytes, flags: int, caller: Caller
    ) -> None:
        """Move *name* to *target_name* in *target*; flags as in renameat2(2)."""
        raise read_only()


class File(Node):
    """A regular file, or a device or pipe that is never opened here."""

    __slots__ = ()

    @abc.abstractmethod
    async def open(self, flags: int, caller: Caller) -> Handle:
        """Open for *flags* of open(2), without O_CREAT, O_EXCL, O_NOCTTY.

        Published when *flags* ask to change content that cannot change.
        """

    def open_ready(self, flags: int) -> Handle | None:
        """As `open` by anybody, if that would not wait; None: it may."""
        return None


class Symlink(Node):
    """A symbolic link whose text is known when it is made."""

    __slots__ = ("text",)

    def __init__(self, ino: int, text: bytes) -> None:
        super().__init__(ino)
        self.text = text

    def attr(self) -> Attr:
        return Attr(stat.S_IFLNK | 0o777, size=len(self.text))

    def target(self) -> bytes:
        """What readlink(2) answers."""
        return self.text


class Entries(Sequence[Entry]):
    """A listing that is a plain tuple."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = tuple(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._entries[index]


def is_writing(flags: int) -> bool:
    """Whether flags of open(2) ask to change the file."""
    return bool(flags & (os.O_ACCMODE | os.O_TRUNC))


def read_only() -> OSError:
    """EROFS, for what cannot be changed here."""
    return OSError(errno.EROFS, os.strerror(errno.EROFS))
