"""What pyfuse3 hands to handlers, made without a kernel: contexts, and readdir tokens whose reply
can be read as the kernel would read it (struct fuse_direntplus of linux/fuse.h).

pyfuse3 lets nobody else make these, so their C structs are filled in place, as pyfuse3 3.4 and 3.5
lay them out; `Reply` and `context` check what pyfuse3 reads back where it can be read.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, cast

import pyfuse3

T = TypeVar("T")

_HEAD = object.__basicsize__
_FREE = ctypes.CDLL(None).free
_FREE.argtypes = (ctypes.c_void_p,)

_ENTRY_OUT = struct.Struct("=QQQQII")
"""Begin of struct fuse_entry_out: nodeid, generation, entry and attribute seconds, nanoseconds."""

_ATTR = struct.Struct("=QQQqqqIIIIIIIIII")
"""struct fuse_attr: ino, size, blocks, times, their nanoseconds, mode, nlink, uid,
gid, rdev, blksize."""

_DIRENT = struct.Struct("=QQII")
"""struct fuse_dirent: ino, off, namelen, type; the name follows."""


def context(
    pid: int = 4321, uid: int = 1000, gid: int = 1000, umask: int = 0o022
) -> pyfuse3.RequestContext:
    """Who makes a request."""
    made = pyfuse3.RequestContext()
    fields = struct.pack("=IiII", uid, pid, gid, umask)
    ctypes.memmove(id(made) + _HEAD, fields, len(fields))
    assert (made.uid, made.pid, made.gid, made.umask) == (uid, pid, gid, umask)
    return made


def changed(**what: bool) -> pyfuse3.SetattrFields:
    """Which attributes a SETATTR request changes: changed(mode=True)."""
    names = ("atime", "mtime", "ctime", "mode", "uid", "gid", "size")
    fields = {f"update_{name}": what.pop(name, False) for name in names}
    assert not what
    return cast(pyfuse3.SetattrFields, SimpleNamespace(**fields))


class Listed(NamedTuple):
    """One entry of a reply."""

    name: bytes
    node_id: int
    ino: int
    offset: int
    kind: int
    """DT_*: st_mode >> 12."""

    size: int
    mode: int
    ttl: float
    nlink: int
    uid: int
    gid: int
    rdev: int
    blocks: int
    times_ns: tuple[int, int, int]
    """Of the last access, change of content, and change of status."""


class Reply:
    """A reply of at most *size* bytes that handlers fill through `token`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.token = pyfuse3.ReaddirToken()
        self._words = (ctypes.c_size_t * 4).from_address(id(self.token) + _HEAD)
        assert list(self._words)[1:] == [0, 0, 0]
        self._words[3] = size

    def clear(self) -> None:
        """Forget what was added, so that the token can be used again."""
        self._words[2] = self._words[1]
        self._words[3] = self._size

    def close(self) -> None:
        """Free the buffer."""
        _FREE(self._words[1])
        self._words[1] = 0

    def __iter__(self) -> Iterator[Listed]:
        data = ctypes.string_at(self._words[1], self._size - self._words[3])
        position = 0
        while position < len(data):
            node_id, _, seconds, _, nanoseconds, _ = _ENTRY_OUT.unpack_from(data, position)
            attr = _ATTR.unpack_from(data, position + _ENTRY_OUT.size)
            position += _ENTRY_OUT.size + _ATTR.size
            ino, offset, length, kind = _DIRENT.unpack_from(data, position)
            position += _DIRENT.size
            name = data[position : position + length]
            position += (length + 7) // 8 * 8
            ttl = seconds + nanoseconds / 1e9
            _, size, blocks, a, m, c, a_ns, m_ns, c_ns, mode, nlink, uid, gid, rdev, _, _ = attr
            times = a * 10**9 + a_ns, m * 10**9 + m_ns, c * 10**9 + c_ns
            yield Listed(
                name, node_id, ino, offset, kind, size, mode, ttl, nlink, uid, gid, rdev, blocks,
                times,
            )  # fmt: skip


@contextmanager
def reply(size: int = 1 << 20) -> Iterator[Reply]:
    """A reply, freed at the end."""
    made = Reply(size)
    try:
        yield made
    finally:
        made.close()


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a handler that must not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    coroutine.close()
    raise AssertionError("the handler waited")
