from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import pytest
import trio
from pyfuse3 import EntryAttributes
from trio.testing import assert_no_checkpoints, wait_all_tasks_blocked

from rossfs.errors import DigestMismatch
from rossfs.fs.operations import Operations
from rossfs.fs.settling import ROUNDS
from rossfs.tree.node import FOREVER, Node
from tests.fs.asking import CTX, GID, ROOT, UID, ino, names, over, refused, small_tree
from tests.fs.kernel import changed
from tests.fs.memory import Late, Memory, MemoryFile, MemoryHandle
from tests.fs.raw import Raw


@pytest.fixture
def root() -> Memory:
    return small_tree()


@pytest.fixture
def operations(root: Memory) -> Iterator[Operations]:
    with over(root) as operations:
        yield operations


async def test_lookup_answers_attributes_and_cache_times(operations: Operations) -> None:
    entry = await operations.lookup(ROOT, b"constant", CTX)
    assert entry.st_size == 8
    assert stat.S_ISREG(entry.st_mode)
    assert (entry.st_uid, entry.st_gid) == (UID, GID)
    assert entry.entry_timeout == entry.attr_timeout == FOREVER
    assert (await operations.lookup(ROOT, b"file", CTX)).entry_timeout == 0


async def test_warm_requests_do_not_wait(operations: Operations, root: Memory) -> None:
    place = await ino(operations, b"place")
    file = await ino(operations, b"constant")
    handle = await operations.open(file, os.O_RDONLY, CTX)
    with assert_no_checkpoints():
        await operations.lookup(ROOT, b"constant", CTX)
        await operations.lookup(place, b"deep", CTX)
        assert await refused(operations.lookup(place, b"absent", CTX)) == errno.ENOENT
        await operations.getattr(file, CTX)
        await operations.getattr(ROOT, CTX)
        assert bytes(await operations.read(handle.fh, 0, 4096)) == b"for ever"
        assert await refused(operations.getxattr(file, b"user.x", CTX)) == errno.ENODATA
        assert await names(operations, ROOT) == list(root.children)


async def test_an_absent_name_is_not_cached_where_it_may_come(operations: Operations) -> None:
    assert await refused(operations.lookup(ROOT, b"absent", CTX)) == errno.ENOENT


async def test_an_absent_name_is_cached_where_nothing_comes(root: Memory) -> None:
    class Fixed(Memory):
        negative_ttl = FOREVER

    root.children[b"fixed"] = Fixed()
    with over(root) as operations:
        fixed = await ino(operations, b"fixed")
        first = await operations.lookup(fixed, b"absent", CTX)
        assert first.st_ino == 0
        assert first.entry_timeout == FOREVER
        assert await operations.lookup(fixed, b"absent too", CTX) is first
        assert len(operations._inodes) == 2


async def test_a_name_that_is_too_long_says_so(operations: Operations) -> None:
    long = b"x" * 256
    assert await refused(operations.lookup(ROOT, long, CTX)) == errno.ENAMETOOLONG
    assert await refused(operations.mkdir(ROOT, long, 0o755, CTX)) == errno.ENAMETOOLONG
    assert await refused(operations.lookup(ROOT, long[1:], CTX)) == errno.ENOENT


async def test_what_the_kernel_should_not_know_is_stale(operations: Operations) -> None:
    assert await refused(operations.lookup(999, b"x", CTX)) == errno.ESTALE
    assert await refused(operations.getattr(999, CTX)) == errno.ESTALE
    assert Raw(operations).readdir(999) == errno.ESTALE


async def test_a_file_has_no_names_in_it(operations: Operations) -> None:
    file = await ino(operations, b"file")
    assert await refused(operations.lookup(file, b"x", CTX)) == errno.ENOTDIR
    assert Raw(operations).readdir(file) == errno.ENOTDIR


async def test_a_directory_is_loaded_before_it_is_asked(root: Memory) -> None:
    root.children[b"late"] = late = Late({b"x": MemoryFile()})
    with over(root) as operations:
        number = await ino(operations, b"late")
        assert late.loads == 0
        await operations.lookup(number, b"x", CTX)
        await operations.lookup(number, b"x", CTX)
        assert late.loads == 1


async def test_lookup_waits_until_the_directory_settles(root: Memory) -> None:
    root.children[b"late"] = late = Late({b"x": MemoryFile()}, rounds=3)
    with over(root) as operations:
        number = await ino(operations, b"late")
        await operations.lookup(number, b"x", CTX)
        assert late.rounds == 0


async def test_a_listing_waits_until_the_directory_settles(root: Memory) -> None:
    root.children[b"late"] = Late({b"x": MemoryFile()}, rounds=3)
    with over(root) as operations:
        assert await names(operations, await ino(operations, b"late")) == [b"x"]


async def test_a_directory_that_never_settles_is_given_up(root: Memory) -> None:
    root.children[b"late"] = Late({b"x": MemoryFile()}, rounds=ROUNDS + 1)
    with over(root) as operations:
        number = await ino(operations, b"late")
        assert await refused(operations.lookup(number, b"x", CTX)) == errno.EAGAIN


