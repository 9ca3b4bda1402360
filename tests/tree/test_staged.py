"""A file from its first byte to the moment when it ceases to be one."""

from __future__ import annotations

import errno
import os
import random
import stat

import pytest
import trio
import trio.testing

from rossfs.errors import DigestMismatch, ReadOnlyStore
from rossfs.store import uploads
from rossfs.store.store import Store
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import AttrChange
from rossfs.tree.numbers import Numbers
from rossfs.tree.uploads import INLINE, Uploads
from tests.builders import digest_of
from tests.suites.directory_suite import CALLER, find
from tests.tree.writing import (
    close,
    content,
    create,
    error_of,
    pinned,
    reason,
    scratch,
    waiting,
    write,
)

DATA = b"bytes of a file\n" * 300
BIG = random.Random(5).randbytes(6 << 20)


@pytest.fixture
async def directory(store: Store, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, Uploads(store), numbers)


# Committing


async def test_a_closed_file_is_content(directory: IncomingDirectory, store: Store) -> None:
    await write(directory, b"name", DATA)
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert store.get_blob(digest_of(DATA)) == DATA
    assert scratch(store) == []


async def test_what_is_written_in_any_order_hashes_right(
    directory: IncomingDirectory, store: Store
) -> None:
    pieces = [(at, BIG[at : at + 100_000]) for at in range(0, len(BIG), 100_000)]
    random.Random(1).shuffle(pieces)
    _, handle = await create(directory, b"name")
    for at, piece in pieces:
        await handle.write(at, piece)
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(BIG)


async def test_large_and_small_writes_may_alternate(
    directory: IncomingDirectory, store: Store
) -> None:
    _, handle = await create(directory, b"name")
    at, sizes = 0, random.Random(7)
    while at < len(BIG):
        piece = BIG[at : at + sizes.choice([1, 100, INLINE, INLINE + 1, 1 << 20])]
        assert await handle.write(at, piece) == len(piece)
        at += len(piece)
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(BIG)
    assert store.get_blob(digest_of(BIG)) == BIG


