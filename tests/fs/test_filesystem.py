from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from pyfuse3 import FUSEError
from trio.testing import assert_checkpoints, assert_no_checkpoints

from rossfs.fs import statfs
from rossfs.fs.filesystem import FilesystemOptions, open_filesystem
from rossfs.fs.settling import ROUNDS, settled
from rossfs.fs.statfs import Statfs
from tests.fs.asking import CTX, ROOT, names, refused, small_tree
from tests.fs.memory import Late, Memory, MemoryFile, MemoryHandle

OPTIONS = FilesystemOptions(uid=12, gid=13, umask=0o077)


def forget(parent: int, name: bytes) -> None:
    """What the kernel is told; there is no kernel to tell."""


async def test_the_options_reach_every_answer(tmp_path: Path) -> None:
    root = small_tree()
    async with open_filesystem(root, OPTIONS, str(tmp_path), forget) as operations:
        entry = await operations.lookup(ROOT, b"file", CTX)
        assert (entry.st_uid, entry.st_gid, entry.st_mode & 0o777) == (12, 13, 0o600)
        assert (await operations.statfs(CTX)).f_blocks == os.statvfs(tmp_path).f_blocks
    read_only = OPTIONS._replace(read_only=True)
    async with open_filesystem(root, read_only, str(tmp_path), forget) as operations:
        assert await refused(operations.mkdir(ROOT, b"x", 0o755, CTX)) == errno.EROFS


async def test_at_the_end_files_are_released_and_nodes_forgotten(tmp_path: Path) -> None:
    root = small_tree()
    file = root.children[b"file"]
    assert isinstance(file, MemoryFile)
    async with open_filesystem(root, OPTIONS, str(tmp_path), forget) as operations:
        await operations.lookup(ROOT, b"file", CTX)
        await operations.open(file.ino, os.O_RDWR, CTX)
    assert [handle.released for handle in file.handles] == [1]
    assert file.forgets == 1


async def test_files_are_released_although_the_mount_was_cancelled(tmp_path: Path) -> None:
    file = MemoryFile()
    with trio.CancelScope() as scope:
        async with open_filesystem(
            Memory({b"file": file}, ino=ROOT), OPTIONS, str(tmp_path), forget
        ) as operations:
            await operations.lookup(ROOT, b"file", CTX)
            await operations.open(file.ino, os.O_RDWR, CTX)
            scope.cancel()
            await trio.sleep_forever()
    assert [handle.released for handle in file.handles] == [1]


async def test_an_error_leaves_as_it_was_raised(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_filesystem(small_tree(), OPTIONS, str(tmp_path), forget):
            raise ZeroDivisionError


class Told:
    """What the kernel is told to forget."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[tuple[int, bytes]](100)

    def forget(self, parent: int, name: bytes) -> None:
        self._send.send_nowait((parent, name))

    async def next(self) -> tuple[int, bytes]:
        with trio.fail_after(20):
            return await self._receive.receive()

    def close(self) -> None:
        self._send.close()
        self._receive.close()


@pytest.fixture
def told() -> Iterator[Told]:
    with closing(Told()) as told:
        yield told


async def test_the_kernel_hears_of_changes_once_it_has_looked(tmp_path: Path, told: Told) -> None:
    place = Memory(paths=[str(tmp_path)])
    root = Memory({b"place": place}, ino=ROOT)
    async with open_filesystem(root, OPTIONS, "/", told.forget) as operations:
        await operations.lookup(ROOT, b"place", CTX)
        (tmp_path / "unseen").write_text("x")
        assert await refused(operations.lookup(place.ino, b"seen", CTX)) == errno.ENOENT
        assert operations.stats()["watches"] == 1
        (tmp_path / "seen").write_text("x")
        assert await told.next() == (place.ino, b"seen")


async def test_the_kernel_hears_of_changes_after_a_listing(tmp_path: Path, told: Told) -> None:
    root = Memory(ino=ROOT, paths=[str(tmp_path)])
    async with open_filesystem(root, OPTIONS, "/", told.forget) as operations:
        await names(operations, ROOT)
        (tmp_path / "seen").write_text("x")
        assert await told.next() == (ROOT, b"seen")


async def test_settling_does_not_wait_without_need() -> None:
    directory = Memory()
    with assert_no_checkpoints():
        assert await settled(directory, lambda: 5) == 5


async def test_settling_loads_and_asks_again() -> None:
    directory = Late({b"x": MemoryFile()}, rounds=2)
    assert await settled(directory, lambda: directory.lookup(b"x")) is directory.children[b"x"]
    assert (directory.loads, directory.rounds) == (1, 0)


async def test_settling_lets_others_work() -> None:
    directory = Late({b"x": MemoryFile()}, rounds=ROUNDS + 1)
    with pytest.raises(OSError, match="changing") as refusal, assert_checkpoints():
        await settled(directory, lambda: directory.lookup(b"x"))
    assert refusal.value.errno == errno.EAGAIN


async def test_statfs_does_not_hang_with_the_stores_filesystem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statfs, "PATIENCE", 0.0)  # no answer comes in time
    ask = Statfs(str(tmp_path))
    with pytest.raises(OSError, match="does not answer") as refusal:
        await ask.ask()
    assert refusal.value.errno == errno.EIO
    monkeypatch.undo()
    first = await ask.ask()
    monkeypatch.setattr(statfs, "PATIENCE", 0.0)
    assert (await ask.ask()).f_blocks == first.f_blocks


async def test_statfs_of_what_is_gone_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await Statfs(str(tmp_path / "gone")).ask()


async def test_a_failing_release_at_the_end_is_logged(
    tmp_path: Path, expects_warnings: list[object]
) -> None:
    class Handle(MemoryHandle):
        async def release(self) -> None:
            raise FUSEError(errno.ENOSPC)

    class Odd(MemoryFile):
        async def open(self, flags, caller):  # type: ignore[no-untyped-def]
            return Handle(self)

    root = Memory({b"odd": Odd()}, ino=ROOT)
    async with open_filesystem(root, OPTIONS, str(tmp_path), forget) as operations:
        odd = await operations.lookup(ROOT, b"odd", CTX)
        await operations.open(odd.st_ino, os.O_RDWR, CTX)
    assert len(expects_warnings) == 1
