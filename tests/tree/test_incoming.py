"""incoming/: its names, and what each becomes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import ClassVar

import pytest
import trio

from rossfs.errors import BlobNotFound, Busy, DigestMismatch
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import AttrChange, Directory, Symlink
from rossfs.tree.numbers import Numbers
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of
from tests.suites.directory_suite import CALLER, STRANGE_NAMES, DirectorySuite, find, listed
from tests.tree.writing import (
    CREATE,
    close,
    create,
    error_of,
    pinned,
    published,
    scratch,
    waiting,
    write,
    write_over,
)

DATA = b"bytes of a file\n" * 300
OTHER = b"other bytes"


@pytest.fixture
async def directory(store: Store, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, Uploads(store), numbers)


@pytest.fixture
async def again(store: Store, numbers: Numbers) -> IncomingDirectory:
    """incoming/ of another mount of the same store."""
    return incoming_directory(store, Uploads(store), numbers)


async def names(directory: Directory) -> set[bytes]:
    return {entry.name for entry in await listed(directory)}


async def errno_of(change: object) -> int | None:
    error = await error_of(change)  # type: ignore[arg-type]
    return getattr(error, "errno", None)


class TestWithEverythingInIt(DirectorySuite):
    strange_names: ClassVar[Sequence[bytes]] = (*STRANGE_NAMES, b".tmp")

    @pytest.fixture
    async def directory(self, store: Store, numbers: Numbers) -> IncomingDirectory:
        directory = incoming_directory(store, Uploads(store), numbers)
        await write(directory, b"pin", DATA)
        await write(directory, b"empty", b"")
        await write(directory, b".temporary.AbC123", DATA)
        await write(directory, bytes(range(1, 47)), DATA)
        assert await error_of(write(directory, b"0" * 64, DATA))
        below = await directory.mkdir(b"directory", 0o755, CALLER)
        assert isinstance(below, IncomingDirectory)
        await write(below, b"pin", OTHER)
        _, handle = await create(directory, b"open")
        await handle.write(0, DATA)
        return directory


class TestEmpty(DirectorySuite):
    empty = True

    @pytest.fixture
    async def directory(self, store: Store, numbers: Numbers) -> IncomingDirectory:
        return incoming_directory(store, Uploads(store), numbers)


# Pins


async def test_a_pin_says_the_digest_from_wherever_it_is(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    node = await find(directory, b"name")
    assert isinstance(node, Symlink)
    assert node.target() == b"../blobs/sha256/" + digest_of(DATA).hex.encode()
    below = await directory.mkdir(b"a", 0o755, CALLER)
    assert isinstance(below, IncomingDirectory)
    deeper = await below.mkdir(b"b", 0o755, CALLER)
    assert isinstance(deeper, IncomingDirectory)
    await write(deeper, b"name", DATA)
    node = await find(deeper, b"name")
    assert isinstance(node, Symlink)
    assert node.target() == b"../../../blobs/sha256/" + digest_of(DATA).hex.encode()


async def test_a_pin_is_another_inode_than_the_file_was(directory: IncomingDirectory) -> None:
    node = await write(directory, b"name", DATA)
    first = await find(directory, b"name")
    await write_over(directory, b"name", OTHER)
    second = await find(directory, b"name")
    assert first is not None
    assert second is not None
    assert len({node.ino, first.ino, second.ino}) == 3


async def test_a_pin_can_be_made_young(directory: IncomingDirectory, store: Store) -> None:
    await write(directory, b"name", DATA)
    node = await find(directory, b"name")
    assert node is not None
    await node.setattr(AttrChange(mtime_ns=10**18), CALLER)
    assert node.attr().mtime_ns == 10**18
    assert list(store.incoming.pinned(86400)) == []
    node = await find(directory, b"name")
    assert node is not None
    assert node.attr().mtime_ns == 10**18


async def test_stored_content_can_be_pinned(directory: IncomingDirectory, store: Store) -> None:
    digest, _ = store.put_blob(None, DATA)
    text = f"../blobs/sha256/{digest.hex}".encode()
    node = await directory.symlink(b"name", text, CALLER)
    assert isinstance(node, Symlink)
    assert node.target() == text
    assert await pinned(directory, b"name") == digest
    absent = b"x/sha256/" + b"0" * 64
    assert isinstance(await error_of(directory.symlink(b"no", absent, CALLER)), BlobNotFound)
    assert await errno_of(directory.symlink(b"no", b"/etc/passwd", CALLER)) == errno.EPERM
    assert await errno_of(directory.symlink(b"name", text, CALLER)) == errno.EEXIST
    wrong = b"sha256:" + b"0" * 64
    assert isinstance(await error_of(directory.symlink(wrong, text, CALLER)), DigestMismatch)
    assert await names(directory) == {b"name"}


async def test_a_link_to_anything_else_is_not_shown(
    directory: IncomingDirectory, store: Store
) -> None:
    os.makedirs(store.paths.incoming, exist_ok=True)
    os.symlink("/etc/passwd", f"{store.paths.incoming}/foreign")
    os.mkfifo(f"{store.paths.incoming}/fifo")
    assert await names(directory) == set()
    os.unlink(f"{store.paths.incoming}/foreign")
    os.unlink(f"{store.paths.incoming}/fifo")


# Waiting


async def test_an_empty_file_waits(
    directory: IncomingDirectory, again: IncomingDirectory, store: Store
) -> None:
    await write(directory, b"name", b"")
    for mount in (directory, again):
        node = await waiting(mount, b"name")
        assert node.attr().size == 0
        assert node.xattrs() == {}
    assert list(store.list_blobs()) == []
    handle = await (await waiting(again, b"name")).open(os.O_WRONLY, CALLER)
    await handle.write(0, DATA)
    await close(handle)
    for mount in (directory, again):
        assert await pinned(mount, b"name") == digest_of(DATA)


async def test_the_digest_of_nothing_names_the_empty_blob(
    directory: IncomingDirectory, store: Store
) -> None:
    name = digest_of(b"").hex.encode()
    await write(directory, name, b"")
    assert await pinned(directory, name) == digest_of(b"")
    assert store.get_blob(digest_of(b"")) == b""


async def test_mknod_makes_an_empty_file_and_nothing_else(directory: IncomingDirectory) -> None:
    node = await directory.mknod(b"name", stat.S_IFREG | 0o600, 0, CALLER)
    assert stat.S_IMODE(node.attr().mode) == 0o600
    assert await find(directory, b"name") is node
    for kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK):
        made = directory.mknod(b"special", kind | 0o600, 0, CALLER)
        assert await errno_of(made) == errno.EPERM
    assert await names(directory) == {b"name"}


# Creating and removing


async def test_a_new_name_cannot_be_an_old_one(directory: IncomingDirectory) -> None:
    await write(directory, b"pin", DATA)
    await write(directory, b"empty", b"")
    _, handle = await create(directory, b"open")
    for name in (b"pin", b"empty", b"open"):
        made = directory.create(name, 0o644, CREATE | os.O_EXCL, CALLER)
        assert await errno_of(made) == errno.EEXIST
        assert await errno_of(directory.mkdir(name, 0o755, CALLER)) == errno.EEXIST
    await close(handle)


async def test_creating_what_is_there_opens_it(directory: IncomingDirectory) -> None:
    first, one = await create(directory, b"name")
    second, two = await create(directory, b"name")
    assert first is second
    await one.write(0, b"one")
    await close(one)
    await two.write(3, b"two")
    await close(two)
    assert await pinned(directory, b"name") == digest_of(b"onetwo")
    _, three = await create(directory, b"name")
    await three.write(6, b"three")
    await close(three)
    assert await pinned(directory, b"name") == digest_of(b"onetwothree")


async def test_the_mode_of_a_new_file_is_kept(directory: IncomingDirectory) -> None:
    node, handle = await directory.create(b"name", 0o600, CREATE, CALLER)
    assert node.attr().mode == stat.S_IFREG | 0o600
    await close(handle)
    assert (await waiting(directory, b"name")).attr().mode == stat.S_IFREG | 0o600


async def test_a_removed_file_comes_to_nothing(directory: IncomingDirectory, store: Store) -> None:
    node, handle = await create(directory, b"name", os.O_RDWR | os.O_CREAT)
    await handle.write(0, DATA)
    await handle.flush()
    await directory.unlink(b"name", CALLER)
    assert await find(directory, b"name") is None
    assert await names(directory) == set()
    await handle.write(len(DATA), OTHER)
    assert bytes(await handle.read(0, 1 << 20)) == DATA + OTHER
    assert node.attr().size == len(DATA + OTHER)
    assert await errno_of(node.open(os.O_WRONLY, CALLER)) == errno.ESTALE
    await close(handle)
    assert list(store.list_blobs()) == []
    assert scratch(store) == []
    assert list(store.incoming.unfinished_digests()) == []


async def test_a_removed_name_can_be_used_again_at_once(directory: IncomingDirectory) -> None:
    _, old = await create(directory, b"name")
    await old.write(0, DATA)
    await directory.unlink(b"name", CALLER)
    await write(directory, b"name", OTHER)
    await close(old)
    assert await pinned(directory, b"name") == digest_of(OTHER)


async def test_everything_can_be_removed(directory: IncomingDirectory, store: Store) -> None:
    await write(directory, b"pin", DATA)
    await write(directory, b"empty", b"")
    await write(directory, b".t.abcdef", DATA)
    await error_of(write(directory, b"0" * 64, DATA))
    await write(directory, b"rewritten", DATA)
    files = ContentFiles(store.contents, Numbers())
    node = await published(directory, b"rewritten", files)
    staged = await directory.rewrite(b"rewritten", node, os.O_WRONLY, CALLER)
    assert isinstance(staged, Staged)
    handle = await staged.open(os.O_WRONLY, CALLER)
    for name in await names(directory):
        await directory.unlink(name, CALLER)
        assert await errno_of(directory.unlink(name, CALLER)) == errno.ENOENT
    await close(handle)
    assert await names(directory) == set()
    assert os.listdir(store.paths.incoming) == [".tmp"]
    assert scratch(store) == []


async def test_nothing_is_hard_linked(directory: IncomingDirectory) -> None:
    node = await write(directory, b"name", b"")
    assert await errno_of(directory.link(b"new", node, CALLER)) == errno.EPERM


async def test_one_name_is_reserved_at_the_top_only(directory: IncomingDirectory) -> None:
    await write(directory, b"name", b"")
    for change in (
        directory.create(b".tmp", 0o644, CREATE, CALLER),
        directory.mkdir(b".tmp", 0o755, CALLER),
        directory.unlink(b".tmp", CALLER),
        directory.rmdir(b".tmp", CALLER),
        directory.rename(b".tmp", directory, b"x", 0, CALLER),
        directory.rename(b"name", directory, b".tmp", 0, CALLER),
    ):
        assert await errno_of(change) == errno.EPERM
    assert await find(directory, b".tmp") is None
    below = await directory.mkdir(b"d", 0o755, CALLER)
    assert isinstance(below, IncomingDirectory)
    await write(below, b".tmp", DATA)
    assert await pinned(below, b".tmp") == digest_of(DATA)


async def test_a_name_that_is_too_long_is_an_error(directory: IncomingDirectory) -> None:
    assert await errno_of(write(directory, b"x" * 256, DATA)) == errno.ENAMETOOLONG


# Two mounts


async def test_two_mounts_see_each_other_s_names(
    directory: IncomingDirectory, again: IncomingDirectory
) -> None:
    await write(directory, b"one", DATA)
    await write(again, b"two", OTHER)
    for mount in (directory, again):
        assert await names(mount) == {b"one", b"two"}
    await again.unlink(b"one", CALLER)
    assert await names(directory) == {b"two"}


async def test_the_last_of_two_mounts_to_close_has_the_name(
    directory: IncomingDirectory, again: IncomingDirectory
) -> None:
    _, first = await create(directory, b"name")
    _, second = await create(again, b"name")
    await first.write(0, DATA)
    await second.write(0, OTHER)
    await close(second)
    await close(first)
    for mount in (directory, again):
        assert await pinned(mount, b"name") == digest_of(DATA)


async def test_a_waiting_file_is_written_by_one_mount_at_a_time(
    directory: IncomingDirectory, again: IncomingDirectory
) -> None:
    await write(directory, b"name", b"")
    handle = await (await waiting(directory, b"name")).open(os.O_WRONLY, CALLER)
    other = await waiting(again, b"name")
    assert isinstance(await error_of(other.open(os.O_WRONLY, CALLER)), Busy)
    await handle.write(0, DATA)
    await close(handle)
    assert await pinned(again, b"name") == digest_of(DATA)


async def test_a_listing_waits_for_what_was_closed_before_it(
    directory: IncomingDirectory,
) -> None:
    _, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    await handle.flush()

    async def late() -> None:
        await trio.sleep(0.01)
        await handle.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(late)
        entries = await listed(directory)
    assert [(entry.name, type(entry.node)) for entry in entries] == [
        (b"name", type(await find(directory, b"name")))
    ]


async def test_a_listing_beside_busy_writers_comes_to_an_end(
    directory: IncomingDirectory,
) -> None:
    ended = False

    async def writer(seed: int) -> None:
        turn = 0
        while not ended:
            turn += 1
            await write(directory, b"%d-%d" % (seed, turn % 5), b"%d %d" % (seed, turn))
            await directory.unlink(b"%d-%d" % (seed, turn % 5), CALLER)

    async with trio.open_nursery() as nursery:
        for seed in range(3):
            nursery.start_soon(writer, seed)
        with trio.fail_after(60):
            for _ in range(10):
                await listed(directory)
        ended = True
