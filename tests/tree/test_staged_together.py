"""Staged files that several programs write at once."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
import trio

from rossfs.store.ingest import Ingest
from rossfs.store.store import Store
from rossfs.tree import uploads
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.numbers import Numbers
from rossfs.tree.uploads import INLINE, Uploads
from tests.builders import digest_of
from tests.suites.directory_suite import CALLER
from tests.tree.writing import (
    close,
    create,
    pinned,
    scratch,
    write,
)

DATA = b"bytes of a file\n" * 300
BIG = random.Random(5).randbytes(6 << 20)


@pytest.fixture
async def directory(store: Store, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, Uploads(store), numbers)


async def test_four_writers_of_four_files_do_not_disturb_each_other(
    directory: IncomingDirectory, store: Store
) -> None:
    async def writer(seed: int) -> None:
        numbers = random.Random(seed)
        for turn in range(12):
            data = numbers.randbytes(numbers.choice([1, 1000, INLINE + 1000]))
            name = b"%d-%d" % (seed, turn)
            await write(directory, name, data)
            assert await pinned(directory, name) == digest_of(data)
            assert store.get_blob(digest_of(data)) == data

    async with trio.open_nursery() as nursery:
        for seed in range(4):
            nursery.start_soon(writer, seed)
    assert len(directory.entries()) == 48
    assert scratch(store) == []


async def test_four_writers_of_one_file_make_one_content(
    directory: IncomingDirectory, store: Store
) -> None:
    part = 1 << 20
    data = BIG[: 4 * part]
    node, first = await create(directory, b"name")

    async def writer(number: int) -> None:
        handle = await node.open(os.O_WRONLY, CALLER)
        for at in range(number * part, (number + 1) * part, 100_000):
            piece = data[at : min(at + 100_000, (number + 1) * part)]
            await handle.write(at, piece)
            await trio.lowlevel.checkpoint()
        await close(handle)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(writer, number)
    await close(first)
    assert await pinned(directory, b"name") == digest_of(data)
    assert list(store.list_blobs()) == [digest_of(data)]


async def test_writing_and_closing_at_once_ends_with_what_was_written(
    directory: IncomingDirectory,
) -> None:
    node, writer = await create(directory, b"name")
    closer = await node.open(os.O_WRONLY, CALLER)

    async def flushes() -> None:
        for _ in range(20):
            await closer.flush()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flushes)
        for at in range(0, 100_000, 1000):
            await writer.write(at, BIG[at : at + 1000])
            await trio.lowlevel.checkpoint()
    await closer.release()
    await close(writer)
    assert await pinned(directory, b"name") == digest_of(BIG[:100_000])


async def test_a_cancelled_server_still_carries_out_what_it_accepted(
    directory: IncomingDirectory,
) -> None:
    _, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    await handle.flush()
    with trio.CancelScope() as scope:
        scope.cancel()
        await handle.release()
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_writes_leave_the_event_loop_while_the_disk_keeps_writers_waiting(
    directory: IncomingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    delay = 0.0

    def write_at(ingest: Ingest, offset: int, data: bytes) -> None:
        threads.append(threading.current_thread() is not threading.main_thread())
        time.sleep(delay)
        plainly(ingest, offset, data)

    plainly = Ingest.write_at
    monkeypatch.setattr(Ingest, "write_at", write_at)
    monkeypatch.setattr(uploads, "PAUSE", 0.2)
    _, handle = await create(directory, b"name")
    await handle.write(0, b"a")
    delay = 2 * uploads.SLOW
    await handle.write(1, b"b")
    await handle.write(2, b"c")
    await handle.write(3, bytes(INLINE))
    delay = 0.0
    await trio.sleep(0.25)
    await handle.write(4, b"d")
    assert threads == [False, False, True, True, False]
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(b"abc\0d" + bytes(INLINE - 2))
