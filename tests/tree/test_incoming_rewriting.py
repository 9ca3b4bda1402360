"""Writing to a name of incoming/ that was committed."""

from __future__ import annotations

import os
import random

import pytest
import trio

from rossfs.errors import DigestMismatch
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import Published, Symlink
from rossfs.tree.numbers import Numbers
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of
from tests.suites.directory_suite import CALLER, find, listed
from tests.tree.writing import (
    close,
    content,
    pinned,
    published,
    scratch,
    waiting,
    write,
    write_over,
)

DATA = b"bytes of a file\n" * 300
OTHER = b"other bytes"


async def names_in(directory: IncomingDirectory) -> set[bytes]:
    return {entry.name for entry in await listed(directory)}


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
    assert isinstance(first, Staged)
    handle = await first.open(os.O_WRONLY, CALLER)
    # Until it is closed everybody sees what is committed, and who appends to it joins.
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert await directory.rewrite(b"name", node, os.O_WRONLY, CALLER) is first
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert await directory.rewrite(b"name", node, os.O_WRONLY, CALLER) is not first


async def test_who_empties_a_name_writes_a_file_of_his_own(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    flags = os.O_WRONLY | os.O_TRUNC
    handles = []
    for thread in (1, 2, 3):
        caller = CALLER._replace(pid=thread)
        staged = await directory.rewrite(b"name", node, flags, caller)
        assert await directory.rewrite(b"name", node, flags, caller) is staged
        assert isinstance(staged, Staged)
        handles.append(await staged.open(flags, caller))
        await handles[-1].write(0, b"of thread %d" % thread)
    assert await pinned(directory, b"name") == digest_of(DATA)
    for thread in (2, 3, 1):
        await close(handles[thread - 1])
        assert await pinned(directory, b"name") == digest_of(b"of thread %d" % thread)


async def test_what_a_name_became_meanwhile_is_written_anew(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    staged = await directory.rewrite(b"name", node, os.O_WRONLY | os.O_APPEND, CALLER)
    assert isinstance(staged, Staged)
    await write_over(directory, b"name", OTHER)
    assert isinstance(await directory.rewrite(b"name", node, os.O_WRONLY, CALLER), Staged)
    handle = await staged.open(os.O_WRONLY | os.O_APPEND, CALLER)
    # The kernel says where the end was when it asked.
    await handle.write(len(DATA), b", more")
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(OTHER + b", more")


async def test_only_files_are_written_anew(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    empty = await write(directory, b"empty", b"")
    await directory.mkdir(b"directory", 0o755, CALLER)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    for name in (b"directory", b"absent"):
        assert await directory.rewrite(name, node, os.O_WRONLY, CALLER) is None
    assert await directory.rewrite(b"empty", node, os.O_WRONLY, CALLER) is empty


@pytest.mark.parametrize("accepted", [False, True])
async def test_who_writes_a_name_anew_follows_it_when_it_is_renamed(
    directory: IncomingDirectory, accepted: bool
) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    staged = await directory.rewrite(b"name", node, os.O_WRONLY | os.O_TRUNC, CALLER)
    assert isinstance(staged, Staged)
    handle = await staged.open(os.O_WRONLY | os.O_TRUNC, CALLER)
    await handle.write(0, OTHER)
    if accepted:
        await handle.flush()
    await directory.rename(b"name", directory, b"target", 0, CALLER)
    assert await find(directory, b"name") is None
    assert await pinned(directory, b"target") == digest_of(DATA)
    await close(handle)
    assert await names_in(directory) == {b"target"}
    assert await pinned(directory, b"target") == digest_of(OTHER)


@pytest.mark.parametrize("change", ["unlink", "rename over"])
async def test_nothing_comes_of_writing_a_name_anew_that_is_removed(
    directory: IncomingDirectory, store: Store, change: str
) -> None:
    await write(directory, b"name", DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, b"name", files)
    staged = await directory.rewrite(b"name", node, os.O_WRONLY | os.O_TRUNC, CALLER)
    assert isinstance(staged, Staged)
    handle = await staged.open(os.O_WRONLY | os.O_TRUNC, CALLER)
    await handle.write(0, OTHER)
    if change == "unlink":
        await directory.unlink(b"name", CALLER)
    else:
        await write(directory, b"other", b"third")
        await directory.rename(b"other", directory, b"name", 0, CALLER)
    await handle.write(0, b"o")
    await close(handle)
    assert store.stat_blob(digest_of(b"oher bytes")) is None
    assert await names_in(directory) == (set() if change == "unlink" else {b"name"})
    assert scratch(store) == []


async def test_a_digest_written_anew_with_wrong_bytes_waits(directory: IncomingDirectory) -> None:
    name = digest_of(DATA).hex.encode()
    await write(directory, name, DATA)
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, name, files)
    with pytest.raises(DigestMismatch):
        await write_over(directory, name, OTHER)
    staged = await waiting(directory, name)
    assert await content(staged) == OTHER
    # It is a file like others now, and whoever writes it does so under all eyes.
    handle = await staged.open(os.O_WRONLY | os.O_TRUNC, CALLER)
    assert await find(directory, name) is staged
    await handle.write(0, DATA)
    await close(handle)
    assert await pinned(directory, name) == digest_of(DATA)
    assert isinstance(await directory.rewrite(name, node, os.O_WRONLY, CALLER), Staged)


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