async def test_attributes_change_and_are_answered(operations: Operations, root: Memory) -> None:
    file = await ino(operations, b"file")
    attr = EntryAttributes()
    attr.st_size, attr.st_mtime_ns = 2, -1_500_000_001
    entry = await operations.setattr(file, attr, changed(size=True, mtime=True), None, CTX)
    assert (entry.st_size, entry.st_mtime_ns) == (2, -1_500_000_001)
    assert (await operations.getattr(file, CTX)).st_size == 2


async def test_the_size_of_published_content_stays(operations: Operations) -> None:
    file = await ino(operations, b"published")
    request = operations.setattr(file, EntryAttributes(), changed(size=True), None, CTX)
    assert await refused(request) == errno.EROFS


async def test_only_symbolic_links_can_be_read(operations: Operations) -> None:
    assert await operations.readlink(await ino(operations, b"link"), CTX) == b"file"
    file = await ino(operations, b"file")
    assert await refused(operations.readlink(file, CTX)) == errno.EINVAL


async def test_access_refuses_only_what_all_modes_refuse(operations: Operations) -> None:
    file, place = await ino(operations, b"file"), await ino(operations, b"place")
    assert await operations.access(file, os.F_OK, CTX)
    assert await operations.access(file, os.R_OK | os.W_OK, CTX)
    assert not await operations.access(file, os.X_OK, CTX)
    assert await operations.access(place, os.X_OK, CTX)


async def test_extended_attributes_come_and_go(operations: Operations) -> None:
    file = await ino(operations, b"file")
    await operations.setxattr(file, b"user.a", b"\0\xff", CTX)
    assert await operations.getxattr(file, b"user.a", CTX) == b"\0\xff"
    assert await operations.listxattr(file, CTX) == [b"user.a"]
    await operations.removexattr(file, b"user.a", CTX)
    assert await operations.listxattr(file, CTX) == []
    assert await refused(operations.removexattr(file, b"user.a", CTX)) == errno.ENODATA
    assert await refused(operations.getxattr(file, b"user.a", CTX)) == errno.ENODATA


async def test_what_the_kernel_asks_by_itself_does_not_reach_the_node(root: Memory) -> None:
    class Asked(MemoryFile):
        def xattrs(self) -> dict[bytes, bytes]:
            raise AssertionError("the node was asked")

    root.children[b"asked"] = Asked()
    with over(root) as operations:
        file = await ino(operations, b"asked")
        for name in (b"security.capability", b"system.posix_acl_access", b"trusted.overlay.opaque"):
            assert await refused(operations.getxattr(file, name, CTX)) == errno.ENODATA
            request = operations.setxattr(file, name, b"x", CTX)
            assert await refused(request) == errno.EOPNOTSUPP


async def test_a_node_may_have_other_attributes(root: Memory) -> None:
    class Root(MemoryFile):
        foreign_xattrs = True

    root.children[b"ping"] = Root(attributes={b"security.capability": b"cap"})
    with over(root) as operations:
        file = await ino(operations, b"ping")
        assert await operations.getxattr(file, b"security.capability", CTX) == b"cap"


async def test_names_are_changed(operations: Operations, root: Memory) -> None:
    place = await ino(operations, b"place")
    await operations.rename(ROOT, b"file", place, b"moved", 0, CTX)
    assert b"file" not in root.children
    assert (await operations.lookup(place, b"moved", CTX)).st_size == 5
    await operations.unlink(place, b"moved", CTX)
    await operations.rmdir(ROOT, b"place", CTX)
    assert await refused(operations.unlink(ROOT, b"nothing", CTX)) == errno.ENOENT


async def test_a_read_only_mount_changes_nothing(root: Memory) -> None:
    before = dict(root.children)
    with over(root, read_only=True) as operations:
        file = await ino(operations, b"file")
        for request in (
            operations.mkdir(ROOT, b"x", 0o755, CTX),
            operations.mknod(ROOT, b"x", stat.S_IFREG, 0, CTX),
            operations.symlink(ROOT, b"x", b"y", CTX),
            operations.link(file, ROOT, b"x", CTX),
            operations.create(ROOT, b"x", 0o644, os.O_WRONLY, CTX),
            operations.unlink(ROOT, b"file", CTX),
            operations.rmdir(ROOT, b"place", CTX),
            operations.rename(ROOT, b"file", ROOT, b"x", 0, CTX),
            operations.open(file, os.O_WRONLY, CTX),
            operations.open(file, os.O_RDONLY | os.O_TRUNC, CTX),
            operations.setattr(file, EntryAttributes(), changed(mode=True), None, CTX),
            operations.setxattr(file, b"user.x", b"", CTX),
            operations.removexattr(file, b"user.x", CTX),
        ):
            assert await refused(request) == errno.EROFS
        assert not await operations.access(file, os.W_OK, CTX)
        await operations.open(file, os.O_RDONLY, CTX)
    assert root.children == before


