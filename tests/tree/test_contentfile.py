import ctypes
import errno
import mmap
import os
import stat
import time

import pytest
import trio

from rossfs.oci.digest import Digest
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from rossfs.tree.contentfile import ContentFiles, ContentHandle
from rossfs.tree.node import FOREVER, AttrChange, Published
from rossfs.tree.numbers import Numbers
from tests.builders import (
    CREATED,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCTET_STREAM,
    RossStore,
)
from tests.suites.directory_suite import CALLER, refusal
from tests.tree.reading import DATA, file_of, open_file, put, read_whole

# What it looks like


def test_it_shows_size_time_and_the_mode_that_it_was_given(
    ross: RossStore, contents: Contents, numbers: Numbers
) -> None:
    digest = ross.put_blob(OCI_LAYER_GZIP, DATA)
    for mode in (0o444, 0o644):
        attr = file_of(ContentFiles(contents, numbers, mode=mode), digest).attr()
        assert attr.mode == stat.S_IFREG | mode
        assert attr.size == len(DATA)
        assert attr.mtime_ns == CREATED * 10**9
        assert attr.uid is attr.gid is None


def test_the_seal_does_not_show_in_its_time(files: ContentFiles) -> None:
    digest = put(files.contents, DATA)
    attr = file_of(files, digest).attr()
    assert attr.mtime_ns % 10**9 == 0
    assert abs(attr.mtime_ns / 1e9 - time.time()) < 60


def test_extended_attributes_tell_what_the_store_knows(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCI_LAYER_GZIP, DATA)
    assert file_of(files, digest).xattrs() == {
        b"user.ross.digest": str(digest).encode(),
        b"user.ross.media_type": OCI_LAYER_GZIP.encode(),
        b"user.ross.size": b"%d" % len(DATA),
        b"user.ross.created_at": b"%d" % CREATED,
    }


def test_it_is_the_same_inode_wherever_it_is_shown(ross: RossStore, files: ContentFiles) -> None:
    digest = ross.put_manifest(b"{}")
    one, other = files.glance(digest), files.find(Area.MANIFESTS, digest)
    assert one is not None
    assert other is not None
    assert one.ino == other.ino
    assert one.same(other)
    another = file_of(files, ross.put_blob(OCTET_STREAM, b"x"))
    assert one.ino != another.ino
    assert not one.same(another)


def test_each_area_finds_its_own(ross: RossStore, files: ContentFiles) -> None:
    blob = ross.put_blob(OCTET_STREAM, b"blob")
    manifest = ross.put_manifest(b"{}")
    listed_by_ross = ross.put_manifest(b"{ }", OCI_INDEX)
    for digest, area in (
        (blob, Area.BLOBS),
        (manifest, Area.MANIFESTS),
        (listed_by_ross, Area.INDEXES),
    ):
        assert [place for place in Area if files.find(place, digest)] == [area]


def test_the_kernel_may_keep_it_for_ever(ross: RossStore, files: ContentFiles) -> None:
    file = file_of(files, ross.put_blob(OCTET_STREAM, b"x"))
    assert file.ttl == FOREVER
    assert file.constant
    assert ContentHandle.keep_cache


async def test_changes_of_mode_times_and_owner_succeed_and_change_nothing(
    ross: RossStore, files: ContentFiles
) -> None:
    file = file_of(files, ross.put_blob(OCTET_STREAM, b"x"))
    before = file.attr()
    for change in (AttrChange(mode=0o600), AttrChange(uid=7, gid=7), AttrChange(mtime_ns=0)):
        await file.setattr(change, CALLER)
    assert await refusal(file.setattr(AttrChange(size=0), CALLER)) == errno.EROFS
    assert file.attr() == before


async def test_opening_for_writing_is_published(ross: RossStore, files: ContentFiles) -> None:
    file = file_of(files, ross.put_blob(OCTET_STREAM, b"x"))
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
        with pytest.raises(Published):
            await file.open(flags, CALLER)


# Reading


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 1), (0, 4096), (1, 4096), (4096, 4096), (len(DATA) - 1, 10), (0, 1 << 20), (3, 0)],
)
async def test_a_range_is_read(
    ross: RossStore, files: ContentFiles, offset: int, size: int
) -> None:
    handle = await open_file(files, ross.put_blob(OCTET_STREAM, DATA))
    assert bytes(await handle.read(offset, size)) == DATA[offset : offset + size]
    await handle.release()


async def test_nothing_is_read_past_the_end(ross: RossStore, files: ContentFiles) -> None:
    handle = await open_file(files, ross.put_blob(OCTET_STREAM, DATA))
    for offset in (len(DATA), len(DATA) + 1, 1 << 40):
        assert bytes(await handle.read(offset, 4096)) == b""
    await handle.release()


