"""Answers that need no more than memory, in the words of the kernel.

What pyfuse3 does for a request - a coroutine, objects for its context and its answer, and libfuse's
own unpacking and packing - costs more than most answers of a tree that cannot change, and pyfuse3
has no name for two things that the kernel must be told about such a tree: that it may keep
listings, and that closing a file needs no FLUSH.  So these requests are read and answered as they
come from /dev/fuse (device.py):

 - all that is asked about nodes that are `remade` and about their open files;
 - reads of whatever is open, if the bytes are at hand, and writes that do not have to wait;
 - listings of all directories (readdir.py);
 - forgetting.

An answer here is the same as that of the handler in operations.py, which serves whatever is handed
on: a function returns what follows the header of the reply, the errno to answer, a coroutine that
returns what follows, or None to hand the request on.  What it raises is answered as any failure.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping

from rossfs.fs import wire
from rossfs.fs.attributes import SECTOR
from rossfs.fs.handles import Handles
from rossfs.fs.inodes import Inodes
from rossfs.fs.readdir import Readdir
from rossfs.fs.rewrite import Rewrites
from rossfs.fs.statfs import NAME_MAX
from rossfs.tree.handle import Handle
from rossfs.tree.node import BLOCK, FOREVER, Attr, Directory, File, Node, Symlink
from rossfs.tree.numbers import TREE_SHIFT

Body = bytes | bytearray | memoryview

Answer = Callable[[int, memoryview], Body | int | Coroutine[None, None, Body] | None]
"""Takes the node id and what follows the header of the request."""

DONE = b""
"""The answer to what has no other answer than that it was done."""

NONE = memoryview(b"")
"""The answer where the kernel waits for none."""

_FOREVER = int(FOREVER)
_SECOND = 10**9
_S_IFMT = 0o170000
_S_IFLNK = 0o120000
_ATTRS = 8192
"""Answers that are kept, 200 bytes each."""


USER = b"user."
"""Names of extended attributes that any node may have (xattr(7))."""


class Direct:
    """The answers for one mount, over what all its handlers share."""

    __slots__ = (
        "_attrs",
        "_files",
        "_forgotten",
        "_kept",
        "_lookups",
        "_marks",
        "_open",
        "_readdir",
        "_requests",
        "_trees",
    )

    def __init__(
        self,
        inodes: Inodes,
        files: Handles[Handle],
        readdir: Readdir,
        rewrites: Rewrites,
        requests: defaultdict[str, int],
        umask: int,
    ) -> None:
        self._forgotten = inodes.forget
        self._lookups = inodes.lookups
        self._trees = inodes.trees
        self._files = files
        self._open = files.by_number
        self._readdir = readdir
        self._marks = rewrites.marks
        self._requests = requests
        self._kept = ~(umask & 0o777)
        self._attrs: dict[int, bytes] = {}
        """Answers to GETATTR, which is asked again after each listing and reading: a directory that
        was listed, or a file that was read, has another time of access then.  For as long as the
        mount lives its number is nothing else's, and nothing of it changes."""

    def answers(self) -> Mapping[int, Answer]:
        """By the number of a request, what may answer it."""
        return {
            wire.LOOKUP: self._lookup,
            wire.FORGET: self._forget,
            wire.BATCH_FORGET: self._forget_many,
            wire.GETATTR: self._getattr,
            wire.READLINK: self._readlink,
            wire.GETXATTR: self._getxattr,
            wire.LISTXATTR: self._listxattr,
            wire.OPEN: self._open_file,
            wire.READ: self._read,
            wire.WRITE: self._write,
            wire.FLUSH: self._flush,
            wire.RELEASE: self._release,
            wire.READDIRPLUS: self._readdir.answer,
            wire.NOTIFY_REPLY: self._ignore,
        }

    def _node(self, ino: int) -> Node | None:
        """The node of *ino* if it is one of a tree."""
        tree = self._trees.get(ino >> TREE_SHIFT)
        return None if tree is None else tree.node(ino)

    # Names and attributes

    def _lookup(self, ino: int, body: memoryview) -> Body | int | None:
        directory = self._node(ino)
        if not isinstance(directory, Directory) or self._marks:
            return None
        name = bytes(body[:-1])
        node = directory.lookup(name)
        self._requests["lookup"] += 1
        if node is None:
            if len(name) > NAME_MAX:
                return errno.ENAMETOOLONG
            return wire.ENTRY.pack(0, 0, _FOREVER, 0, *(0,) * 18)
        ino = node.ino
        attr = self._attr(ino, node.attr())
        self._lookups[ino >> TREE_SHIFT] += 1
        return wire.ENTRY.pack(ino, 0, _FOREVER, _FOREVER, 0, 0, *attr)

    def _attr(self, ino: int, attr: Attr) -> tuple[int, ...]:
        mode, size, nlink, uid, gid, rdev, mtime_ns, ctime_ns, atime_ns = attr
        assert uid is not None
        assert gid is not None
        mtime, mtime_part = divmod(mtime_ns, _SECOND)
        ctime, ctime_part = divmod(ctime_ns, _SECOND)
        atime, atime_part = divmod(atime_ns, _SECOND)
        return (
            ino, size, (size + SECTOR - 1) // SECTOR, atime, mtime, ctime, atime_part, mtime_part,
            ctime_part, mode if mode & _S_IFMT == _S_IFLNK else mode & self._kept, nlink, uid, gid,
            rdev, BLOCK, 0,
        )  # fmt: skip

    def _getattr(self, ino: int, _body: memoryview) -> Body | None:
        answer = self._attrs.get(ino)
        if answer is None:
            node = self._node(ino)
            if node is None:
                return None
            answer = wire.ATTR.pack(_FOREVER, 0, 0, *self._attr(ino, node.attr()))
            if len(self._attrs) >= _ATTRS:
                self._attrs.clear()
            self._attrs[ino] = answer
        self._requests["getattr"] += 1
        return answer

    def _readlink(self, ino: int, _body: memoryview) -> Body | None:
        node = self._node(ino)
        if not isinstance(node, Symlink):
            return None
        self._requests["readlink"] += 1
        return node.target()

    def _forget(self, ino: int, body: memoryview) -> Body:
        self._requests["forget"] += 1
        self._forgotten(((ino, wire.FORGOTTEN.unpack_from(body)[0]),))
        return NONE

    def _forget_many(self, _ino: int, body: memoryview) -> Body:
        (count,) = wire.FORGOTTEN_MANY.unpack_from(body)
        start = wire.FORGOTTEN_MANY.size
        self._requests["forget"] += count
        self._forgotten(
            wire.FORGOTTEN_ONE.iter_unpack(body[start : start + count * wire.FORGOTTEN_ONE.size])
        )
        return NONE

    @staticmethod
    def _ignore(_ino: int, _body: memoryview) -> Body:
        """Nothing was asked for that it could answer."""
        return NONE

    # Extended attributes

    def _getxattr(self, ino: int, body: memoryview) -> Body | int | None:
        node = self._node(ino)
        if node is None:
            return None
        name = bytes(body[wire.SIZE.size : -1])
        if name.startswith(USER):
            return None  # more of these can be asked for than are listed
        self._requests["getxattr"] += 1
        value = node.xattrs().get(name)
        return errno.ENODATA if value is None else _sized(value, body)

    def _listxattr(self, ino: int, body: memoryview) -> Body | int | None:
        node = self._node(ino)
        if node is None:
            return None
        self._requests["listxattr"] += 1
        return _sized(b"".join(name + b"\0" for name in node.xattrs()), body)

    # Files

    def _open_file(self, ino: int, body: memoryview) -> Body | None:
        node = self._node(ino)
        if not isinstance(node, File) or self._marks:
            return None
        handle = node.open_ready(*wire.FLAGS.unpack_from(body))
        if handle is None:
            return None
        self._requests["open"] += 1
        flags = wire.KEEP_CACHE if handle.keep_cache else 0
        if handle.direct_io:
            flags |= wire.DIRECT_IO
        if handle.passive:
            flags |= wire.NOFLUSH
        return wire.OPENED.pack(self._files.add(handle), flags, 0)

    def _read(self, _ino: int, body: memoryview) -> Body | None:
        number, offset, size = wire.READING.unpack_from(body)
        handle = self._open.get(number)
        if handle is None:
            return None
        data = handle.read_ready(offset, size)
        if data is not None:
            self._requests["read"] += 1
        return data

    def _write(self, _ino: int, body: memoryview) -> Body | None:
        number, offset, size = wire.WRITING.unpack_from(body)
        handle = self._open.get(number)
        start = wire.WRITING.size
        if handle is None or not handle.write_ready(offset, body[start : start + size]):
            return None
        self._requests["write"] += 1
        return wire.WRITTEN.pack(size)

    def _flush(self, _ino: int, body: memoryview) -> Body | None:
        handle = self._open.get(wire.HANDLE.unpack_from(body)[0])
        if handle is None or not handle.passive:
            return None
        self._requests["flush"] += 1
        return DONE

    def _release(self, _ino: int, body: memoryview) -> Body | None:
        (number,) = wire.HANDLE.unpack_from(body)
        handle = self._open.get(number)
        if handle is None or not handle.passive:
            return None
        self._requests["release"] += 1
        del self._open[number]
        return DONE


def _sized(value: bytes, body: memoryview) -> Body | int:
    """The answer to a request for *value* that says how much room there is; 0: only its size is
    asked for."""
    (room,) = wire.SIZE.unpack_from(body)
    if not room:
        return wire.SIZE.pack(len(value))
    return value if len(value) <= room else errno.ERANGE
