"""Asking handlers as the kernel would, over a tree in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import closing, contextmanager

import pytest
from pyfuse3 import FUSEError

from rossfs.fs import wire
from rossfs.fs.attributes import Attributes
from rossfs.fs.notify import Watcher
from rossfs.fs.operations import Operations
from rossfs.fs.statfs import Statfs
from rossfs.tree.node import Directory, Symlink
from rossfs.tree.trees import Trees
from tests.fs.kernel import context
from tests.fs.listing import BIG, DOTS, listed, reading
from tests.fs.memory import Constant, Memory, MemoryFile

ROOT = 1
CTX = context(pid=100)
UID, GID, UMASK = 1000, 1001, 0o022


def small_tree() -> Memory:
    """A root with one node of each kind."""
    return Memory(
        {
            b"file": MemoryFile(b"hello"),
            b"constant": Constant(b"for ever"),
            b"published": MemoryFile(b"published", published=True),
            b"link": Symlink(50, b"file"),
            b"place": Memory({b"deep": MemoryFile(b"deep")}),
        },
        ino=ROOT,
    )


@contextmanager
def over(
    root: Directory, read_only: bool = False, trees: Trees | None = None
) -> Iterator[Operations]:
    """The handlers over *root*, which tell no kernel of changes."""
    with closing(Watcher(root, lambda _parent, _name: None)) as watcher:
        statfs = Statfs("/tmp")
        yield Operations(root, Attributes(UID, GID, UMASK), statfs, watcher, read_only, trees)


async def refused(request: Awaitable[object]) -> int:
    """The errno that *request*, which must fail, is answered."""
    with pytest.raises(FUSEError) as error:
        await request
    return error.value.errno


async def ino(operations: Operations, *path: bytes) -> int:
    """The inode number at *path*, looked up from the root."""
    number = ROOT
    for name in path:
        number = (await operations.lookup(number, name, CTX)).st_ino
    return number


async def names(operations: Operations, number: int, start: int = 0) -> list[bytes]:
    """The names, without dots, in the first reply to who lists a directory from offset *start*."""
    answer = operations.direct.answers()[wire.READDIRPLUS](number, reading(start, BIG))
    data = await answer if isinstance(answer, Coroutine) else answer
    assert not isinstance(data, int | None)
    return [entry.name for entry in listed(bytes(data)) if entry.name not in DOTS]
