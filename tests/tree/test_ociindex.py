"""oci/: from what the writer of an index.json set out, and who is told what."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from typing import Any

import pytest

from rossfs.errors import InvalidDocument
from rossfs.store.layoutindex import empty, text_of
from rossfs.store.store import Store
from rossfs.tree.bases import origin
from rossfs.tree.node import AttrChange
from rossfs.tree.numbers import Numbers
from rossfs.tree.oci import OciDirectory
from rossfs.tree.process import Process
from tests.builders import ImageParts, compact, image_parts
from tests.tree.layouts import Tool, added, blob, top_of
from tests.tree.writing import error_of

EMPTY = empty()


@pytest.fixture
def parts() -> ImageParts:
    return image_parts("one")


@pytest.fixture
def other() -> ImageParts:
    return image_parts("other", layers=1)


@pytest.fixture
async def top(store: Store, numbers: Numbers) -> OciDirectory:
    return top_of(store, numbers)


@pytest.fixture
async def tool(top: OciDirectory) -> Tool:
    return Tool(top)


def tags(store: Store) -> list[str]:
    return [info.tag for info in store.list_tags("app")]


async def replaced(handle: Any, document: dict[str, Any]) -> None:
    """Empty the file as ftruncate(2) does, write it anew and close it."""
    await handle._staged.setattr(AttrChange(size=0), None)
    await handle.write(0, compact(document))
    await handle.flush()
    await handle.release()


async def test_who_opens_without_emptying_sets_out_from_what_he_read_before(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    read = await tool.index("app")
    await Tool(top).copy("app", other, "theirs")
    handle = await tool.open("app/index.json", os.O_WRONLY)
    await replaced(handle, added(read, parts, "mine"))
    assert tags(store) == ["mine", "theirs", "v1"]


async def test_who_reads_through_what_he_writes_sets_out_from_that(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await Tool(top).copy("app", other, "theirs")
    handle = await tool.open("app/index.json", os.O_RDWR)
    assert b"theirs" in bytes(await handle.read(0, 1 << 20))
    await Tool(top).copy("app", other, "later")
    await replaced(handle, EMPTY)
    assert tags(store) == ["later"]


async def test_what_he_wrote_himself_is_not_what_he_read(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    read = await tool.index("app")
    await Tool(top).copy("app", other, "theirs")
    handle = await tool.open("app/index.json", os.O_RDWR)
    await handle._staged.setattr(AttrChange(size=0), tool.caller)
    assert bytes(await handle.read(0, 1)) == b""
    await replaced(handle, added(read, parts, "mine"))
    assert tags(store) == ["mine", "theirs", "v1"]


async def test_an_opening_that_changes_nothing_brings_nothing_back(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.begin("app")
    await Tool(top).copy("app", parts, "v1")
    handle = await tool.open("app/index.json", os.O_WRONLY)
    store.delete_tag("app", "v1")
    await handle.flush()
    await handle.release()
    assert tags(store) == []


# Threads of one process


@pytest.fixture
async def threads(store: Store, numbers: Numbers) -> list[Tool]:
    """Four threads of one process."""
    top = top_of(store, numbers, lambda _: Process(1, 0), alone=False)
    return [Tool(top) for _ in range(4)]


async def test_threads_that_read_and_write_in_turn_lose_no_tag(
    store: Store, threads: list[Tool], parts: ImageParts
) -> None:
    await threads[0].put("app", parts)
    for turn in ("t", "u"):
        documents = [await thread.begin("app") for thread in threads]
        for number, document in enumerate(documents):
            await threads[number].publish("app", added(document, parts, f"{turn}{number}"))
    assert tags(store) == [f"{turn}{number}" for turn in "tu" for number in range(4)]


async def test_threads_may_change_places(
    store: Store, threads: list[Tool], parts: ImageParts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rossfs.tree")
    await threads[0].copy("app", parts, "v1")
    read = [await thread.index("app") for thread in threads]
    await threads[1].publish("app", added(read[0], parts, "v2"))
    await threads[0].publish("app", added(read[1], parts, "v3"))
    await threads[3].publish("app", added(read[2], parts, "v4"))
    assert tags(store) == ["v1", "v2", "v3", "v4"]
    assert "v2 stay" in caplog.text


async def test_a_tag_that_another_thread_moved_stays_moved(
    store: Store, threads: list[Tool], parts: ImageParts, other: ImageParts
) -> None:
    one, two, *_ = threads
    await one.copy("app", parts, "v1")
    await one.put("app", other)
    read = [await one.index("app"), await two.index("app")]
    await one.publish("app", added(read[0], other, "v1"))
    await two.publish("app", added(read[1], parts, "v2"))
    assert store.resolve_tag("app", "v1")[0] == other.digest
    assert tags(store) == ["v1", "v2"]


async def test_threads_can_remove_what_they_made(
    store: Store, threads: list[Tool], parts: ImageParts
) -> None:
    one, two, three, _ = threads
    await one.copy("app", parts, "v1")
    await one.publish("app", {**(await one.index("app")), "manifests": []})
    assert tags(store) == []
    await two.publish("app", added(await one.index("app"), parts, "v1"))
    await three.publish("app", {**(await two.index("app")), "manifests": []})
    assert tags(store) == []


def entries(**tags: str) -> bytes:
    manifests = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{digest * 64}",
            "size": 1,
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        for tag, digest in tags.items()
    ]
    return compact({**EMPTY, "manifests": manifests})


@pytest.mark.parametrize(
    ("texts", "ours", "expected", "stays"),
    [
        ([entries(a="1")], entries(), entries(a="1"), ()),
        ([entries(), entries(a="1")], entries(), entries(), ("a",)),
        ([entries(a="1"), entries(a="1")], entries(), entries(a="1"), ()),
        ([entries(a="1"), entries(a="2")], entries(a="1"), entries(a="1"), ()),
        ([entries(a="1"), entries(a="2")], entries(a="3"), entries(a="2"), ()),
        ([entries(a="1"), entries(b="2")], entries(c="3"), entries(), ("b",)),
        ([b"no index", entries(a="1")], entries(), entries(a="1"), ()),
    ],
)
def test_what_any_reading_explains_is_not_changed(
    texts: Sequence[bytes], ours: bytes, expected: bytes, stays: Sequence[str]
) -> None:
    found = origin(texts, ours)
    assert found.text == expected
    assert found.stays == tuple(stays)


def test_members_follow_the_same_rule() -> None:
    one, two, ours = (text_of({**EMPTY, "annotations": {"a": value}}) for value in ("1", "2", "1"))
    assert json.loads(origin([one, two], ours).text) == json.loads(one)
    with pytest.raises(InvalidDocument):
        origin([one, two], b"{}")


# Who is told what


async def test_what_could_not_be_written_is_no_room(
    tool: Tool, parts: ImageParts, monkeypatch: pytest.MonkeyPatch, expects_warnings: list[object]
) -> None:
    await tool.copy("app", parts, "v1")
    for name in ("index.json", "oci-layout"):
        handle = await tool.open(f"app/{name}")
        await handle.write(0, b'{"')

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            assert getattr(await error_of(handle.write(2, b"s")), "errno", None) == errno.ENOSPC
        assert getattr(await error_of(handle.flush()), "errno", None) == errno.ENOSPC
        await handle.release()
    assert set(await tool.tags("app")) == {"v1"}


async def test_one_act_is_refused_once(
    tool: Tool, parts: ImageParts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rossfs.tree")
    await tool.copy("app", parts, "v1")
    for texts, refusals in (((b"", b"{"), 1), ((b"",), 1), ((b"", compact(EMPTY)), 0)):
        caplog.clear()
        handle = await tool.open("app/index.json")
        for text in texts:  # a shell duplicates the descriptor before it writes
            if text:
                await handle.write(0, text)
            await error_of(handle.flush())
        await handle.release()
        assert caplog.text.count("is not published") == refusals, texts
    assert await tool.find(blob("app", parts.config)) is not None
