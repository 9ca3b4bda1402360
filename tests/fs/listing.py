"""Replies to READDIRPLUS as the kernel reads them, and who asks for one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Iterator
from typing import NamedTuple

from rossfs.fs import wire
from rossfs.fs.attributes import Attributes
from rossfs.fs.inodes import Inodes
from rossfs.fs.notify import Watcher
from rossfs.fs.readdir import CLOSED, END, Readdir
from rossfs.tree.node import Directory, Node
from rossfs.tree.trees import Trees
from tests.fs.kernel import at_once
from tests.fs.memory import Memory

DOTS = (b".", b"..")

BIG = 1 << 17
"""Room for all of a reply."""

SMALLEST = wire.DIRENTPLUS.size + 8
"""Bytes of an entry with a short name."""


class Stat(NamedTuple):
    """What stat(2) shows."""

    ino: int
    size: int
    blocks: int
    times_ns: tuple[int, int, int]
    """Of the last access, change of content, and change of status."""

    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    blksize: int


NOTHING = Stat(0, 0, 0, (0, 0, 0), 0, 0, 0, 0, 0, 0)


class Listed(NamedTuple):
    """One entry of a reply."""

    name: bytes
    ino: int
    """What readdir(3) shows; `stat.ino` is the node id, 0 if no attributes come with the name."""

    offset: int
    kind: int
    """DT_*: st_mode >> 12."""

    ttl: float
    stat: Stat

    @property
    def node_id(self) -> int:
        """Of what must be forgotten later; 0: nothing."""
        return 0 if self.name in DOTS else self.stat.ino


def stat_of(attr: tuple[int, ...]) -> Stat:
    """What the fields of struct fuse_attr say."""
    ino, size, blocks, a, m, c, a_ns, m_ns, c_ns, mode, nlink, uid, gid, rdev, blksize, flags = attr
    assert max(a_ns, m_ns, c_ns) < 10**9
    assert flags == 0
    times = a * 10**9 + a_ns, m * 10**9 + m_ns, c * 10**9 + c_ns
    return Stat(ino, size, blocks, times, mode, nlink, uid, gid, rdev, blksize)


def listed(data: bytes) -> list[Listed]:
    """The entries of a reply (fs/fuse/readdir.c, parse_dirplusfile)."""
    found = []
    position = 0
    while position < len(data):
        fields = wire.DIRENTPLUS.unpack_from(data, position)
        node_id, generation, name_ttl, ttl, name_ns, ttl_ns = fields[:6]
        assert (generation, name_ns, name_ttl) == (0, ttl_ns, ttl)
        ino, offset, length, kind = fields[22:]
        position += wire.DIRENTPLUS.size
        name = data[position : position + length]
        assert len(name) == length > 0
        assert b"/" not in name
        padding = data[position + length : position + (length + 7) // 8 * 8]
        assert not any(padding)
        position += (length + 7) // 8 * 8
        if not node_id:
            assert not any(fields[:22])
        stat = stat_of(fields[6:22])
        assert stat.ino == node_id
        found.append(Listed(name, ino, offset, kind, ttl + ttl_ns / 10**9, stat))
    assert position == len(data)
    return found


def shown(name: bytes, node: Node, offset: int, attributes: Attributes) -> Listed:
    """What a listing must say of *node*: what the handlers say of it."""
    told = attributes.build(node, node.attr())
    assert told.entry_timeout == told.attr_timeout
    stat = Stat(
        told.st_ino, told.st_size, told.st_blocks,
        (told.st_atime_ns, told.st_mtime_ns, told.st_ctime_ns), told.st_mode, told.st_nlink,
        told.st_uid, told.st_gid, told.st_rdev, told.st_blksize,
    )  # fmt: skip
    return Listed(name, told.st_ino, offset, told.st_mode >> 12, told.entry_timeout, stat)


def named(name: bytes, ino: int, offset: int, kind: int) -> Listed:
    """A name without attributes."""
    return Listed(name, ino, offset, kind, 0, NOTHING)


def reading(start: int, size: int) -> memoryview:
    """What follows the header of a request for the entries from offset *start* on."""
    return memoryview(wire.READING.pack(0, start, size) + bytes(20))


class Lister:
    """Lists as the kernel does, reply by reply, what waits for nothing."""

    def __init__(
        self, root: Directory | None = None, trees: Trees | None = None, umask: int = 0
    ) -> None:
        root = root or Memory(ino=1)
        self.attributes = Attributes(3, 4, umask)
        self.inodes = Inodes(root, self.attributes, trees=trees)
        self.watcher = Watcher(root, lambda _parent, _name: None)
        self.requests: defaultdict[str, int] = defaultdict(int)
        self.readdir = Readdir(self.inodes, self.watcher, umask, self.requests)

    def close(self) -> None:
        """Watch nothing any more."""
        self.watcher.close()

    def know(self, directory: Directory) -> int:
        """Tell the kernel of *directory*, in the root; its number."""
        if directory.ino not in self.inodes.known:
            self.inodes.remember(directory, 1)
        return directory.ino

    def bytes(self, ino: int, start: int = 0, size: int = BIG) -> bytes:
        """A reply."""
        answer = self.readdir.answer(ino, reading(start, size))
        if isinstance(answer, Coroutine):
            answer = at_once(answer)
        assert not isinstance(answer, int)
        assert len(answer) <= size or answer == CLOSED
        return bytes(answer)

    def ask(self, ino: int, start: int = 0, size: int = BIG) -> list[Listed] | None:
        """The entries of a reply.  None: that is the end, and the kernel must not keep it."""
        data = self.bytes(ino, start, size)
        return None if data == CLOSED else listed(data)

    def parts(self, ino: int, size: int = BIG, start: int = 0) -> Iterator[list[Listed]]:
        """All replies but the one that is the end."""
        kept = END if self.inodes.node(ino).remade else CLOSED
        while (data := self.bytes(ino, start, size)) not in (END, CLOSED):
            entries = listed(data)
            start = entries[-1].offset
            yield entries
        assert data == kept

    def list(self, ino: int, size: int = BIG, start: int = 0) -> list[Listed]:
        """All entries."""
        return [entry for part in self.parts(ino, size, start) for entry in part]

    def counts(self) -> dict[int, int]:
        """What the kernel was told of beside trees, but for the root."""
        return {ino: known.count for ino, known in self.inodes.known.items() if ino != 1}