async def test_holes_are_zeros(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name")
    await handle.write(5000, b"end")
    await node.setattr(AttrChange(size=9000), CALLER)
    assert node.attr().size == 9000
    await close(handle)
    expected = b"\0" * 5000 + b"end" + b"\0" * 3997
    assert await pinned(directory, b"name") == digest_of(expected)


async def test_a_file_can_be_cut_and_written_again(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    await node.setattr(AttrChange(size=10), CALLER)
    await handle.write(10, b"more")
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA[:10] + b"more")


async def test_what_is_written_can_be_read_at_once(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name", os.O_RDWR | os.O_CREAT)
    await handle.write(0, DATA)
    assert bytes(await handle.read(0, 1 << 20)) == DATA
    assert bytes(await handle.read(len(DATA), 10)) == b""
    assert await content(node) == DATA
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_only_files_that_are_not_read_bypass_the_page_cache(
    directory: IncomingDirectory,
) -> None:
    _, writer = await create(directory, b"a", os.O_WRONLY | os.O_CREAT)
    _, both = await create(directory, b"b", os.O_RDWR | os.O_CREAT)
    assert writer.direct_io
    assert not both.direct_io
    assert not both.keep_cache
    await close(writer)
    await close(both)


# Closing


async def test_close_may_come_several_times(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name")
    await handle.write(0, b"one")
    await handle.flush()
    await handle.flush()
    await handle.write(3, b"two")
    # The promise of before is over: a crash now must not commit half of it.
    assert list(uploads.records(node.uploads.store.paths)) == []
    assert await find(directory, b"name") is node
    await handle.flush()
    await handle.release()
    assert await pinned(directory, b"name") == digest_of(b"onetwo")


async def test_the_name_does_not_turn_while_another_writer_is_open(
    directory: IncomingDirectory, store: Store
) -> None:
    node, first = await create(directory, b"name")
    second = await node.open(os.O_WRONLY, CALLER)
    await first.write(0, b"first ")
    await close(first)
    assert await find(directory, b"name") is node
    assert list(store.list_blobs()) == []
    await second.write(6, b"second")
    await close(second)
    assert await pinned(directory, b"name") == digest_of(b"first second")


async def test_a_reader_does_not_keep_the_name_from_turning(
    directory: IncomingDirectory,
) -> None:
    node, writer = await create(directory, b"name")
    reader = await node.open(os.O_RDONLY, CALLER)
    await writer.write(0, DATA)
    await close(writer)
    assert await pinned(directory, b"name") == digest_of(DATA)
    # Whoever has it open goes on reading.
    assert bytes(await reader.read(0, 1 << 20)) == DATA
    assert node.attr().size == len(DATA)
    await close(reader)


async def test_a_lookup_waits_for_a_release_that_is_late(directory: IncomingDirectory) -> None:
    _, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    await handle.flush()

    async def late() -> None:
        await trio.sleep(0.01)
        await handle.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(late)
        assert await pinned(directory, b"name") == digest_of(DATA)


async def test_a_lookup_does_not_wait_for_ever(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    await handle.flush()
    with trio.fail_after(30):
        assert await find(directory, b"name") is node
    await handle.release()


async def test_nobody_waits_for_a_file_that_is_being_written(
    directory: IncomingDirectory,
) -> None:
    node, handle = await create(directory, b"name")
    with trio.testing.assert_no_checkpoints():
        assert directory.lookup(b"name") is node
    await handle.write(0, DATA)
    await handle.flush()
    await handle.write(len(DATA), b"more")
    with trio.testing.assert_no_checkpoints():
        assert directory.lookup(b"name") is node
    await close(handle)


async def test_what_is_written_after_the_last_close_counts_too(
    directory: IncomingDirectory,
) -> None:
    # mmap(2): pages may be written until munmap(2), of which no FLUSH tells.
    _, handle = await create(directory, b"name", os.O_RDWR | os.O_CREAT)
    await handle.write(0, b"before")
    await handle.flush()
    await handle.write(0, b"after ")
    await handle.release()
    assert await pinned(directory, b"name") == digest_of(b"after ")


async def test_wrong_bytes_after_the_last_close_are_refused_silently(
    directory: IncomingDirectory,
) -> None:
    name = digest_of(b"before").hex.encode()
    _, handle = await create(directory, name, os.O_RDWR | os.O_CREAT)
    await handle.write(0, b"before")
    await handle.flush()
    await handle.write(0, b"after ")
    await handle.release()
    assert b"hash to" in reason(await waiting(directory, name))


# Refusing


async def test_wrong_bytes_are_refused_at_each_close_until_they_are_right(
    directory: IncomingDirectory, store: Store
) -> None:
    name = b"sha256:" + digest_of(b"right").hex.encode()
    node, handle = await create(directory, name)
    await handle.write(0, b"wrong")
    for _ in range(2):
        with pytest.raises(DigestMismatch, match="not committed"):
            await handle.flush()
    assert b"hash to" in reason(node)
    assert list(store.list_blobs()) == []
    await handle.write(0, b"right")
    assert node.xattrs() == {}
    await close(handle)
    assert await pinned(directory, name) == digest_of(b"right")


async def test_fsync_checks_the_name_too(directory: IncomingDirectory) -> None:
    name = digest_of(b"right").hex.encode()
    _, handle = await create(directory, name)
    await handle.write(0, b"wrong")
    with pytest.raises(DigestMismatch):
        await handle.fsync(False)
    await handle.write(0, b"right")
    await handle.fsync(True)
    await close(handle)
    assert await pinned(directory, name) == digest_of(b"right")


async def test_fsync_before_and_after_close_changes_nothing(directory: IncomingDirectory) -> None:
    _, handle = await create(directory, b"name")
    await handle.fsync(False)
    await handle.write(0, DATA)
    await handle.fsync(False)
    await handle.flush()
    await handle.fsync(False)
    await handle.release()
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_a_refused_file_holds_no_descriptor(
    directory: IncomingDirectory, store: Store
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    names = [digest_of(b"%d" % number).hex.encode() for number in range(5)]
    for name in names:
        assert isinstance(await error_of(write(directory, name, b"wrong")), DigestMismatch)
    nodes = [await waiting(directory, name) for name in names]
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(b"hash to" in reason(node) for node in nodes)
    assert scratch(store) == []


# Attributes


async def test_mode_owner_and_times_are_kept(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b".x.abcdef")
    await handle.write(0, DATA)
    change = AttrChange(mode=0o640, uid=7, gid=8, mtime_ns=10**18, atime_ns=-5 * 10**9)
    await node.setattr(change, CALLER)
    await close(handle)
    attr = (await waiting(directory, b".x.abcdef")).attr()
    assert stat.S_IMODE(attr.mode) == 0o640
    assert stat.S_ISREG(attr.mode)
    assert (attr.uid, attr.gid) == (7, 8)
    assert (attr.mtime_ns, attr.atime_ns) == (10**18, -5 * 10**9)
    assert attr.size == len(DATA)


async def test_times_can_be_set_before_and_after_close(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    await node.setattr(AttrChange(mtime_ns=10**18), CALLER)
    await handle.flush()
    await node.setattr(AttrChange(mtime_ns=10**17, atime_ns=10**17), CALLER)
    await handle.release()
    assert await pinned(directory, b"name") == digest_of(DATA)
    content = node.uploads.store.contents.find(digest_of(DATA))
    assert content is not None
    assert content.proven


async def test_a_file_that_nobody_has_open_can_be_cut(directory: IncomingDirectory) -> None:
    await write(directory, b".x.abcdef", DATA)
    node = await waiting(directory, b".x.abcdef")
    await node.setattr(AttrChange(size=7), CALLER)
    assert node.attr().size == 7
    assert await content(await waiting(directory, b".x.abcdef")) == DATA[:7]


async def test_lengthening_an_empty_file_commits_it(directory: IncomingDirectory) -> None:
    node = await write(directory, b"name", b"")
    await node.setattr(AttrChange(size=5), CALLER)
    assert await pinned(directory, b"name") == digest_of(b"\0" * 5)


async def test_extended_attributes_are_not_kept(directory: IncomingDirectory) -> None:
    node = await write(directory, b"name", b"")
    for change in (node.setxattr(b"user.x", b"y"), node.setxattr(b"user.ross.error", b"y")):
        error = await error_of(change)
        assert isinstance(error, OSError)
        assert error.errno == errno.EOPNOTSUPP
    assert node.xattrs() == {}


async def test_a_store_open_for_reading_takes_no_change(store: Store, numbers: Numbers) -> None:
    writable = incoming_directory(store, Uploads(store), numbers)
    await write(writable, b"name", b"")
    with Store.open(store.paths.root, read_only=True) as reading:
        directory = incoming_directory(reading, Uploads(reading), numbers)
        node = await waiting(directory, b"name")
        for change in (
            node.open(os.O_WRONLY, CALLER),
            node.setattr(AttrChange(size=4), CALLER),
            node.setattr(AttrChange(mode=0o600), CALLER),
            directory.create(b"new", 0o644, os.O_WRONLY, CALLER),
        ):
            assert isinstance(await error_of(change), ReadOnlyStore)
        assert await content(node) == b""


# Without waiting


async def test_what_is_written_at_once_counts_as_written(
    directory: IncomingDirectory, store: Store
) -> None:
    _, handle = await create(directory, b"name")
    buffer = bytearray(DATA)
    assert handle.write_ready(0, memoryview(buffer))
    buffer[:] = bytes(len(buffer))  # the kernel's next request
    assert handle.write_ready(len(DATA), memoryview(DATA))
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA * 2)
    assert store.get_blob(digest_of(DATA * 2)) == DATA * 2


async def test_what_was_judged_is_not_written_to_at_once(directory: IncomingDirectory) -> None:
    _, handle = await create(directory, b"name")
    assert handle.write_ready(0, memoryview(DATA))
    await handle.flush()
    assert not handle.write_ready(0, memoryview(b"x"))
    await handle.write(0, b"x")
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(b"x" + DATA[1:])


async def test_who_only_reads_writes_nothing(directory: IncomingDirectory) -> None:
    node, handle = await create(directory, b"name")
    reader = await node.open(os.O_RDONLY, CALLER)
    assert not reader.write_ready(0, memoryview(b"x"))
    await reader.release()
    await close(handle)