async def test_no_error_of_a_node_leaves_as_it_is(root: Memory) -> None:
    class Bad(MemoryFile):
        async def open(self, flags, caller):  # type: ignore[no-untyped-def]
            raise DigestMismatch("not what it says")

    root.children[b"bad"] = Bad()
    with over(root) as operations:
        bad = await ino(operations, b"bad")
        assert await refused(operations.open(bad, os.O_RDONLY, CTX)) == errno.EBADMSG
        assert operations.stats()["errors"] == {"EBADMSG": 1}


class Buggy(Memory):
    """A directory that is wrong about everything but its attributes."""

    def lookup(self, name: bytes) -> Node | None:
        raise ZeroDivisionError

    entries = rewrite = create = mknod = mkdir = symlink = link = unlink = lookup  # type: ignore[assignment]
    rmdir = rename = xattrs = setattr = setxattr = removexattr = lookup  # type: ignore[assignment]


@pytest.mark.expects_warnings
async def test_no_bug_of_a_node_ends_the_mount(
    root: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    root.children[b"buggy"] = Buggy()
    with over(root) as operations:
        buggy = await ino(operations, b"buggy")
        attr = EntryAttributes()
        requests = [
            operations.lookup(buggy, b"x", CTX),
            operations.mkdir(buggy, b"x", 0o755, CTX),
            operations.mknod(buggy, b"x", stat.S_IFREG, 0, CTX),
            operations.symlink(buggy, b"x", b"y", CTX),
            operations.link(buggy, buggy, b"x", CTX),
            operations.create(buggy, b"x", 0o644, os.O_WRONLY, CTX),
            operations.unlink(buggy, b"x", CTX),
            operations.rmdir(buggy, b"x", CTX),
            operations.rename(buggy, b"x", buggy, b"y", 0, CTX),
            operations.setattr(buggy, attr, changed(mode=True), None, CTX),
            operations.getxattr(buggy, b"user.x", CTX),
            operations.listxattr(buggy, CTX),
            operations.setxattr(buggy, b"user.x", b"", CTX),
            operations.removexattr(buggy, b"user.x", CTX),
        ]
        for request in requests:
            assert await refused(request) == errno.EIO
        assert Raw(operations).readdir(buggy) == errno.EIO
        assert len([r for r in caplog.records if r.exc_info]) == len(requests) + 1


@pytest.mark.expects_warnings
@pytest.mark.parametrize("wrong", ["text", None, 5, memoryview(b"abcdef")[::2]])
async def test_what_cannot_be_sent_is_eio(root: Memory, wrong: object) -> None:
    class Handle(MemoryHandle):
        async def read(self, offset, size):  # type: ignore[no-untyped-def]
            return wrong

    class Odd(MemoryFile):
        async def open(self, flags, caller):  # type: ignore[no-untyped-def]
            return Handle(self)

    root.children[b"odd"] = Odd()
    with over(root) as operations:
        info = await operations.open(await ino(operations, b"odd"), os.O_RDONLY, CTX)
        assert await refused(operations.read(info.fh, 0, 10)) == errno.EIO


async def test_being_cancelled_is_no_failure(root: Memory) -> None:
    class Slow(Memory):
        async def mkdir(self, name, mode, caller):  # type: ignore[no-untyped-def]
            await trio.sleep_forever()

    root.children[b"slow"] = Slow()
    with over(root) as operations:
        slow = await ino(operations, b"slow")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(operations.mkdir, slow, b"x", 0o755, CTX)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert operations.stats()["errors"] == {}


async def test_statfs_speaks_of_the_stores_filesystem(operations: Operations) -> None:
    answer = await operations.statfs(CTX)
    real = os.statvfs("/tmp")
    assert (answer.f_bsize, answer.f_blocks) == (real.f_bsize, real.f_blocks)
    assert answer.f_namemax == 255
    assert answer.f_blocks > 0


async def test_stats_count_requests(operations: Operations) -> None:
    await ino(operations, b"place", b"deep")
    raw = Raw(operations)
    entries = raw.readdir(ROOT)
    assert isinstance(entries, list)
    stats = operations.stats()
    assert stats["requests"] == {"lookup": 2, "readdir": 1}
    assert stats["inodes"] == 3 + 4
    assert stats["listings"] == 1
    assert raw.readdir(ROOT, entries[-1].offset) is None
    assert operations.stats()["listings"] == 0


async def test_at_the_end_everything_is_closed(operations: Operations, root: Memory) -> None:
    file = root.children[b"file"]
    assert isinstance(file, MemoryFile)
    await operations.open(await ino(operations, b"file"), os.O_RDWR, CTX)
    await operations.close()
    assert [handle.released for handle in file.handles] == [1]
    assert file.forgets == 1
    stats = operations.stats()
    assert (stats["inodes"], stats["open_files"]) == (0, 0)


def test_the_root_must_have_the_kernels_number() -> None:
    with pytest.raises(ValueError, match="number 1"):
        over(Memory(ino=2)).__enter__()
