"""Open files; names are in test_direct.py."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.fs import wire
from rossfs.tree.handle import Handle
from rossfs.tree.node import Caller
from rossfs.tree.numbers import TREE_SHIFT
from tests.fs.asking import ROOT, ino, small_tree
from tests.fs.memory import Memory, MemoryFile, MemoryHandle
from tests.fs.raw import Asked, Mount, Opened, Raw, mounted
from tests.fs.wood import ACTIVE, AWAY, LEAF, NEAR, PASSIVE, Wood

MANY = 50
TOP = 5 << TREE_SHIFT


@pytest.fixture
def mount() -> Iterator[Mount]:
    with mounted(Wood(5, MANY), root=small_tree()) as mount:
        yield mount


@pytest.fixture
def raw(mount: Mount) -> Raw:
    return mount.raw


@pytest.fixture
def asked(mount: Mount) -> Asked:
    return mount.asked


def opened(answer: Opened | int | None) -> int:
    assert isinstance(answer, Opened)
    return answer.fh


# Files


@pytest.mark.parametrize(
    ("index", "flags"),
    [
        (PASSIVE, wire.KEEP_CACHE | wire.NOFLUSH),
        (AWAY, wire.KEEP_CACHE | wire.NOFLUSH),
        (ACTIVE, 0),
    ],
)
def test_what_the_kernel_may_do_with_an_open_file(
    raw: Raw, asked: Asked, index: int, flags: int
) -> None:
    one, other = raw.open(TOP | index), asked.open(TOP | index)
    assert isinstance(one, Opened)
    assert isinstance(other, Opened)
    assert one.flags == flags
    assert one.flags & ~wire.NOFLUSH == other.flags  # pyfuse3 cannot say that
    assert one.fh != other.fh


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC])
def test_nothing_is_opened_for_writing(mount: Mount, raw: Raw, asked: Asked, flags: int) -> None:
    for index in (PASSIVE, ACTIVE):
        assert raw.open(TOP | index, flags) == asked.open(TOP | index, flags) == errno.EROFS
    assert mount.told()["open_files"] == 0


def test_a_mount_that_is_read_only_opens_files_of_trees(raw: Raw) -> None:
    with mounted(Wood(5, MANY), read_only=True) as mount:
        assert isinstance(mount.raw.open(TOP | PASSIVE), Opened)
        assert mount.raw.open(TOP | PASSIVE, os.O_RDWR) == errno.EROFS


def test_a_file_that_is_not_at_hand_is_handed_on(mount: Mount, raw: Raw, asked: Asked) -> None:
    assert raw.open(TOP | LEAF) is None
    assert "open" not in mount.operations.stats()["requests"]  # type: ignore[operator]
    fh = opened(asked.open(TOP | LEAF))
    assert raw.read(fh, 0, 10) is None
    assert raw.flush(fh) is None
    assert raw.release(fh) is None
    assert mount.told()["open_files"] == 1
    assert asked.read(fh, 0, 10) == b"5" * 10


@settings(deadline=None, max_examples=100)
@given(
    index=st.sampled_from([PASSIVE, ACTIVE, AWAY]),
    offset=st.integers(0, 400) | st.integers(0, (1 << 63) - 1),
    size=st.integers(0, 400) | st.integers(0, (1 << 32) - 1),
)
def test_bytes_are_what_the_handlers_read(index: int, offset: int, size: int) -> None:
    with mounted(Wood(5, MANY)) as mount:
        fh = opened(mount.raw.open(TOP | index))
        data = mount.raw.read(fh, offset, size)
        if data is None:
            assert index == AWAY
            assert offset + size > NEAR
        else:
            assert data == mount.asked.read(fh, offset, size)


def test_reads_that_are_handed_on_are_not_counted_twice(mount: Mount, raw: Raw) -> None:
    fh = opened(raw.open(TOP | AWAY))
    assert raw.read(fh, 0, NEAR) == b"4" * NEAR
    assert raw.read(fh, 1, NEAR) is None
    requests = mount.operations.stats()["requests"]
    assert isinstance(requests, dict)
    assert requests["read"] == 1


async def test_reads_of_what_is_beside_the_trees_are_answered_if_at_hand(mount: Mount) -> None:
    class Hand(MemoryHandle):
        def read_ready(self, offset: int, size: int) -> bytes | None:
            if offset > 1000:
                raise OSError(errno.ESTALE, "is gone")
            return b"at hand" if offset < 100 else None

    class File(MemoryFile):
        async def open(self, flags: int, caller: Caller) -> Handle:
            return Hand(self)

    root = Memory({b"file": File(), b"other": MemoryFile(b"x")}, ino=ROOT)
    with mounted(root=root) as mount:
        fh = opened(mount.asked.open(await ino(mount.operations, b"file")))
        assert mount.raw.read(fh, 0, 10) == b"at hand"
        assert mount.raw.read(fh, 100, 10) is None
        assert mount.raw.read(fh, 1001, 10) == errno.ESTALE
        assert mount.raw.flush(fh) is None
        assert mount.raw.release(fh) is None
        fh = opened(mount.asked.open(await ino(mount.operations, b"other")))
        assert mount.raw.read(fh, 0, 10) is None


def test_what_is_not_open_is_handed_on_for_its_errno(raw: Raw, asked: Asked) -> None:
    for fh in (0, 1, (1 << 64) - 1):
        assert raw.read(fh, 0, 1) is None
        assert raw.flush(fh) is None
        assert raw.release(fh) is None
        assert asked.read(fh, 0, 1) == errno.EBADF


def test_a_passive_file_is_closed_without_its_handle(mount: Mount, raw: Raw) -> None:
    fh = opened(raw.open(TOP | PASSIVE))
    other = opened(raw.open(TOP | PASSIVE))
    assert raw.flush(fh) == b""
    assert raw.flush(fh) == b""
    assert raw.read(fh, 0, 3) == b"222"
    assert raw.release(fh) == b""
    assert mount.told()["open_files"] == 1
    assert raw.read(fh, 0, 3) is None
    assert raw.release(fh) is None
    assert raw.read(other, 0, 3) == b"222"


def test_a_file_that_is_not_passive_is_closed_by_the_handlers(mount: Mount, raw: Raw) -> None:
    fh = opened(raw.open(TOP | ACTIVE))
    assert raw.flush(fh) is None
    assert raw.release(fh) is None
    assert mount.told()["open_files"] == 1
    requests = mount.operations.stats()["requests"]
    assert isinstance(requests, dict)
    assert not {"flush", "release"} & set(requests)
