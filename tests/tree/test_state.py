import errno
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest

import rossfs
from rossfs.image.blobindex import IndexingProgress
from rossfs.oci.digest import Digest
from rossfs.tree.node import Directory, File
from rossfs.tree.state import DamagedContent, LogBuffer, StateFile, state_directory
from tests.suites.directory_suite import CALLER, ReadOnlyDirectorySuite, refusal


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("state test")
    made.setLevel(logging.INFO)
    made.propagate = False
    yield made
    made.handlers.clear()


@pytest.fixture
def log(logger: logging.Logger) -> LogBuffer:
    buffer = LogBuffer()
    logger.addHandler(buffer)
    return buffer


class TestState(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, log: LogBuffer, logger: logging.Logger) -> Directory:
        logger.info("a line")
        damaged = [DamagedContent("sha256:00", "it is wrong")]
        making = [IndexingProgress(Digest.sha256("0" * 64), 5, 70, 1234.5)]
        return state_directory(log, lambda: {"pid": 7}, lambda: damaged, lambda: making, 0)

    async def text(self, directory: Directory, name: bytes) -> bytes:
        node = directory.lookup(name)
        assert isinstance(node, File)
        handle = await node.open(os.O_RDONLY, CALLER)
        return bytes(await handle.read(0, 1 << 20))

    async def test_the_version_is_that_of_the_package(self, directory: Directory) -> None:
        assert await self.text(directory, b"version") == f"rossfs {rossfs.__version__}\n".encode()

    async def test_stats_are_json(self, directory: Directory) -> None:
        assert json.loads(await self.text(directory, b"stats")) == {"pid": 7}

    async def test_each_damaged_content_is_a_line_of_json(self, directory: Directory) -> None:
        (line,) = (await self.text(directory, b"damaged")).splitlines()
        assert json.loads(line) == {"digest": "sha256:00", "reason": "it is wrong"}

    async def test_each_layer_that_is_being_read_is_a_line_of_json(
        self, directory: Directory
    ) -> None:
        (line,) = (await self.text(directory, b"progress")).splitlines()
        layer = "sha256:" + "0" * 64
        assert json.loads(line) == {"layer": layer, "bytes": 5, "of": 70, "since": 1234}

    async def test_the_log_has_the_line(self, directory: Directory) -> None:
        assert (await self.text(directory, b"log")).endswith(b"INFO a line\n")


async def test_an_open_file_keeps_the_text_of_its_opening() -> None:
    texts = [b"first", b"second, and longer"]
    file = StateFile(9, lambda: texts[0])
    handle = await file.open(os.O_RDONLY, CALLER)
    texts.pop(0)
    assert file.attr().size == len(texts[0])
    assert await handle.read(0, 100) == b"first"
    assert handle.direct_io
    assert not handle.keep_cache


async def test_state_is_not_written() -> None:
    assert await refusal(StateFile(9, bytes).open(os.O_WRONLY, CALLER)) == errno.EROFS


def test_the_log_keeps_the_last_lines_only(logger: logging.Logger) -> None:
    buffer = LogBuffer(lines=3)
    logger.addHandler(buffer)
    for number in range(5):
        logger.info("line %d", number)
    assert [line[-6:] for line in buffer.text().splitlines()] == [b"line 2", b"line 3", b"line 4"]


def test_a_traceback_is_logged_line_by_line(log: LogBuffer, logger: logging.Logger) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        logger.exception("it failed")
    lines = log.text().splitlines()
    assert lines[0].endswith(b"ERROR it failed")
    assert lines[-1] == b"ValueError: wrong"


def test_text_that_is_no_unicode_is_logged_all_the_same(
    log: LogBuffer, logger: logging.Logger
) -> None:
    logger.info("name \udcff")
    assert log.text().endswith(b"name \\udcff\n")


def test_the_log_is_read_while_threads_write(log: LogBuffer, logger: logging.Logger) -> None:
    def write() -> None:
        for number in range(500):
            logger.info("thread line %d", number)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert all(b"thread line" in line for line in log.text().splitlines())
    for thread in threads:
        thread.join()
    assert len(log.text().splitlines()) == 1000