async def test_more_than_one_request_is_read_too(ross: RossStore, files: ContentFiles) -> None:
    data = os.urandom((1 << 20) + 4097)
    handle = await open_file(files, ross.put_blob(OCTET_STREAM, data))
    assert bytes(await handle.read(0, 2 << 20)) == data
    assert bytes(await handle.read(1 << 20, 1 << 20)) == data[1 << 20 :]
    await handle.release()


async def test_an_empty_blob_reads_as_nothing(ross: RossStore, files: ContentFiles) -> None:
    assert await read_whole(files, ross.put_blob(OCTET_STREAM, b"")) == b""


async def test_two_open_files_do_not_mix(ross: RossStore, files: ContentFiles) -> None:
    one = await open_file(files, ross.put_blob(OCTET_STREAM, b"1" * 5000))
    two = await open_file(files, ross.put_blob(OCTET_STREAM, b"2" * 5000))
    for _ in range(3):
        assert bytes(await one.read(0, 5000)) == b"1" * 5000
        assert bytes(await two.read(0, 5000)) == b"2" * 5000
    await one.release()
    await two.release()


async def test_opening_and_reading_proven_content_from_the_page_cache_do_not_wait(
    files: ContentFiles,
) -> None:
    digest = put(files.contents, DATA)
    file = file_of(files, digest)
    with trio.testing.assert_no_checkpoints():
        handle = await file.open(os.O_RDONLY, CALLER)
        assert bytes(await handle.read(0, 4096)) == DATA[:4096]
    await handle.release()


async def test_what_is_not_in_the_page_cache_is_read_in_a_thread(
    ross: RossStore, files: ContentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    handle = await open_file(files, digest)
    real = os.preadv
    refused = []

    def cold(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if flags & os.RWF_NOWAIT:
            refused.append(offset)
            # As Linux does where the first half is cached and the rest is not, and then nothing.
            if offset:
                raise BlockingIOError(errno.EAGAIN, "would wait")
            return real(fd, [memoryview(buffers[0])[:100]], offset)
        return real(fd, buffers, offset, flags)

    monkeypatch.setattr(os, "preadv", cold)
    assert bytes(await handle.read(0, 4096)) == DATA[:4096]
    assert bytes(await handle.read(7, 4096)) == DATA[7:4103]
    assert refused == [0, 7]
    await handle.release()


async def test_a_file_system_without_nowait_is_asked_once(
    ross: RossStore, files: ContentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await open_file(files, ross.put_blob(OCTET_STREAM, DATA))
    real = os.preadv
    asked = []

    def old(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        asked.append(flags)
        if flags & os.RWF_NOWAIT:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return real(fd, buffers, offset, flags)

    monkeypatch.setattr(os, "preadv", old)
    for _ in range(2):
        assert bytes(await handle.read(0, 4096)) == DATA[:4096]
    assert asked == [os.RWF_NOWAIT, 0, 0]
    await handle.release()


def test_the_buffer_begins_at_a_page(files: ContentFiles) -> None:
    address = ctypes.addressof(ctypes.c_char.from_buffer(files.buffer))
    assert address % mmap.PAGESIZE == 0


# The time of the last access


def accessed_at(contents: Contents, digest: Digest) -> int:
    found = contents.find(digest)
    assert found is not None
    return found.accessed_at


async def test_the_time_of_access_is_noted_once_a_day(
    ross: RossStore, contents: Contents, numbers: Numbers
) -> None:
    files = ContentFiles(contents, numbers, note_access=True)
    digest = ross.put_blob(OCTET_STREAM, DATA)
    await read_whole(files, digest)
    noted = accessed_at(contents, digest)
    assert abs(noted - time.time()) < 60
    before = ross.meta_path(digest).stat()
    await read_whole(files, digest)
    assert ross.meta_path(digest).stat().st_ino == before.st_ino
    assert await read_whole(files, digest) == DATA


async def test_the_time_of_access_is_not_noted_where_nothing_may_be_written(
    ross: RossStore,
) -> None:
    contents = Contents(Access.open(str(ross.root), read_only=True))
    files = ContentFiles(contents, Numbers(), note_access=False)
    digest = ross.put_blob(OCTET_STREAM, DATA)
    before = sorted((str(path), path.stat().st_mtime_ns) for path in ross.root.rglob("*"))
    assert await read_whole(files, digest) == DATA
    after = sorted((str(path), path.stat().st_mtime_ns) for path in ross.root.rglob("*"))
    assert after == before
