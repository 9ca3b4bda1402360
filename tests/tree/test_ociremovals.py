"""oci/: a digest that a process unlinked is gone for that process, and for no other."""

from __future__ import annotations

import errno
import os

import pytest

from rossfs.store.store import Store
from rossfs.tree.node import Caller
from rossfs.tree.numbers import Numbers
from rossfs.tree.oci import OciDirectory
from rossfs.tree.process import Process
from rossfs.tree.removals import Removals
from tests.builders import ImageParts, digest_of, image_parts
from tests.tree.layouts import Tool, added, blob, top_of
from tests.tree.writing import error_of

MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
ONE, TWO = digest_of(b"one"), digest_of(b"two")


@pytest.fixture
def parts() -> ImageParts:
    return image_parts("one")


@pytest.fixture
async def top(store: Store, numbers: Numbers) -> OciDirectory:
    return top_of(store, numbers)


@pytest.fixture
async def tool(top: OciDirectory) -> Tool:
    return Tool(top)


async def test_who_unlinks_what_is_in_the_way_can_make_it(
    tool: Tool, top: OciDirectory, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    path = blob("app", parts.config)
    error = await error_of(tool.write(path, parts.config, MAKE))
    assert isinstance(error, FileExistsError)
    await tool.unlink(path)
    assert await tool.find(path) is None
    assert await Tool(top).read(path) == parts.config
    await tool.write(path, parts.config, MAKE)
    assert await tool.read(path) == parts.config


async def test_each_layout_is_by_itself(tool: Tool, parts: ImageParts) -> None:
    await tool.copy("app", parts, "v1")
    await tool.copy("other", parts, "v1")
    await tool.unlink(blob("app", parts.config))
    assert await tool.find(blob("app", parts.config)) is None
    assert await tool.read(blob("other", parts.config)) == parts.config


async def test_what_the_kernel_still_knows_can_be_unlinked_again(
    tool: Tool, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    for _ in range(2):
        await tool.unlink(blob("app", parts.config))
        assert await tool.find(blob("app", parts.config)) is None


async def test_what_another_puts_there_is_there_for_all(
    tool: Tool, top: OciDirectory, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await tool.unlink(blob("app", parts.config))
    await Tool(top).write(blob("app", parts.config), parts.config)
    assert await tool.read(blob("app", parts.config)) == parts.config


async def test_what_an_index_names_is_there_for_all(
    tool: Tool, top: OciDirectory, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await tool.unlink(blob("app", parts.config))
    other = Tool(top)
    await other.publish("app", added(await other.index("app"), parts, "v2"))
    assert await tool.read(blob("app", parts.config)) == parts.config


async def test_a_rename_that_must_not_replace_goes_where_it_unlinked(
    tool: Tool, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await tool.write("app/aside", parts.config)
    there = await error_of(tool.rename("app/aside", blob("app", parts.config), 1))
    assert getattr(there, "errno", None) == errno.EEXIST
    await tool.unlink(blob("app", parts.config))
    await tool.rename("app/aside", blob("app", parts.config), 1)
    assert await tool.read(blob("app", parts.config)) == parts.config


def numbered(thread: int) -> Process | None:
    """Threads 10 to 19 are process 1, and so on; nobody can tell 0."""
    return Process(thread // 10, 0) if thread else None


@pytest.fixture
def removals() -> Removals:
    return Removals(numbered, 4)


def test_threads_of_one_process_see_the_same(removals: Removals) -> None:
    removals.removed("app", ONE, 10)
    assert removals.is_gone("app", ONE, 11)
    assert not removals.is_gone("app", TWO, 11)
    assert not removals.is_gone("app", ONE, 20)
    assert removals.hides("app", ONE)
    assert not removals.hides("other", ONE)


def test_those_that_nobody_can_tell_apart_are_one(removals: Removals) -> None:
    removals.removed("app", ONE, 0)
    assert removals.is_gone("app", ONE, 0)
    assert not removals.is_gone("app", ONE, 10)


def test_the_oldest_are_found_again(removals: Removals) -> None:
    digests = [digest_of(b"%d" % number) for number in range(6)]
    for digest in digests:
        removals.removed("app", digest, 10)
    found = [removals.is_gone("app", digest, 10) for digest in digests]
    assert found == [False] * 2 + [True] * 4
    for number in range(2, 40):
        removals.removed("app", digests[5], number * 10)
    assert not removals.is_gone("app", digests[5], 10)
    removals.made("app")
    assert not removals


async def test_links_and_renames_say_why_not(
    tool: Tool, parts: ImageParts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rossfs.tree")
    await tool.copy("app", parts, "v1")
    for change, name in (
        (tool.rename("app/index.json", "app/index2"), '"oci/app/index.json"'),
        (tool.rename("app", "other"), '"oci/app"'),
        (tool.top.symlink(b"v2", b"v1", Caller(0, 0, 1)), '"oci/v2"'),
    ):
        caplog.clear()
        error = await error_of(change)
        assert getattr(error, "errno", None) == errno.EROFS
        (record,) = caplog.records
        assert name in record.message
        assert "tags/" in record.message
