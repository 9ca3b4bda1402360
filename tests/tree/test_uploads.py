"""Files that get a name of their own elsewhere, and waiting for what is under way."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

from rossfs.errors import InvalidDocument, MissingContent, TagConflict
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCI_MANIFEST
from rossfs.store.store import Store
from rossfs.tree.departure import PATIENCE
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.numbers import FIRST_OF_TREES, Fixed, Numbers
from rossfs.tree.uploads import Adopter, Uploads
from tests.builders import ImageParts, digest_of, image_parts
from tests.suites.directory_suite import CALLER
from tests.tree.writing import CREATE, close, create, error_of, pinned, reason, scratch, write


@pytest.fixture
async def uploads(store: Store) -> Uploads:
    return Uploads(store)


@pytest.fixture
async def directory(store: Store, uploads: Uploads, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, uploads, numbers)


@pytest.fixture
def parts(store: Store) -> ImageParts:
    """An image whose blobs are stored, and whose manifest is not."""
    parts = image_parts()
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    return parts


class Published:
    """What a place in tags/ would do."""

    def __init__(self) -> None:
        self.seen: list[tuple[Digest, str]] = []
        self.refusal: Exception | None = None
        self.ended = 0

    def publish(self, digest: Digest, media_type: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.seen.append((digest, media_type))

    def end(self) -> None:
        self.ended += 1


async def test_a_staged_manifest_is_stored_and_published_when_it_is_closed(
    uploads: Uploads, store: Store, parts: ImageParts
) -> None:
    published = Published()
    staged = uploads.stage(published.publish, published.end)
    handle = await staged.open(CREATE, CALLER)
    await handle.write(0, parts.manifest)
    assert published.seen == []
    await handle.flush()
    # Before RELEASE: whoever closed it can rely on it.
    assert published.seen == [(parts.digest, OCI_MANIFEST)]
    assert store.get_manifest(parts.digest) == (parts.manifest, OCI_MANIFEST)
    assert published.ended == 0
    await handle.release()
    assert (published.seen, published.ended) == ([(parts.digest, OCI_MANIFEST)], 1)
    assert scratch(store) == []


async def test_what_is_no_manifest_is_not_published(uploads: Uploads, store: Store) -> None:
    published = Published()
    staged = uploads.stage(published.publish, published.end)
    handle = await staged.open(CREATE, CALLER)
    await handle.write(0, b"some text")
    with pytest.raises(InvalidDocument, match="neither a manifest nor an index"):
        await handle.flush()
    assert b"neither" in reason(staged)
    await handle.release()
    assert (published.seen, published.ended) == ([], 1)
    assert list(store.list_blobs()) == []
    assert scratch(store) == []


async def test_a_manifest_that_lacks_its_layers_is_not_published(
    uploads: Uploads, store: Store
) -> None:
    published = Published()
    handle = await uploads.stage(published.publish, published.end).open(CREATE, CALLER)
    await handle.write(0, image_parts("absent").manifest)
    assert isinstance(await error_of(close(handle)), MissingContent)
    assert (published.seen, published.ended) == ([], 1)


async def test_close_says_why_it_could_not_be_published(
    uploads: Uploads, parts: ImageParts
) -> None:
    published = Published()
    published.refusal = TagConflict("there is a repository of that name")
    handle = await uploads.stage(published.publish, published.end).open(CREATE, CALLER)
    await handle.write(0, parts.manifest)
    assert await error_of(close(handle)) is published.refusal
    assert published.ended == 1


async def test_an_empty_file_is_not_published(uploads: Uploads, store: Store) -> None:
    published = Published()
    await close(await uploads.stage(published.publish, published.end).open(CREATE, CALLER))
    assert (published.seen, published.ended) == ([], 1)
    assert scratch(store) == []


async def test_what_is_written_later_is_published_again(
    uploads: Uploads, parts: ImageParts
) -> None:
    published = Published()
    handle = await uploads.stage(published.publish, published.end).open(CREATE, CALLER)
    await handle.write(0, parts.manifest)
    await handle.flush()
    longer = parts.manifest + b"\n"
    await handle.write(0, longer)
    await close(handle)
    assert [digest for digest, _ in published.seen] == [parts.digest, digest_of(longer)]


async def test_numbers_are_never_used_twice(uploads: Uploads) -> None:
    published = Published()
    numbers = [uploads.stage(published.publish, published.end).ino for _ in range(100)]
    assert len(set(numbers)) == 100


async def test_nothing_is_under_way_at_first_and_at_last(
    uploads: Uploads, directory: IncomingDirectory
) -> None:
    assert uploads.settled()
    with trio.fail_after(30):
        await uploads.settle()
    _, handle = await create(directory, b"name")
    assert uploads.settled()
    await handle.write(0, b"data")
    assert uploads.settled()
    await handle.flush()
    assert not uploads.settled()
    await handle.release()
    assert uploads.settled()
    assert uploads.active() == ()


async def test_settling_waits_for_a_release_that_is_late(
    uploads: Uploads, directory: IncomingDirectory
) -> None:
    _, handle = await create(directory, b"name")
    await handle.write(0, b"data")
    await handle.flush()

    async def late() -> None:
        await trio.sleep(PATIENCE / 10)
        await handle.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(late)
        await uploads.settle()
        assert await pinned(directory, b"name") == digest_of(b"data")


async def test_settling_ends_where_a_descriptor_stays_open(
    uploads: Uploads, directory: IncomingDirectory
) -> None:
    _, handle = await create(directory, b"name")
    await handle.write(0, b"data")
    await handle.flush()
    with trio.fail_after(30):
        await uploads.settle()
    assert uploads.settled()
    await handle.release()


async def test_settling_ends_beside_a_busy_writer(
    uploads: Uploads, directory: IncomingDirectory
) -> None:
    ended = False

    async def writer(seed: int) -> None:
        name = b"%d" % seed
        while not ended:
            await write(directory, name, name)
            await directory.unlink(name, CALLER)

    async with trio.open_nursery() as nursery:
        for seed in range(3):
            nursery.start_soon(writer, seed)
        with trio.fail_after(60):
            for _ in range(20):
                await uploads.settle()
                await trio.lowlevel.checkpoint()
        ended = True


async def test_work_leaves_the_threads_of_readers_alone(uploads: Uploads) -> None:
    before = trio.to_thread.current_default_thread_limiter().borrowed_tokens
    assert await uploads.work(os.getpid) == os.getpid()
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == before
    async with trio.open_nursery() as nursery:
        release = trio.Event()

        def busy() -> None:
            trio.from_thread.run(release.wait)

        for _ in range(50):
            nursery.start_soon(uploads.work, busy)
        await trio.testing.wait_all_tasks_blocked()
        limiter = trio.to_thread.current_default_thread_limiter()
        assert limiter.borrowed_tokens == before
        release.set()


def test_a_directory_that_adopts_is_known_by_its_method() -> None:
    class Adopting:
        async def adopt(self, name: bytes, digest: Digest, flags: int, caller: object) -> None: ...

    assert isinstance(Adopting(), Adopter)
    assert not isinstance(object(), Adopter)


async def test_no_file_has_a_number_of_a_place_or_of_a_tree(
    directory: IncomingDirectory,
) -> None:
    numbers = []
    for name in (b"one", b"two"):
        node, handle = await directory.create(name, 0o644, CREATE, CALLER)
        numbers.append(node.ino)
        await handle.release()
    assert max(Fixed) < min(numbers) < max(numbers) < FIRST_OF_TREES
