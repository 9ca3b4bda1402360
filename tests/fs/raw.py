"""Asking one mount twice: in the words of the kernel (direct.py), and as pyfuse3 asks handlers.

`Raw` and `Asked` answer the same requests with the same values: what was told, or an errno.  None
from `Raw` says that the request was handed on.  Listings have no handler.
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
from rossfs.fs.readdir import CLOSED
from rossfs.fs.statfs import Statfs
from rossfs.tree.node import Directory, Tree
from rossfs.tree.trees import Trees
from tests.fs.asking import CTX, GID, ROOT, UID, UMASK
from tests.fs.kernel import at_once
from tests.fs.listing import BIG, Listed, Stat, listed, reading, stat_of
from tests.fs.memory import Memory

T = TypeVar("T")


class Entry(NamedTuple):
    """An answer to LOOKUP."""

    node_id: int
    generation: int
    name_ttl: float
    ttl: float
    stat: Stat


class Opened(NamedTuple):
    """An answer to OPEN."""

    fh: int
    flags: int


class Raw:
    """Asks in the words of the kernel."""

    def __init__(self, operations: Operations) -> None:
        self._answers = operations.direct.answers()
        self._failure = operations.failure

    def ask(self, opcode: int, ino: int, body: bytes = b"") -> bytes | int | None:
        """The answer to any request, which must not wait; what is raised is answered as the device
        does."""
        try:
            answer = self._answers[opcode](ino, memoryview(body))
            if isinstance(answer, Coroutine):
                answer = at_once(answer)
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
            return Entry(node_id, generation, name_ttl, ttl, stat_of(tuple(attr)))

        return self._read(wire.LOOKUP, parent, name + b"\0", read)

    def getattr(self, ino: int) -> tuple[float, Stat] | int | None:
        def read(data: bytes) -> tuple[float, Stat]:
            ttl, part, padding, *attr = wire.ATTR.unpack(data)
            assert part == padding == 0
            return ttl, stat_of(tuple(attr))

        return self._read(wire.GETATTR, ino, bytes(16), read)

    def readlink(self, ino: int) -> bytes | int | None:
        return self.ask(wire.READLINK, ino)

    def getxattr(self, ino: int, name: bytes, size: int = BIG) -> bytes | int | None:
        return self.ask(wire.GETXATTR, ino, wire.SIZE.pack(size) + name + b"\0")

    def listxattr(self, ino: int, size: int = BIG) -> bytes | int | None:
        return self.ask(wire.LISTXATTR, ino, wire.SIZE.pack(size))

    def open(self, ino: int, flags: int = os.O_RDONLY) -> Opened | int | None:
        def read(data: bytes) -> Opened:
            fh, told, padding = wire.OPENED.unpack(data)
            assert padding == 0
            return Opened(fh, told)

        return self._read(wire.OPEN, ino, wire.FLAGS.pack(flags) + bytes(4), read)

    def read(self, fh: int, offset: int, size: int) -> bytes | int | None:
        return self.ask(wire.READ, ROOT, wire.READING.pack(fh, offset, size) + bytes(20))

    def flush(self, fh: int) -> bytes | int | None:
        return self.ask(wire.FLUSH, ROOT, wire.HANDLE.pack(fh) + bytes(16))

    def release(self, fh: int) -> bytes | int | None:
        return self.ask(wire.RELEASE, ROOT, wire.HANDLE.pack(fh) + bytes(16))

    def readdir(self, ino: int, start: int = 0, size: int = BIG) -> list[Listed] | int | None:
        """No entries: that is the end; None: it is, and the kernel must not keep it."""
        answer = self.ask(wire.READDIRPLUS, ino, bytes(reading(start, size)))
        if answer == CLOSED:
            return None
        assert answer is not None
        assert isinstance(answer, int) or len(answer) <= size
        return answer if isinstance(answer, int) else listed(answer)

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
    *trees: Tree, umask: int = UMASK, root: Directory | None = None, read_only: bool = False
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
