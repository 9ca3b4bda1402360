import errno
import os

import pytest
import trio

from rossfs.errors import BlobNotFound, Damaged
from rossfs.oci.digest import Digest
from rossfs.store.content import Content
from rossfs.store.contents import Contents
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.tree.contentfile import ContentFiles
from tests.builders import (
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    manifest,
)
from tests.suites.directory_suite import CALLER, refusal
from tests.tree.reading import DATA, file_of, open_file, put, read_whole


@pytest.fixture
def hashed(files: ContentFiles, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were hashed so far."""
    paths: list[str] = []
    real = type(files.contents.verifier)._hash

    def noted(self: object, digest: Digest, path: str) -> object:
        paths.append(path)
        return real(self, digest, path)  # type: ignore[arg-type]

    monkeypatch.setattr(type(files.contents.verifier), "_hash", noted)
    return paths


# Verifying


async def test_what_ross_wrote_is_hashed_once_before_it_is_read(
    ross: RossStore, files: ContentFiles, hashed: list[str]
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    assert not hashed
    for _ in range(3):
        assert await read_whole(files, digest) == DATA
    assert hashed == [str(ross.path(digest))]


async def test_what_rossfs_wrote_is_not_hashed_again(
    files: ContentFiles, hashed: list[str]
) -> None:
    digest = put(files.contents, DATA)
    hashed.clear()
    assert await read_whole(files, digest) == DATA
    assert not hashed


async def test_manifests_are_hashed_whoever_wrote_them(
    files: ContentFiles, hashed: list[str]
) -> None:
    put(files.contents, b"{}")
    with Ingest.create(files.contents) as ingest:
        ingest.append(manifest(b"{}", []))
        stored = ingest.commit(None, OCI_MANIFEST)
    assert stored.area is Area.MANIFESTS
    hashed.clear()
    for _ in range(2):
        await read_whole(files, stored.digest)
    assert len(hashed) == 1


async def test_many_openings_at_once_hash_once(
    ross: RossStore, files: ContentFiles, hashed: list[str]
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA * 100)
    read = []

    async def one() -> None:
        read.append(await read_whole(files, digest))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(one)
    assert read == [(DATA * 100)[: 1 << 20]] * 20
    assert len(hashed) == 1


async def test_damaged_content_is_not_opened_and_is_told(
    ross: RossStore, files: ContentFiles, expects_warnings: list[object]
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    ross.path(digest).write_bytes(DATA[:-1] + b"x")
    file = file_of(files, digest)
    for _ in range(3):
        with pytest.raises(Damaged, match=digest.hex) as raised:
            await file.open(os.O_RDONLY, CALLER)
        assert raised.value.errno == errno.EIO
    assert [found for found, _ in files.contents.verifier.damaged()] == [digest]
    assert len(expects_warnings) == 1


@pytest.mark.usefixtures("expects_warnings")
async def test_all_who_open_damaged_content_at_once_are_refused(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    ross.path(digest).write_bytes(b"x" * len(DATA))
    file = file_of(files, digest)
    refused = []

    async def one() -> None:
        with pytest.raises(Damaged):
            await file.open(os.O_RDONLY, CALLER)
        refused.append(True)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
    assert len(refused) == 10


@pytest.mark.usefixtures("expects_warnings")
@pytest.mark.parametrize("sealed", [True, False])
async def test_content_that_was_changed_in_place_is_hashed_again(
    ross: RossStore, files: ContentFiles, sealed: bool
) -> None:
    digest = put(files.contents, DATA) if sealed else ross.put_blob(OCTET_STREAM, DATA)
    file = file_of(files, digest)
    assert await read_whole(files, digest) == DATA
    path = ross.path(digest)
    with path.open("r+b") as stream:
        stream.write(b"changed")
    with pytest.raises(Damaged):
        await file.open(os.O_RDONLY, CALLER)
    # And when it is right again, it can be read again.
    path.write_bytes(DATA)
    handle = await file.open(os.O_RDONLY, CALLER)
    assert bytes(await handle.read(0, 1 << 20)) == DATA
    await handle.release()


async def test_damaged_content_that_was_mended_is_another_inode(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    ross.path(digest).write_bytes(DATA[:100])
    damaged = file_of(files, digest)
    assert damaged.attr().size == 100
    ross.path(digest).write_bytes(DATA)
    assert await refusal(damaged.open(os.O_RDONLY, CALLER)) == errno.ESTALE
    mended = file_of(files, digest)
    assert mended.ino != damaged.ino
    assert await read_whole(files, digest) == DATA


async def test_a_file_cut_off_while_it_is_open_is_an_error_and_never_short(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    handle = await open_file(files, digest)
    os.truncate(ross.path(digest), 5000)
    for offset in (4096, 8192, 0):
        with pytest.raises(Damaged):
            await handle.read(offset, 4096)
    await handle.release()
    assert [found for found, _ in files.contents.verifier.damaged()] == [digest]


@pytest.mark.parametrize("put_back", [False, True])
@pytest.mark.parametrize("sealed", [True, False])
async def test_a_file_that_is_written_to_while_it_is_open_is_an_error(
    ross: RossStore, files: ContentFiles, sealed: bool, put_back: bool
) -> None:
    digest = put(files.contents, DATA) if sealed else ross.put_blob(OCTET_STREAM, DATA)
    handle = await open_file(files, digest)
    path = ross.path(digest)
    before = path.stat().st_mtime_ns
    path.write_bytes(DATA[:5000] + b"other" + DATA[5005:])
    if put_back:
        os.utime(path, ns=(before, before))
    for offset in (4096, 0):
        with pytest.raises(Damaged):
            await handle.read(offset, 4096)
    [(found, reason)] = files.contents.verifier.damaged()
    assert found == digest
    assert "hash to" in reason
    await handle.release()


async def test_a_write_while_the_file_is_opened_is_an_error(
    ross: RossStore, files: ContentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(files.contents, DATA)
    real = type(files.contents).open

    def written_to(self: Contents, content: Content) -> int:
        fd = real(self, content)
        ross.path(digest).write_bytes(b"other" + DATA[5:])
        return fd

    monkeypatch.setattr(type(files.contents), "open", written_to)
    handle = await open_file(files, digest)
    with pytest.raises(Damaged):
        await handle.read(0, 4096)
    await handle.release()


async def test_another_time_of_an_open_file_does_not_hide_its_bytes(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = put(files.contents, DATA)
    handle = await open_file(files, digest)
    os.utime(ross.path(digest), ns=(0, 12345))
    for _ in range(2):
        assert bytes(await handle.read(0, 4096)) == DATA[:4096]
    assert put(files.contents, DATA) == digest  # touches it: another time, another seal
    assert bytes(await handle.read(0, 4096)) == DATA[:4096]
    await handle.release()


async def test_what_was_removed_since_is_not_found(ross: RossStore, files: ContentFiles) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    file = file_of(files, digest)
    ross.path(digest).unlink()
    with pytest.raises(BlobNotFound) as raised:
        await file.open(os.O_RDONLY, CALLER)
    assert raised.value.errno == errno.ENOENT
    assert file.xattrs() == {b"user.ross.digest": str(digest).encode()}


async def test_what_is_open_when_it_is_removed_stays_readable(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    handle = await open_file(files, digest)
    ross.path(digest).unlink()
    assert bytes(await handle.read(0, 1 << 20)) == DATA
    await handle.release()


async def test_an_opening_that_is_cancelled_leaves_no_one_waiting(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    file = file_of(files, digest)
    with trio.move_on_after(0):
        await file.open(os.O_RDONLY, CALLER)
    with trio.fail_after(30):
        assert await read_whole(files, digest) == DATA
