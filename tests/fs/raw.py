"""Asking one mount twice: in the words of the kernel (direct.py), and as pyfuse3 asks handlers.

`Raw` and `Asked` answer the same requests with the same values: what was told, or an errno.  None
from `Raw` says that the request was handed on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar

from pyfuse3 import EntryAttributes, FUSEError

from rossfs.fs import wire
from rossfs.fs.attributes import Attributes
from rossfs.fs.notify import Watcher
from rossfs.fs.operations import Operations
from rossfs.fs.statfs import Statfs
from rossfs.tree.node import Tree
from rossfs.tree.trees import Trees
from tests.fs.asking import CTX, GID, ROOT, UID, UMASK
from tests.fs.kernel import Listed, at_once, reply
from tests.fs.memory import Memory

T = TypeVar("T")

DOTS = (b".", b"..")

BIG = 1 << 17
"""Room for all of a reply."""


class Stat(NamedTuple):
    """What stat(2) shows."""

    ino: int
    size: int
    blocks: int
    times_ns: tuple[int, int, int]
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    blksize: int


class Entry(NamedTuple):
    """An answer to LOOKUP."""

    node_id: int
    generation: int
    name_ttl: float
    ttl: float
    stat: Stat


class Opened(NamedTuple):
    """An answer to OPEN or OPENDIR."""

    fh: int
    flags: int


def _stat(attr: tuple[int, ...]) -> Stat:
    ino, size, blocks, a, m, c, a_ns, m_ns, c_ns, mode, nlink, uid, gid, rdev, blksize, flags = attr
    assert max(a_ns, m_ns, c_ns) < 10**9
    assert flags == 0
    times = a * 10**9 + a_ns, m * 10**9 + m_ns, c * 10**9 + c_ns
    return Stat(ino, size, blocks, times, mode, nlink, uid, gid, rdev, blksize)


def listed(data: bytes) -> list[Listed]:
    """The entries of an answer to READDIRPLUS."""
    found = []
    position = 0
    while position < len(data):
        fields = wire.DIRENTPLUS.unpack_from(data, position)
        node_id, generation, name_ttl, ttl, name_ns, ttl_ns = fields[:6]
        assert (generation, name_ns, ttl_ns, name_ttl) == (0, 0, 0, ttl)
        ino, offset, length, kind = fields[22:]
        position += wire.DIRENTPLUS.size
        name = data[position : position + length]
        position += (length + 7) // 8 * 8
        if not node_id:
            assert not any(fields[:22])
        stat = _stat(fields[6:22])
        assert stat.ino == node_id
        entry = Listed(
            name, node_id, ino, offset, kind, stat.size, stat.mode, ttl, stat.nlink, stat.uid,
            stat.gid, stat.rdev, stat.blocks, stat.times_ns,
        )  # fmt: skip
        found.append(entry)
    assert position == len(data)
    return found


def complete(entries: list[Listed] | int | None) -> list[Listed]:
    """The entries, without what handlers say of "." and ".." and nobody reads (fs/fuse/readdir.c,
    fuse_direntplus_link)."""
    assert isinstance(entries, list)
    return [
        entry._replace(node_id=0, mode=0, ttl=0, nlink=0) if entry.name in DOTS else entry
        for entry in entries
    ]


class Raw:
    """Asks in the words of the kernel."""

    def __init__(self, operations: Operations) -> None:
        self._answers = operations.direct.answers()
        self._failure = operations.failure

    def ask(self, opcode: int, ino: int, body: bytes = b"") -> bytes | int | None:
        """The answer to any request; what is raised is answered as the device does."""
        try:
            answer = self._answers[opcode](ino, memoryview(body))
        except Exception as error:
            return self._failure(wire.NAMES[opcode], error).errno
        return answer if answer is None or isinstance(answer, int) else bytes(answer)

    def _read(
        self, opcode: int, ino: int, body: bytes, read: Callable[[bytes], T]
    ) -> T | int | None:
        answer = self.ask(opcode, ino, body)
        return read(answer) if isinstance(answer, bytes) else answer

    def lookup(self, parent: int, name: bytes) -> Entry | float | int | None:
        def read(data: bytes) -> Entry | float:
            node_id, generation, name_ttl, ttl, name_ns, ttl_ns, *attr = wire.ENTRY.unpack(data)
            assert name_ns == ttl_ns == 0
            if not node_id:
                return float(name_ttl)
            return Entry(node_id, generation, name_ttl, ttl, _stat(tuple(attr)))

        return self._read(wire.LOOKUP, parent, name + b"\0", read)

    def getattr(self, ino: int) -> tuple[float, Stat] | int | None:
        def read(data: bytes) -> tuple[float, Stat]:
            ttl, part, padding, *attr = wire.ATTR.unpack(data)
            assert part == padding == 0
            return ttl, _stat(tuple(attr))

        return self._read(wire.GETATTR, ino, bytes(16), read)

    def readlink(self, ino: int) -> bytes | int | None:
        return self.ask(wire.READLINK, ino)

    def getxattr(self, ino: int, name: bytes, size: int = BIG) -> bytes | int | None:
        return self.ask(wire.GETXATTR, ino, wire.SIZE.pack(size) + name + b"\0")

    def listxattr(self, ino: int, size: int = BIG) -> bytes | int | None:
        return self.ask(wire.LISTXATTR, ino, wire.SIZE.pack(size))

    def _opened(self, opcode: int, ino: int, flags: int) -> Opened | int | None:
        def read(data: bytes) -> Opened:
            fh, told, padding = wire.OPENED.unpack(data)
            assert padding == 0
            return Opened(fh, told)

        return self._read(opcode, ino, wire.FLAGS.pack(flags) + bytes(4), read)

    def open(self, ino: int, flags: int = os.O_RDONLY) -> Opened | int | None:
        return self._opened(wire.OPEN, ino, flags)

    def read(self, fh: int, offset: int, size: int) -> bytes | int | None:
        return self.ask(wire.READ, ROOT, wire.READING.pack(fh, offset, size) + bytes(20))

    def flush(self, fh: int) -> bytes | int | None:
        return self.ask(wire.FLUSH, ROOT, wire.HANDLE.pack(fh) + bytes(16))

    def release(self, fh: int) -> bytes | int | None:
        return self.ask(wire.RELEASE, ROOT, wire.HANDLE.pack(fh) + bytes(16))

    def opendir(self, ino: int) -> Opened | int | None:
        return self._opened(wire.OPENDIR, ino, os.O_DIRECTORY)

    def readdir(self, fh: int, start: int = 0, size: int = BIG) -> list[Listed] | int | None:
        def read(data: bytes) -> list[Listed]:
            assert len(data) <= size
            return listed(data)

        body = wire.READING.pack(fh, start, size) + bytes(20)
        return self._read(wire.READDIRPLUS, ROOT, body, read)

    def releasedir(self, fh: int) -> bytes | int | None:
        return self.ask(wire.RELEASEDIR, ROOT, wire.HANDLE.pack(fh) + bytes(16))

    def forget(self, *what: tuple[int, int]) -> None:
        """One request for each."""
        for ino, times in what:
            assert self.ask(wire.FORGET, ino, wire.FORGOTTEN.pack(times)) == b""

    def forget_many(self, *what: tuple[int, int]) -> None:
        """One request for all."""
        body = wire.FORGOTTEN_MANY.pack(len(what))
        body += b"".join(wire.FORGOTTEN_ONE.pack(*one) for one in what)
        assert self.ask(wire.BATCH_FORGET, 0, body) == b""


class Asked:
    """Asks the handlers, which must not wait."""

    def __init__(self, operations: Operations) -> None:
        self._handlers = operations

    @staticmethod
    def _ask(request: Coroutine[Any, Any, T]) -> T | int:
        try:
            return at_once(request)
        except FUSEError as error:
            return error.errno

    @staticmethod
    def _stat(told: EntryAttributes) -> Stat:
        return Stat(
            told.st_ino, told.st_size, told.st_blocks,
            (told.st_atime_ns, told.st_mtime_ns, told.st_ctime_ns), told.st_mode, told.st_nlink,
            told.st_uid, told.st_gid, told.st_rdev, told.st_blksize,
        )  # fmt: skip

    def lookup(self, parent: int, name: bytes) -> Entry | float | int:
        told = self._ask(self._handlers.lookup(parent, name, CTX))
        if isinstance(told, int):
            return told
        if not told.st_ino:
            return float(told.entry_timeout)
        stat = self._stat(told)
        return Entry(told.st_ino, told.generation, told.entry_timeout, told.attr_timeout, stat)

    def getattr(self, ino: int) -> tuple[float, Stat] | int:
        told = self._ask(self._handlers.getattr(ino, CTX))
        return told if isinstance(told, int) else (told.attr_timeout, self._stat(told))

    def readlink(self, ino: int) -> bytes | int:
        return self._ask(self._handlers.readlink(ino, CTX))

    def getxattr(self, ino: int, name: bytes) -> bytes | int:
        return self._ask(self._handlers.getxattr(ino, name, CTX))

    def listxattr(self, ino: int) -> bytes | int:
        names = self._ask(self._handlers.listxattr(ino, CTX))
        return names if isinstance(names, int) else b"".join(name + b"\0" for name in names)

    def open(self, ino: int, flags: int = os.O_RDONLY) -> Opened | int:
        told = self._ask(self._handlers.open(ino, flags, CTX))
        if isinstance(told, int):
            return told
        assert not told.direct_io
        assert not told.nonseekable
        return Opened(told.fh, wire.KEEP_CACHE if told.keep_cache else 0)

    def read(self, fh: int, offset: int, size: int) -> bytes | int:
        data = self._ask(self._handlers.read(fh, offset, size))
        return data if isinstance(data, int) else bytes(data)

    def opendir(self, ino: int) -> Opened | int:
        fh = self._ask(_wrapped(self._handlers.opendir(ino, CTX)))
        return fh if isinstance(fh, int) else Opened(fh[0], 0)

    def readdir(self, fh: int, start: int = 0, size: int = BIG) -> list[Listed] | int:
        with reply(size) as kernel:
            answer = self._ask(self._handlers.readdir(fh, start, kernel.token))
            return answer if isinstance(answer, int) else list(kernel)

    def releasedir(self, fh: int) -> bytes | int:
        return self._ask(self._handlers.releasedir(fh)) or b""


async def _wrapped(request: Coroutine[Any, Any, T]) -> tuple[T]:
    """So that a result that is an int is none of the errnos."""
    return (await request,)


class Mount(NamedTuple):
    """One mount of a tree."""

    operations: Operations
    raw: Raw
    asked: Asked
    trees: Trees

    def told(self) -> dict[str, object]:
        """What it knows of the kernel."""
        stats = self.operations.stats()
        return {name: stats[name] for name in stats if name not in ("requests", "errors")}


@contextmanager
def mounted(
    *trees: Tree, umask: int = UMASK, root: Memory | None = None, read_only: bool = False
) -> Iterator[Mount]:
    """A mount with *trees*, until the kernel forgets them, and with *root*."""
    root = root or Memory(ino=ROOT)
    held = Trees()
    while trees:
        held.hold(trees[0])
        trees = trees[1:]  # nobody else is to keep them
    with closing(Watcher(root, lambda _parent, _name: None)) as watcher:
        attributes = Attributes(UID, GID, umask)
        operations = Operations(root, attributes, Statfs("/tmp"), watcher, read_only, held)
        yield Mount(operations, Raw(operations), Asked(operations), held)
