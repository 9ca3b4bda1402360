from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import pytest

from rossfs.fs.operations import Operations
from rossfs.tree.node import Attr
from tests.fs.asking import CTX, ROOT, ino, over, refused, small_tree
from tests.fs.kernel import context
from tests.fs.memory import Memory, MemoryFile, MemoryHandle


@pytest.fixture
def root() -> Memory:
    return small_tree()


@pytest.fixture
def operations(root: Memory) -> Iterator[Operations]:
    with over(root) as operations:
        yield operations


async def test_what_is_made_is_known_until_it_is_forgotten(operations: Operations) -> None:
    made = [
        (await operations.mkdir(ROOT, b"directory", 0o755, CTX)).st_ino,
        (await operations.mknod(ROOT, b"node", stat.S_IFREG | 0o644, 0, CTX)).st_ino,
        (await operations.symlink(ROOT, b"symlink", b"file", CTX)).st_ino,
        (await operations.create(ROOT, b"new", 0o644, os.O_WRONLY, CTX))[1].st_ino,
    ]
    assert len(operations._inodes) == 1 + len(made)
    linked = await operations.link(made[1], ROOT, b"hard", CTX)
    assert linked.st_ino == made[1]
    await operations.forget([(number, 1) for number in made])
    assert len(operations._inodes) == 2
    await operations.forget([(made[1], 1)])
    assert len(operations._inodes) == 1


async def test_what_could_not_be_made_is_not_known(operations: Operations) -> None:
    assert await refused(operations.mkdir(ROOT, b"file", 0o755, CTX)) == errno.EEXIST
    assert len(operations._inodes) == 1


async def test_a_created_file_that_cannot_be_shown_is_closed(root: Memory) -> None:
    class Blank(MemoryFile):
        def attr(self) -> Attr:
            raise OSError(errno.ESTALE, "gone")

    blank = Blank()

    class Odd(Memory):
        async def create(self, name, mode, flags, caller):  # type: ignore[no-untyped-def]
            return blank, await blank.open(flags, caller)

    root.children[b"odd"] = Odd()
    with over(root) as operations:
        odd = await ino(operations, b"odd")
        request = operations.create(odd, b"x", 0o644, os.O_WRONLY, CTX)
        assert await refused(request) == errno.ESTALE
        assert [handle.released for handle in blank.handles] == [1]
        assert operations.stats()["open_files"] == 0


async def test_a_file_is_created_written_and_read(operations: Operations, root: Memory) -> None:
    info, entry = await operations.create(ROOT, b"new", 0o644, os.O_RDWR, CTX)
    assert await operations.write(info.fh, 0, b"some text") == 9
    assert bytes(await operations.read(info.fh, 5, 100)) == b"text"
    await operations.fsync(info.fh, True)
    await operations.flush(info.fh)
    await operations.release(info.fh)
    (handle,) = root.children[b"new"].handles  # type: ignore[attr-defined]
    assert (handle.flushed, handle.released, handle.synced) == (1, 1, [True])
    assert (await operations.getattr(entry.st_ino, CTX)).st_size == 9


async def test_a_closed_file_is_not_open(operations: Operations) -> None:
    info = await operations.open(await ino(operations, b"file"), os.O_RDONLY, CTX)
    await operations.release(info.fh)
    assert await refused(operations.read(info.fh, 0, 10)) == errno.EBADF
    assert await refused(operations.write(info.fh, 0, b"x")) == errno.EBADF
    assert await refused(operations.flush(info.fh)) == errno.EBADF
    assert await refused(operations.release(info.fh)) == errno.EBADF


async def test_a_read_only_mount_tells_the_kernel_to_flush_no_more(root: Memory) -> None:
    with over(root, read_only=True) as operations:
        info = await operations.open(await ino(operations, b"file"), os.O_RDONLY, CTX)
        assert await refused(operations.flush(info.fh)) == errno.ENOSYS
        await operations.release(info.fh)


async def test_only_files_are_opened(operations: Operations) -> None:
    place, link = await ino(operations, b"place"), await ino(operations, b"link")
    assert await refused(operations.open(place, os.O_RDONLY, CTX)) == errno.EISDIR
    assert await refused(operations.open(link, os.O_RDONLY, CTX)) == errno.ELOOP


async def test_the_handle_says_how_the_kernel_caches(root: Memory) -> None:
    class Direct(MemoryHandle):
        direct_io = True
        keep_cache = False

    class Kept(MemoryHandle):
        keep_cache = True

    class Opens(MemoryFile):
        kind = Kept

        async def open(self, flags, caller):  # type: ignore[no-untyped-def]
            return self.kind(self)

    class OpensDirect(Opens):
        kind = Direct  # type: ignore[assignment]

    root.children |= {b"kept": Opens(), b"direct": OpensDirect()}
    with over(root) as operations:
        kept = await operations.open(await ino(operations, b"kept"), os.O_RDONLY, CTX)
        assert kept.keep_cache
        assert not kept.direct_io
        direct = await operations.open(await ino(operations, b"direct"), os.O_RDONLY, CTX)
        assert direct.direct_io
        assert not direct.keep_cache


async def test_published_content_is_rewritten_beside(operations: Operations, root: Memory) -> None:
    old = await ino(operations, b"published")
    flags = os.O_WRONLY | os.O_TRUNC
    assert await refused(operations.open(old, flags, CTX)) == errno.ESTALE
    draft = await operations.lookup(ROOT, b"published", CTX)
    assert draft.st_ino != old
    assert draft.entry_timeout == draft.attr_timeout == 0
    again = await operations.lookup(ROOT, b"published", CTX)  # the kernel asks twice
    assert again.st_ino == draft.st_ino
    other = await operations.lookup(ROOT, b"published", context(pid=7))
    assert other.st_ino == old, "another process walks into the draft"
    info = await operations.open(draft.st_ino, flags, CTX)
    assert (await operations.lookup(ROOT, b"published", CTX)).st_ino == old, "the mark stayed"
    await operations.write(info.fh, 0, b"new")
    await operations.release(info.fh)
    assert (await operations.lookup(ROOT, b"published", CTX)).st_size == 3


async def test_what_nobody_rewrites_is_read_only(operations: Operations) -> None:
    constant = await ino(operations, b"constant")
    assert await refused(operations.open(constant, os.O_WRONLY, CTX)) == errno.ESTALE
    assert (await operations.lookup(ROOT, b"constant", CTX)).st_ino == constant
    assert await refused(operations.open(constant, os.O_WRONLY, CTX)) == errno.EROFS
