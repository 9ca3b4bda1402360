"""Renaming in incoming/."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from rossfs.errors import DigestMismatch, MissingContent
from rossfs.store import uploads as records
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import Directory
from rossfs.tree.numbers import Numbers
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of, image_parts
from tests.suites.directory_suite import CALLER, find, listed
from tests.tree.writing import close, content, create, error_of, pinned, scratch, waiting, write

DATA = b"bytes of a file\n" * 300
OTHER = b"other bytes"
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4  # flags of renameat2(2)


@pytest.fixture
async def uploads(store: Store) -> Uploads:
    return Uploads(store)


@pytest.fixture
async def directory(store: Store, uploads: Uploads, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, uploads, numbers)


@pytest.fixture
async def below(directory: IncomingDirectory) -> IncomingDirectory:
    return await mkdir(directory, b"below")


async def mkdir(directory: IncomingDirectory, name: bytes) -> IncomingDirectory:
    node = await directory.mkdir(name, 0o755, CALLER)
    assert isinstance(node, IncomingDirectory)
    return node


async def names(directory: Directory) -> set[bytes]:
    return {entry.name for entry in await listed(directory)}


async def move(
    directory: IncomingDirectory,
    name: bytes,
    target: bytes,
    to: Directory | None = None,
    flags: int = 0,
) -> None:
    await directory.rename(name, to or directory, target, flags, CALLER)


async def move_errno(*arguments: object, **more: object) -> int | None:
    error = await error_of(move(*arguments, **more))  # type: ignore[arg-type]
    return getattr(error, "errno", None)


# Pins


async def test_a_pin_can_be_renamed_and_moved(
    directory: IncomingDirectory, below: IncomingDirectory
) -> None:
    await write(directory, b"a", DATA)
    await move(directory, b"a", b"b")
    await move(directory, b"b", b"c", below)
    assert await names(directory) == {b"below"}
    assert await pinned(below, b"c") == digest_of(DATA)
    node = await find(below, b"c")
    assert node is not None
    assert node.attr().size == len(f"../../blobs/sha256/{digest_of(DATA).hex}")


async def test_a_pin_replaces_a_pin_and_a_waiting_file(directory: IncomingDirectory) -> None:
    for target, data in ((b"pin", OTHER), (b"empty", b"")):
        await write(directory, b"name", DATA)
        await write(directory, target, data)
        await move(directory, b"name", target)
        assert await pinned(directory, target) == digest_of(DATA)
    assert await names(directory) == {b"pin", b"empty"}


async def test_a_pin_can_replace_a_file_that_is_open(
    directory: IncomingDirectory, store: Store
) -> None:
    await write(directory, b"pin", DATA)
    _, handle = await create(directory, b"open")
    await handle.write(0, OTHER)
    await handle.flush()
    await move(directory, b"pin", b"open")
    await handle.write(0, b"to nowhere")
    await close(handle)
    assert await pinned(directory, b"open") == digest_of(DATA)
    assert list(store.list_blobs()) == [digest_of(DATA)]
    assert scratch(store) == []


async def test_a_pin_gets_the_name_of_its_own_digest_only(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    wrong, right = digest_of(OTHER), digest_of(DATA)
    refused = await error_of(move(directory, b"name", wrong.hex.encode()))
    assert isinstance(refused, DigestMismatch)
    await move(directory, b"name", str(right).encode())
    assert await names(directory) == {str(right).encode()}


async def test_a_name_that_is_taken_can_be_kept(directory: IncomingDirectory) -> None:
    await write(directory, b"a", DATA)
    await write(directory, b"b", OTHER)
    assert await move_errno(directory, b"a", b"b", flags=NOREPLACE) == errno.EEXIST
    assert await pinned(directory, b"b") == digest_of(OTHER)
    await move(directory, b"a", b"c", flags=NOREPLACE)
    assert await names(directory) == {b"b", b"c"}


@pytest.mark.parametrize("flags", [EXCHANGE, WHITEOUT, NOREPLACE | EXCHANGE])
async def test_other_flags_are_refused(directory: IncomingDirectory, flags: int) -> None:
    await write(directory, b"a", DATA)
    await write(directory, b"b", OTHER)
    assert await move_errno(directory, b"a", b"b", flags=flags) == errno.EINVAL
    assert await pinned(directory, b"b") == digest_of(OTHER)


async def test_what_is_not_there_cannot_be_renamed(directory: IncomingDirectory) -> None:
    assert await move_errno(directory, b"a", b"b") == errno.ENOENT


async def test_a_name_renamed_to_itself_stays(directory: IncomingDirectory) -> None:
    await write(directory, b"a", DATA)
    await move(directory, b"a", b"a")
    assert await pinned(directory, b"a") == digest_of(DATA)


# Files


async def test_an_empty_file_is_renamed_and_goes_on_waiting(
    directory: IncomingDirectory, below: IncomingDirectory, store: Store
) -> None:
    node = await write(directory, b"a", b"")
    await write(below, b"b", OTHER)
    await move(directory, b"a", b"b", below)
    assert await waiting(below, b"b") is node
    assert await find(directory, b"a") is None
    assert list(store.incoming.pins()) == []


async def test_a_file_is_renamed_while_it_is_written(
    directory: IncomingDirectory, below: IncomingDirectory, store: Store
) -> None:
    node, handle = await create(directory, b"a")
    await handle.write(0, DATA)
    await move(directory, b"a", b"b")
    assert await find(directory, b"b") is node
    assert await find(directory, b"a") is None
    await handle.write(len(DATA), OTHER)
    await move(directory, b"b", b"c", below)
    assert list(store.list_blobs()) == []
    await close(handle)
    assert await pinned(below, b"c") == digest_of(DATA + OTHER)
    assert await names(directory) == {b"below"}
    assert scratch(store) == []


async def test_a_file_that_was_closed_once_is_renamed(
    directory: IncomingDirectory, store: Store
) -> None:
    _, handle = await create(directory, b"a")
    await handle.write(0, DATA)
    await handle.flush()
    await move(directory, b"a", b"b")
    # A crash now commits it under the new name.
    assert [record.name for record in records.records(store.paths)] == [b"b"]
    await handle.release()
    assert await pinned(directory, b"b") == digest_of(DATA)


async def test_an_open_file_replaces_what_has_its_new_name(directory: IncomingDirectory) -> None:
    await write(directory, b"pin", OTHER)
    await write(directory, b"empty", b"")
    for target in (b"pin", b"empty"):
        node, handle = await create(directory, b"a")
        await handle.write(0, DATA)
        await move(directory, b"a", target)
        assert await find(directory, target) is node
        await close(handle)
        assert await pinned(directory, target) == digest_of(DATA)
    assert await names(directory) == {b"pin", b"empty"}


async def test_an_open_file_replaces_another_one(
    directory: IncomingDirectory, store: Store
) -> None:
    _, old = await create(directory, b"b")
    await old.write(0, OTHER)
    _, new = await create(directory, b"a")
    await new.write(0, DATA)
    await move(directory, b"a", b"b")
    await close(old)
    await close(new)
    assert await pinned(directory, b"b") == digest_of(DATA)
    assert list(store.list_blobs()) == [digest_of(DATA)]
    assert await names(directory) == {b"b"}
    assert scratch(store) == []


async def test_an_open_file_is_checked_when_it_gets_a_digest_for_a_name(
    directory: IncomingDirectory,
) -> None:
    _, handle = await create(directory, b"a")
    await handle.write(0, DATA)
    wrong, right = digest_of(OTHER).hex.encode(), digest_of(DATA).hex.encode()
    assert isinstance(await error_of(move(directory, b"a", wrong)), DigestMismatch)
    assert await names(directory) == {b"a"}
    await move(directory, b"a", right)
    await close(handle)
    assert await pinned(directory, right) == digest_of(DATA)


async def test_a_closed_file_is_checked_when_it_gets_a_digest_for_a_name(
    directory: IncomingDirectory,
) -> None:
    _, handle = await create(directory, b"a")
    await handle.write(0, DATA)
    await handle.flush()
    wrong = digest_of(OTHER).hex.encode()
    assert isinstance(await error_of(move(directory, b"a", wrong)), DigestMismatch)
    await handle.release()
    assert await pinned(directory, b"a") == digest_of(DATA)


async def test_a_waiting_file_that_is_written_again_is_renamed(
    directory: IncomingDirectory, store: Store
) -> None:
    await write(directory, b".x.abcdef", DATA)
    node = await waiting(directory, b".x.abcdef")
    handle = await node.open(os.O_WRONLY, CALLER)
    await handle.write(len(DATA), OTHER)
    await move(directory, b".x.abcdef", b"name")
    assert await names(directory) == {b"name"}
    assert await find(directory, b"name") is node
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA + OTHER)
    assert sorted(os.listdir(store.paths.incoming)) == [".tmp", "name"]


async def test_a_refused_file_is_renamed_and_stays_refused(
    directory: IncomingDirectory, store: Store
) -> None:
    parts = image_parts()
    assert isinstance(await error_of(write(directory, b"m", parts.manifest)), MissingContent)
    await move(directory, b"m", b"n")
    node = await waiting(directory, b"n")
    assert b"user.ross.error" in node.xattrs()
    assert await content(node) == parts.manifest
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    await move(directory, b"n", b"o")
    assert await pinned(directory, b"o") == parts.digest


async def test_what_is_being_written_anew_is_renamed_with_its_old_pin_gone(
    directory: IncomingDirectory, store: Store
) -> None:
    await write(directory, b"a", DATA)
    node = ContentFiles(store.contents, Numbers()).glance(digest_of(DATA))
    assert node is not None
    staged = await directory.rewrite(b"a", node, os.O_WRONLY, CALLER)
    assert isinstance(staged, Staged)
    handle = await staged.open(os.O_WRONLY, CALLER)
    await handle.write(0, OTHER)
    await move(directory, b"a", b"b")
    assert await names(directory) == {b"b"}
    await close(handle)
    assert await names(directory) == {b"b"}
    assert await pinned(directory, b"b") == digest_of(OTHER + DATA[len(OTHER) :])


# Each step of a rename beside others


async def test_renaming_and_looking_at_once_never_shows_two_names_of_a_file(
    directory: IncomingDirectory,
) -> None:
    node, handle = await create(directory, b"a")
    await handle.write(0, DATA)
    ended = False

    async def look() -> None:
        while not ended:
            shown = {name for name in (b"a", b"b") if directory.find(name) is node}
            assert len(shown) == 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        for _ in range(10):
            await move(directory, b"a", b"b")
            await move(directory, b"b", b"a")
        ended = True
    await close(handle)
    assert await pinned(directory, b"a") == digest_of(DATA)
