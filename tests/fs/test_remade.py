import errno
import os
import stat
from collections.abc import Iterator

import pytest
from trio.testing import assert_no_checkpoints

from rossfs.fs.operations import Operations
from rossfs.tree.node import FOREVER
from rossfs.tree.numbers import FIRST_HASHED, TREE_SHIFT
from rossfs.tree.trees import Trees
from tests.fs.asking import CTX, ROOT, UMASK, ino, names, over, refused
from tests.fs.forest import MODE, PARENT, Clearing
from tests.fs.kernel import changed
from tests.fs.memory import Memory
from tests.fs.raw import Raw

MANY = 50


@pytest.fixture
def trees() -> Trees:
    return Trees()


@pytest.fixture
def clearing(trees: Trees) -> Clearing:
    return Clearing(trees, MANY)


@pytest.fixture
def operations(trees: Trees, clearing: Clearing) -> Iterator[Operations]:
    with over(Memory({b"clearing": clearing}, ino=ROOT), trees=trees) as operations:
        yield operations


@pytest.fixture
async def forest(operations: Operations) -> int:
    """The number of the tree's directory, which the kernel was told once."""
    return await ino(operations, b"clearing", b"forest")


def lookups(operations: Operations) -> object:
    return operations.stats()["lookups_in_trees"]


def known(operations: Operations) -> object:
    return operations.stats()["inodes"]


async def test_lookup_answers_attributes_for_ever(operations: Operations, forest: int) -> None:
    entry = await operations.lookup(forest, b"7", CTX)
    assert entry.st_ino == forest | 7
    assert entry.st_mode == stat.S_IFREG | MODE & ~UMASK
    assert (entry.st_uid, entry.st_gid, entry.st_size, entry.st_nlink) == (7, 8, 700, 2)
    assert entry.entry_timeout == entry.attr_timeout == FOREVER
    link = await operations.lookup(forest, b"20", CTX)
    assert link.st_mode == stat.S_IFLNK | MODE


async def test_warm_requests_do_not_wait(operations: Operations, forest: int) -> None:
    file = await operations.open(forest | 7, os.O_RDONLY, CTX)
    with assert_no_checkpoints():
        await operations.lookup(PARENT, b"forest", CTX)
        await operations.lookup(forest, b"8", CTX)
        await operations.lookup(forest, b"absent", CTX)
        await operations.getattr(forest, CTX)
        await operations.getattr(forest | 7, CTX)
        assert await operations.readlink(forest | 20, CTX) == b"20"
        assert await operations.read(file.fh, 0, 3) == b"777"
        assert len(await names(operations, forest)) == MANY


async def test_getattr_says_what_lookup_said(operations: Operations, forest: int) -> None:
    for name in (b"1", b"7", b"20", b"21"):
        entry = await operations.lookup(forest, name, CTX)
        again = await operations.getattr(entry.st_ino, CTX)
        assert again.__getstate__() == entry.__getstate__()


async def test_an_absent_name_is_absent_for_ever(operations: Operations, forest: int) -> None:
    answer = await operations.lookup(forest, b"absent", CTX)
    assert (answer.st_ino, answer.entry_timeout) == (0, FOREVER)
    assert lookups(operations) == 1


async def test_nothing_is_kept_of_what_the_kernel_knows(
    operations: Operations, forest: int
) -> None:
    before = known(operations)
    for index in range(1, MANY + 1):
        await operations.lookup(forest, b"%d" % index, CTX)
    assert known(operations) == before
    assert lookups(operations) == 1 + MANY


async def test_the_tree_goes_with_the_last_lookup_and_comes_again(
    operations: Operations, trees: Trees, clearing: Clearing, forest: int
) -> None:
    leaf = (await operations.lookup(forest, b"7", CTX)).st_ino
    await operations.forget([(forest, 1)])
    assert (await operations.getattr(leaf, CTX)).st_ino == leaf
    assert (await operations.getattr(forest, CTX)).st_ino == forest
    await operations.forget([(leaf, 1)])
    assert trees.get(forest >> TREE_SHIFT) is None
    assert await refused(operations.getattr(leaf, CTX)) == errno.ESTALE
    assert await refused(operations.lookup(forest, b"7", CTX)) == errno.ESTALE
    assert Raw(operations).readdir(forest) == errno.ESTALE
    assert (await operations.lookup(PARENT, b"forest", CTX)).st_ino == forest
    assert (await operations.lookup(forest, b"7", CTX)).st_ino == leaf
    assert clearing.times == 2


