import errno
import os

import pytest
import trio

from rossfs.tree.node import FOREVER, Directory
from rossfs.tree.readme import TEXT
from rossfs.tree.static import BytesFile, FixedSymlink, StaticDirectory
from tests.suites.directory_suite import CALLER, ReadOnlyDirectorySuite, listed, refusal

NOW = 1_700_000_000_123_456_789


class TestStaticDirectory(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self) -> Directory:
        return StaticDirectory(
            5,
            {
                b"file": BytesFile(6, b"some text\n", NOW),
                b"link": FixedSymlink(7, b"../elsewhere", NOW),
                b"below": StaticDirectory(8, {}, NOW),
            },
            NOW,
        )

    async def test_names_are_listed_in_the_order_given(self, directory: Directory) -> None:
        names = [entry.name for entry in await listed(directory)]
        assert names == [b"file", b"link", b"below"]

    async def test_the_kernel_may_believe_everything_for_ever(self, directory: Directory) -> None:
        assert directory.ttl == directory.negative_ttl == FOREVER
        ttls = [entry.node.ttl for entry in await listed(directory) if entry.node]
        assert ttls == [FOREVER] * 3

    def test_times_are_those_given(self, directory: Directory) -> None:
        for node in (directory, directory.lookup(b"file"), directory.lookup(b"link")):
            assert node is not None
            assert node.attr().mtime_ns == NOW


class TestEmptyStaticDirectory(ReadOnlyDirectorySuite):
    empty = True

    @pytest.fixture
    def directory(self) -> Directory:
        return StaticDirectory(5, {})


async def test_looking_and_reading_do_not_wait() -> None:
    directory = StaticDirectory(5, {b"file": BytesFile(6, b"text")})
    file = directory.lookup(b"file")
    assert isinstance(file, BytesFile)
    with trio.testing.assert_no_checkpoints():
        handle = await file.open(os.O_RDONLY, CALLER)
        assert await handle.read(0, 100) == b"text"
        assert await handle.read(2, 1) == b"x"
    assert handle.keep_cache


async def test_a_static_file_is_not_opened_for_writing() -> None:
    assert await refusal(BytesFile(6, b"text").open(os.O_RDWR, CALLER)) == errno.EROFS


def test_the_readme_has_some_twenty_lines_of_a_terminals_width() -> None:
    lines = TEXT.decode("ascii").splitlines()
    assert 15 <= len(lines) <= 25
    assert max(map(len, lines)) <= 80
