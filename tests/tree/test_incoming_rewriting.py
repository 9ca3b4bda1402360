"""Writing to a name of incoming/ that was committed."""

from __future__ import annotations

import os
import random

import pytest
import trio

from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import Published, Symlink
from rossfs.tree.numbers import Numbers
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of
from tests.suites.directory_suite import CALLER, find
from tests.tree.writing import (
    close,
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


# Writing to a committed name


async def test_a_committed_name_can_be_written_anew(
    directory: IncomingDirectory, store: Store
) -> None:
    await write(directory, b"name", DATA)
    await write_over(directory, b"name", OTHER)
    assert await pinned(directory, b"name") == digest_of(OTHER)
    assert store.get_blob(digest_of(DATA)) == DATA
    assert store.get_blob(digest_of(OTHER)) == OTHER


async def test_appending_begins_with_what_is_there(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    with pytest.raises(Published):
        await node.open(os.O_WRONLY | os.O_APPEND, CALLER)
    staged = await directory.rewrite(b"name", node, os.O_WRONLY | os.O_APPEND, CALLER)
    assert isinstance(staged, Staged)
    assert staged.attr().size == len(DATA)
    handle = await staged.open(os.O_WRONLY | os.O_APPEND, CALLER)
    assert staged.attr().size == len(DATA)
    await handle.write(len(DATA), OTHER)
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA + OTHER)


async def test_the_file_to_write_is_the_same_until_it_is_opened(
    directory: IncomingDirectory,
) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    first = await directory.rewrite(b"name", node, os.O_WRONLY, CALLER)
    second = await directory.rewrite(b"name", node, os.O_WRONLY, CALLER)
    assert first is second
    # Until then everybody else sees what is committed.
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert isinstance(first, Staged)
    handle = await first.open(os.O_WRONLY, CALLER)
    assert await find(directory, b"name") is first
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_only_the_name_of_that_content_is_written_anew(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    await write(directory, b"other", OTHER)
    await write(directory, b"empty", b"")
    await directory.mkdir(b"directory", 0o755, CALLER)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    for name in (b"other", b"empty", b"directory", b"absent"):
        assert await directory.rewrite(name, node, os.O_WRONLY, CALLER) is None


async def test_a_committed_name_can_become_empty(
    directory: IncomingDirectory, store: Store
) -> None:
    await write(directory, b"name", DATA)
    await write_over(directory, b"name", b"")
    assert (await waiting(directory, b"name")).attr().size == 0
    assert list(store.incoming.pins()) == []


async def test_many_may_write_a_name_anew_at_once(
    directory: IncomingDirectory, store: Store
) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(store.contents, Numbers())

    async def writer(seed: int) -> None:
        numbers = random.Random(seed)
        for _ in range(15):
            data = b"%d" % seed * numbers.choice([1, 1000, 100_000])
            node = await find(directory, b"name")
            flags = os.O_WRONLY | os.O_TRUNC
            if isinstance(node, Symlink):
                before = await published_or_none(directory, files)
                if before is None:
                    continue
                node = await directory.rewrite(b"name", before, flags, CALLER)
            if not isinstance(node, Staged):
                continue
            handle = await node.open(flags, CALLER)
            await handle.write(0, data)
            await close(handle)

    async def published_or_none(
        directory: IncomingDirectory, files: ContentFiles
    ) -> ContentFile | None:
        node = await find(directory, b"name")
        if not isinstance(node, Symlink):
            return None
        return await published(directory, b"name", files)

    async with trio.open_nursery() as nursery:
        for seed in range(4):
            nursery.start_soon(writer, seed)
    digest = await pinned(directory, b"name")
    assert digest_of(store.get_blob(digest)) == digest
    assert scratch(store) == []