async def test_what_is_listed_is_forgotten_again(
    operations: Operations, trees: Trees, forest: int
) -> None:
    entries = Raw(operations).readdir(forest)
    assert isinstance(entries, list)
    told = [(entry.node_id, 1) for entry in entries[2:]]
    assert lookups(operations) == 1 + MANY
    await operations.forget([*told, (forest, 1)])
    assert lookups(operations) == 0
    assert len(trees) == 0


async def test_an_open_file_outlives_its_tree(operations: Operations, forest: int) -> None:
    leaf = (await operations.lookup(forest, b"7", CTX)).st_ino
    fh = (await operations.open(leaf, os.O_RDONLY, CTX)).fh
    await operations.forget([(leaf, 1), (forest, 1)])
    assert await operations.read(fh, 0, 10) == b"7777777777"
    await operations.release(fh)


async def test_numbers_that_nobody_gave_are_stale(operations: Operations, forest: int) -> None:
    for number in (
        forest | MANY + 1,
        forest | (1 << TREE_SHIFT) - 1,
        6 << TREE_SHIFT,
        4 << TREE_SHIFT | 7,
        (1 << TREE_SHIFT) - 1,
        FIRST_HASHED - 1,
        FIRST_HASHED,
        FIRST_HASHED | forest,
        (1 << 64) - 1,
    ):
        assert await refused(operations.getattr(number, CTX)) == errno.ESTALE, number
        assert await refused(operations.lookup(number, b"7", CTX)) == errno.ESTALE, number
        assert await refused(operations.open(number, os.O_RDONLY, CTX)) == errno.ESTALE, number
        assert Raw(operations).readdir(number) == errno.ESTALE, number
        assert await refused(operations.listxattr(number, CTX)) == errno.ESTALE, number


async def test_what_is_no_directory_says_so(operations: Operations, forest: int) -> None:
    assert await refused(operations.lookup(forest | 7, b"x", CTX)) == errno.ENOTDIR
    assert Raw(operations).readdir(forest | 7) == errno.ENOTDIR
    assert await refused(operations.open(forest | 1, os.O_RDONLY, CTX)) == errno.EISDIR
    assert await refused(operations.open(forest | 20, os.O_RDONLY, CTX)) == errno.ELOOP
    assert await refused(operations.readlink(forest | 7, CTX)) == errno.EINVAL


async def test_nothing_in_it_changes(operations: Operations, forest: int) -> None:
    change = await operations.getattr(forest | 7, CTX)
    for request in (
        operations.setattr(forest | 7, change, changed(mode=True), None, CTX),
        operations.open(forest | 7, os.O_WRONLY, CTX),
        operations.mkdir(forest, b"new", 0o755, CTX),
        operations.create(forest, b"new", 0o644, os.O_WRONLY, CTX),
        operations.unlink(forest, b"7", CTX),
        operations.rmdir(forest, b"1", CTX),
        operations.rename(forest, b"7", forest, b"new", 0, CTX),
        operations.symlink(forest, b"new", b"target", CTX),
        operations.setxattr(forest | 7, b"user.x", b"1", CTX),
    ):
        assert await refused(request) == errno.EROFS
    assert lookups(operations) == 1


async def test_any_extended_attribute_can_be_asked_for(operations: Operations, forest: int) -> None:
    assert await operations.getxattr(forest | 7, b"security.capability", CTX) == b"7"
    assert await operations.listxattr(forest | 7, CTX) == [b"security.capability"]
    absent = operations.getxattr(forest | 7, b"system.posix_acl_access", CTX)
    assert await refused(absent) == errno.ENODATA


async def test_more_may_be_taken_back_than_was_given(
    operations: Operations, trees: Trees, forest: int
) -> None:
    await operations.forget([(forest, 5), (forest | 7, 1), (9 << TREE_SHIFT, 3)])
    assert lookups(operations) == 0
    assert len(trees) == 0
    assert (await operations.lookup(PARENT, b"forest", CTX)).st_ino == forest
    assert lookups(operations) == 1


async def test_at_the_end_every_tree_is_forgotten(
    operations: Operations, trees: Trees, forest: int
) -> None:
    await operations.lookup(forest, b"7", CTX)
    await operations.close()
    assert len(trees) == 0
    assert lookups(operations) == 0


@pytest.mark.expects_warnings
async def test_a_tree_that_fails_to_go_is_logged_and_gone(
    operations: Operations,
    trees: Trees,
    forest: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise RuntimeError("bug")

    tree = trees.get(forest >> TREE_SHIFT)
    assert tree is not None
    monkeypatch.setattr(type(tree), "forgotten", lambda self: fail())
    await operations.forget([(forest, 1)])
    assert "unforeseen" in caplog.text
    assert lookups(operations) == 0
