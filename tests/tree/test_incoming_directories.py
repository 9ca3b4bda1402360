"""Directories in incoming/, and moving out of it into others."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from rossfs.errors import InvalidDocument, ManifestNotFound, MissingContent
from rossfs.oci.digest import Digest
from rossfs.store import uploads as records
from rossfs.store.store import Store
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import AttrChange, Caller, Directory, Listing, Node
from rossfs.tree.numbers import Numbers
from rossfs.tree.static import StaticDirectory
from rossfs.tree.tags import Names, TagsDirectory
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of, image_parts
from tests.suites.directory_suite import CALLER, find, listed
from tests.tree.writing import close, create, error_of, pinned, scratch, waiting, write

DATA = b"bytes of a file\n" * 300
OTHER = b"other bytes"
NOREPLACE = 1  # RENAME_NOREPLACE of renameat2(2)


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


# Directories


async def test_directories_are_made_and_removed(directory: IncomingDirectory, store: Store) -> None:
    below = await mkdir(directory, b"d")
    await write(below, b"name", DATA)
    for change in (directory.rmdir(b"d", CALLER), directory.unlink(b"d", CALLER)):
        assert getattr(await error_of(change), "errno", None) in (errno.ENOTEMPTY, errno.EISDIR)
    await below.unlink(b"name", CALLER)
    await directory.rmdir(b"d", CALLER)
    assert await find(directory, b"d") is None
    assert getattr(await error_of(directory.rmdir(b"d", CALLER)), "errno", None) == errno.ENOENT
    await write(directory, b"file", DATA)
    refused = await error_of(directory.rmdir(b"file", CALLER))
    assert getattr(refused, "errno", None) == errno.ENOTDIR


async def test_a_directory_with_an_open_file_is_not_empty(
    directory: IncomingDirectory, below: IncomingDirectory
) -> None:
    _, handle = await create(below, b"name")
    refused = await error_of(directory.rmdir(b"below", CALLER))
    assert getattr(refused, "errno", None) == errno.ENOTEMPTY
    await handle.write(0, DATA)
    await close(handle)
    assert await pinned(below, b"name") == digest_of(DATA)


async def test_a_directory_moves_with_all_that_is_in_it(
    directory: IncomingDirectory, below: IncomingDirectory, store: Store
) -> None:
    deeper = await mkdir(below, b"deeper")
    elsewhere = await mkdir(directory, b"elsewhere")
    await write(deeper, b"pin", DATA)
    await write(deeper, b"empty", b"")
    node, handle = await create(deeper, b"open")
    await handle.write(0, OTHER)
    await handle.flush()
    await write(deeper, b".w.abcdef", DATA)
    again = await (await waiting(deeper, b".w.abcdef")).open(os.O_WRONLY, CALLER)
    await move(directory, b"below", b"moved", elsewhere)
    assert await names(directory) == {b"elsewhere"}
    assert await names(elsewhere) == {b"moved"}
    assert await names(below) == {b"deeper"}
    assert await names(deeper) == {b"pin", b"empty", b"open", b".w.abcdef"}
    # The text leads to the top from where the pin is now.
    link = await find(deeper, b"pin")
    assert link is not None
    assert link.attr().size == len(f"../../../../blobs/sha256/{digest_of(DATA).hex}")
    paths = [record.name for record in records.records(store.paths)]
    assert paths == [b"elsewhere/moved/deeper/open"]
    await handle.release()
    await again.write(0, OTHER)
    await close(again)
    assert await pinned(deeper, b"open") == digest_of(OTHER)
    assert await pinned(deeper, b"pin") == digest_of(DATA)
    assert node.over
    assert (await waiting(deeper, b"empty")).attr().size == 0
    assert (await waiting(deeper, b".w.abcdef")).attr().size == len(DATA)
    assert scratch(store) == []


async def test_a_directory_keeps_its_number_when_it_is_renamed(
    directory: IncomingDirectory, below: IncomingDirectory, store: Store
) -> None:
    await move(directory, b"below", b"renamed")
    assert await find(directory, b"renamed") is below
    # By another process, too.
    os.rename(f"{store.paths.incoming}/renamed", f"{store.paths.incoming}/again")
    assert await find(directory, b"again") is below
    await write(below, b"name", DATA)
    assert store.incoming.digest(b"again/name") == digest_of(DATA)


async def test_a_directory_replaces_an_empty_one_only(
    directory: IncomingDirectory, below: IncomingDirectory
) -> None:
    await write(below, b"name", DATA)
    await mkdir(directory, b"empty")
    full = await mkdir(directory, b"full")
    await write(full, b"name", DATA)
    busy = await mkdir(directory, b"busy")
    _, handle = await create(busy, b"name")
    await write(directory, b"file", b"")
    assert await move_errno(directory, b"below", b"full") == errno.ENOTEMPTY
    assert await move_errno(directory, b"below", b"busy") == errno.ENOTEMPTY
    assert await move_errno(directory, b"below", b"file") == errno.ENOTDIR
    assert await move_errno(directory, b"file", b"below") == errno.EISDIR
    await move(directory, b"below", b"empty")
    assert await names(directory) == {b"empty", b"full", b"busy", b"file"}
    await close(handle)


async def test_a_directory_that_another_process_removed_comes_back_for_an_open_file(
    directory: IncomingDirectory, below: IncomingDirectory, store: Store
) -> None:
    _, handle = await create(below, b"name")
    await handle.write(0, DATA)
    os.rmdir(f"{store.paths.incoming}/below")
    await close(handle)
    assert store.incoming.digest(b"below/name") == digest_of(DATA)


async def test_a_directory_that_is_made_again_is_empty(
    directory: IncomingDirectory, below: IncomingDirectory
) -> None:
    await write(below, b"empty", b"")
    await below.unlink(b"empty", CALLER)
    await directory.rmdir(b"below", CALLER)
    again = await mkdir(directory, b"again")
    assert await names(again) == set()
    await write(again, b"name", DATA)
    assert await pinned(again, b"name") == digest_of(DATA)


async def test_mode_and_owner_of_a_directory_are_ignored_and_times_kept(
    below: IncomingDirectory,
) -> None:
    mode = below.attr().mode
    await below.setattr(AttrChange(mode=0, uid=5, gid=5, mtime_ns=10**18), CALLER)
    assert below.attr().mode == mode
    assert below.attr().mtime_ns == 10**18


async def test_directories_may_be_very_deep(directory: IncomingDirectory) -> None:
    deep = directory
    for _ in range(700):
        deep = await mkdir(deep, b"d")
    await write(deep, b"name", DATA)
    assert await pinned(deep, b"name") == digest_of(DATA)
    await deep.unlink(b"name", CALLER)


# Into other directories


class Adopting(Directory):
    """A directory that takes what is moved into it."""

    def __init__(self) -> None:
        super().__init__(99)
        self.adopted: list[tuple[bytes, Digest, int]] = []
        self.refusal: Exception | None = None

    def lookup(self, name: bytes) -> Node | None:
        return None

    def entries(self) -> Listing:
        return ()

    async def adopt(self, name: bytes, digest: Digest, flags: int, caller: Caller) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.adopted.append((name, digest, flags))


async def test_what_another_directory_adopts_is_gone_from_here(
    directory: IncomingDirectory,
) -> None:
    await write(directory, b"name", DATA)
    target = Adopting()
    await move(directory, b"name", b"new", target, flags=NOREPLACE)
    assert target.adopted == [(b"new", digest_of(DATA), NOREPLACE)]
    assert await names(directory) == set()


async def test_what_another_directory_refuses_stays_here(directory: IncomingDirectory) -> None:
    await write(directory, b"name", DATA)
    target = Adopting()
    target.refusal = ManifestNotFound("no manifest")
    assert await error_of(move(directory, b"name", b"new", target)) is target.refusal
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_a_waiting_file_is_committed_before_it_is_adopted(
    directory: IncomingDirectory, store: Store
) -> None:
    parts = image_parts()
    assert await error_of(write(directory, b"m", parts.manifest))
    target = Adopting()
    assert isinstance(await error_of(move(directory, b"m", b"t", target)), MissingContent)
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    await move(directory, b"m", b"t", target)
    assert target.adopted == [(b"t", parts.digest, 0)]


async def test_what_has_no_content_is_not_adopted(
    directory: IncomingDirectory, below: IncomingDirectory
) -> None:
    await write(directory, b"empty", b"")
    _, handle = await create(directory, b"open")
    target = Adopting()
    assert isinstance(await error_of(move(directory, b"empty", b"t", target)), InvalidDocument)
    assert await move_errno(directory, b"open", b"t", target) == errno.EBUSY
    assert await move_errno(directory, b"below", b"t", target) == errno.EXDEV
    assert target.adopted == []
    await close(handle)


async def test_directories_that_adopt_nothing_are_another_filesystem(
    directory: IncomingDirectory,
) -> None:
    await write(directory, b"name", DATA)
    target = StaticDirectory(98, {})
    assert await move_errno(directory, b"name", b"t", target) == errno.EXDEV


async def test_a_manifest_moved_into_tags_is_tagged(
    directory: IncomingDirectory, store: Store, uploads: Uploads, numbers: Numbers
) -> None:
    parts = image_parts()
    for number, (_, data) in enumerate(parts.blobs()):
        await write(directory, b"%d" % number, data)
    await write(directory, b"m.json", parts.manifest)
    tags = TagsDirectory(97, Names(uploads, numbers, writable=True))
    repository = await tags.mkdir(b"app", 0o755, CALLER)
    assert isinstance(repository, Directory)
    await move(directory, b"m.json", b"v1", repository)
    assert store.resolve_tag("app", "v1")[0] == parts.digest
    assert await find(directory, b"m.json") is None


async def test_what_is_closed_while_its_directory_is_renamed_goes_along(
    directory: IncomingDirectory, store: Store
) -> None:
    for turn in range(20):
        old, new = b"old%d" % turn, b"new%d" % turn
        below = await mkdir(directory, old)
        _, handle = await create(below, b"name")
        await handle.write(0, b"turn %d" % turn)
        await handle.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle.release)
            await trio.sleep(turn / 5000)
            await directory.rename(old, directory, new, 0, CALLER)
        assert await find(directory, old) is None
        assert await pinned(below, b"name") == digest_of(b"turn %d" % turn)
        assert store.incoming.digest(new + b"/name") == digest_of(b"turn %d" % turn)
    assert scratch(store) == []
