"""Writes that are answered at once."""

from __future__ import annotations

import errno
import os

import pytest

from rossfs.fs import wire
from rossfs.tree.handle import Handle
from rossfs.tree.node import Caller
from tests.fs.asking import CTX, ROOT, ino
from tests.fs.memory import Memory, MemoryFile, MemoryHandle
from tests.fs.raw import Mount, mounted

WRITTEN = wire.WRITTEN.pack(5)


class Swift(MemoryHandle):
    """Writes at once up to `NEAR`."""

    NEAR = 100

    def write_ready(self, offset: int, data: memoryview) -> bool:
        if offset >= self.NEAR:
            return False
        if offset == 13:
            raise OSError(errno.ENOSPC, "full")
        end = offset + len(data)
        self.file.data.extend(bytes(max(0, end - len(self.file.data))))
        self.file.data[offset:end] = data
        return True


class SwiftFile(MemoryFile):
    async def open(self, flags: int, caller: Caller) -> Handle:
        return Swift(self)


async def write(
    mount: Mount, offset: int, data: bytes, file: bytes = b"swift"
) -> bytes | int | None:
    number = await ino(mount.operations, file)
    fh = (await mount.operations.open(number, os.O_WRONLY, CTX)).fh
    body = wire.WRITING.pack(fh, offset, len(data)) + data + b"what follows is not written"
    return mount.raw.ask(wire.WRITE, number, body)


async def test_what_need_not_wait_is_written_at_once() -> None:
    file = SwiftFile(b"0123456789")
    with mounted(root=Memory({b"swift": file}, ino=ROOT)) as mount:
        assert await write(mount, 3, b"three") == WRITTEN
        assert file.data == b"012three89"
        assert await write(mount, 12, b"later") == WRITTEN
        assert file.data == b"012three89\0\0later"
        assert mount.operations.stats()["requests"] == {"lookup": 2, "open": 2, "write": 2}


async def test_all_else_is_handed_on() -> None:
    with mounted(root=Memory({b"swift": SwiftFile(), b"file": MemoryFile()}, ino=ROOT)) as mount:
        assert await write(mount, Swift.NEAR, b"x") is None
        assert await write(mount, 0, b"x", b"file") is None
        body = wire.WRITING.pack(999, 0, 1) + b"x"
        assert mount.raw.ask(wire.WRITE, ROOT, body) is None
        assert "write" not in str(mount.operations.stats()["requests"])


@pytest.mark.expects_warnings
async def test_what_fails_is_told() -> None:
    with mounted(root=Memory({b"swift": SwiftFile()}, ino=ROOT)) as mount:
        assert await write(mount, 13, b"x") == errno.ENOSPC
