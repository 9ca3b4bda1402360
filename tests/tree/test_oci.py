"""oci/: layouts, what tools write in them, and who sees what."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from rossfs.errors import (
    Conflict,
    InvalidDocument,
    InvalidReference,
    MissingContent,
)
from rossfs.oci.layout import LAYOUT_DOCUMENT
from rossfs.store.store import Store
from rossfs.tree.layoutfiles import IndexFile
from rossfs.tree.node import AttrChange, Directory, File
from rossfs.tree.numbers import Numbers
from rossfs.tree.oci import OciDirectory
from tests import builders
from tests.builders import ImageParts, compact, image_parts
from tests.suites.directory_suite import DirectorySuite
from tests.tree.layouts import Tool, added, blob, names, top_of
from tests.tree.writing import error_of, scratch

EMPTY = {"schemaVersion": 2, "manifests": []}


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


class TestTop(DirectorySuite):
    @pytest.fixture
    async def directory(self, tool: Tool, parts: ImageParts) -> Directory:
        await tool.mkdir("plain/below")
        await tool.copy("lab/app", parts, "v1")
        return tool.top


class TestEmptyTop(DirectorySuite):
    empty = True

    @pytest.fixture
    async def directory(self, tool: Tool) -> Directory:
        return tool.top


class TestLayout(DirectorySuite):
    @pytest.fixture
    async def directory(self, tool: Tool, parts: ImageParts, request: object) -> Directory:
        await tool.copy("lab/app", parts, "v1")
        await tool.mkdir("lab/app/below")
        await tool.write("lab/app/aside", b"bytes")
        await tool.mkdir("lab/app/.umoci-1")
        return await tool.directory("lab/app")


async def test_what_skopeo_copies_is_a_tag(store: Store, tool: Tool, parts: ImageParts) -> None:
    await tool.copy("lab/app", parts, "v1")
    assert store.resolve_tag("lab/app", "v1")[0] == parts.digest
    assert await tool.tags("lab/app") == {"v1": str(parts.digest)}
    assert await tool.read("lab/app/oci-layout") == LAYOUT_DOCUMENT
    assert await tool.read(blob("lab/app", parts.config)) == parts.config
    assert await names(await tool.directory("lab/app")) == {b"oci-layout", b"index.json", b"blobs"}
    assert scratch(store) == []


async def test_a_tag_that_is_set_elsewhere_shows(store: Store, tool: Tool) -> None:
    image = builders.image(store, "one", tag="lab/app:v1")
    assert await tool.tags("lab/app") == {"v1": str(image.manifest)}
    assert image.config.hex.encode() in await names(await tool.directory("lab/app/blobs/sha256"))
    store.delete_tag("lab/app", "v1")
    assert await tool.find("lab/app/index.json") is None


async def test_two_tools_that_begin_together_keep_both_tags(
    tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    second = Tool(top)
    one, two = await tool.begin("app"), await second.begin("app")
    await tool.put("app", parts)
    await second.put("app", other)
    await tool.publish("app", added(one, parts, "one"))
    await second.publish("app", added(two, other, "two"))
    assert set(await tool.tags("app")) == {"one", "two"}


async def test_who_removes_a_tag_removes_no_other(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "old")
    second = Tool(top)
    read = await second.index("app")
    await tool.copy("app", other, "new")
    await second.publish("app", {**read, "manifests": []})
    assert [info.tag for info in store.list_tags("app")] == ["new"]


async def test_who_never_read_sets_out_from_what_is_there(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await Tool(top).write("app/index.json", compact(EMPTY))
    assert store.list_tags("app") == []


async def test_who_cannot_be_told_apart_removes_nothing(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await Tool(top, pid=0).put("app", other)
    await Tool(top, pid=0).publish("app", added(EMPTY, other, "v2"))
    assert [info.tag for info in store.list_tags("app")] == ["v1", "v2"]


async def test_who_wrote_knows_what_he_wrote(
    store: Store, tool: Tool, top: OciDirectory, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "mine")
    mine = await tool.index("app")
    await Tool(top).copy("app", other, "theirs")
    await tool.write("app/index.json", compact(mine))
    await tool.write("app/index.json", compact(EMPTY))
    assert [info.tag for info in store.list_tags("app")] == ["theirs"]


async def test_a_reader_keeps_the_version_that_he_opened(
    tool: Tool, parts: ImageParts, other: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    before = await tool.find("app/index.json")
    assert isinstance(before, IndexFile)
    handle = await before.open(os.O_RDONLY, tool.caller)
    await tool.copy("app", other, "v2")
    after = await tool.find("app/index.json")
    assert isinstance(after, IndexFile)
    assert after.ino != before.ino
    assert bytes(await handle.read(0, 1 << 20)) == before.text != after.text
    await handle.release()


async def test_index_json_is_whole_while_it_is_written(tool: Tool, parts: ImageParts) -> None:
    await tool.copy("app", parts, "v1")
    before = await tool.read("app/index.json")
    handle = await tool.open("app/index.json")
    assert await tool.read("app/index.json") == before
    await handle.write(0, b"{")
    assert await tool.read("app/index.json") == before
    with pytest.raises(InvalidDocument):
        await handle.flush()
    await handle.release()
    assert await tool.read("app/index.json") == before


async def test_one_own_bytes_are_read_again(tool: Tool, parts: ImageParts) -> None:
    await tool.put("app", parts)
    text = b"  " + compact(added(EMPTY, parts, "v1")) + b"\n"
    await tool.write("app/index.json", text)
    assert await tool.read("app/index.json") == text


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"schemaVersion":2,"manifests":7}'])
async def test_an_index_that_is_none_is_refused(
    tool: Tool, parts: ImageParts, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await tool.copy("app", parts, "v1")
    before = await tool.read("app/index.json")
    caplog.set_level("INFO", "rossfs.tree")
    error = await error_of(tool.write("app/index.json", text))
    assert isinstance(error, InvalidDocument)
    assert error.errno == errno.EBADMSG
    assert "oci/app/index.json is not published" in caplog.text
    node = await tool.find("app/index.json")
    assert isinstance(node, IndexFile)
    assert b"oci/app/index.json" in node.xattrs()[b"user.ross.error"]
    assert b"user.ross.error" in (await tool.directory("app")).xattrs()
    assert await tool.read("app/index.json") == before
    await tool.write("app/index.json", before)
    assert node.xattrs() == {}


async def test_an_index_that_names_what_is_missing_is_refused(
    tool: Tool, parts: ImageParts
) -> None:
    await tool.mkdir("app/blobs")
    error = await error_of(tool.publish("app", added(EMPTY, parts, "v1")))
    assert isinstance(error, MissingContent)
    assert error.errno == errno.EBADMSG
    assert str(parts.digest) in str(error)
    assert await tool.find("app/index.json") is None


@pytest.mark.parametrize("text", [b"", b"{}", b'{"imageLayoutVersion":"2"}', b"no"])
async def test_an_oci_layout_of_an_unknown_version_is_refused(tool: Tool, text: bytes) -> None:
    await tool.mkdir("app")
    error = await error_of(tool.write("app/oci-layout", text))
    assert isinstance(error, InvalidDocument)
    assert await tool.find("app/oci-layout") is None


async def test_umoci_makes_a_layout_step_by_step(tool: Tool) -> None:
    await tool.mkdir("um")
    directory = await tool.directory("um")
    assert await names(directory) == set()
    await directory.mkdir(b"blobs", 0o755, tool.caller)
    blobs = await tool.directory("um/blobs")
    assert await names(blobs) == set()
    await blobs.mkdir(b"sha256", 0o755, tool.caller)
    again = await error_of(blobs.mkdir(b"sha256", 0o755, tool.caller))
    assert getattr(again, "errno", None) == errno.EEXIST
    await tool.publish("um", EMPTY)
    assert await tool.index("um") == EMPTY


@pytest.mark.parametrize("first", ["oci-layout", "index.json"])
async def test_whatever_is_written_first_makes_a_layout(
    store: Store, tool: Tool, first: str
) -> None:
    await tool.mkdir("um")
    text = LAYOUT_DOCUMENT if first == "oci-layout" else compact(EMPTY)
    await tool.write(f"um/{first}", text)
    assert store.layouts.is_layout("um")
    assert await names(await tool.directory("um")) == {first.encode()}
    await (await tool.directory("um")).mkdir(b"blobs", 0o755, tool.caller)
    await tool.publish("um", EMPTY)
    assert await tool.read("um/oci-layout") == LAYOUT_DOCUMENT
    assert await tool.index("um") == EMPTY
    await (await tool.directory("um/blobs")).mkdir(b"sha256", 0o755, tool.caller)


async def test_a_layout_is_removed_as_a_directory_is(
    store: Store, tool: Tool, parts: ImageParts
) -> None:
    await tool.copy("lab/app", parts, "v1")
    full = await error_of(tool.rmdir("lab/app"))
    assert getattr(full, "errno", None) == errno.ENOTEMPTY
    for name in await names(await tool.directory("lab/app/blobs/sha256")):
        await tool.unlink(f"lab/app/blobs/sha256/{name.decode()}")
    await tool.rmdir("lab/app/blobs/sha256")
    await tool.rmdir("lab/app/blobs")
    await tool.unlink("lab/app/index.json")
    await tool.unlink("lab/app/oci-layout")
    assert await names(await tool.directory("lab/app")) == set()
    assert store.list_tags("lab/app") == []
    await tool.rmdir("lab/app")
    await tool.rmdir("lab")
    assert await names(tool.top) == set()


async def test_nothing_is_written_at_the_top(tool: Tool) -> None:
    for name in ("index.json", "oci-layout", "file", ".umoci-1"):
        error = await error_of(tool.write(name, b"{}"))
        assert getattr(error, "errno", None) == errno.EPERM, name
    assert isinstance(await error_of(tool.mkdir("UPPER")), InvalidReference)
    await tool.mkdir("app")
    again = await error_of(tool.top.mkdir(b"app", 0o755, tool.caller))
    assert isinstance(again, Conflict)


async def test_a_registry_is_no_layout(tool: Tool) -> None:
    await tool.mkdir("localhost:5000")
    error = await error_of(tool.write("localhost:5000/index.json", compact(EMPTY)))
    assert isinstance(error, InvalidReference)
    await tool.mkdir("localhost:5000/app")
    assert await names(await tool.directory("localhost:5000")) == {b"app"}


@pytest.mark.parametrize("own", ["index.json", "blobs", "oci-layout"])
async def test_a_repository_of_such_a_name_hides_nothing_of_the_layout(
    store: Store, tool: Tool, parts: ImageParts, other: ImageParts, own: str
) -> None:
    image = builders.image(store, "below", tag=f"q/x/{own}/y:v1")
    builders.image(store, "below", tag=f"q/x/{own}:v1")
    assert await names(await tool.directory("q/x")) == set()
    assert await tool.find(f"q/x/{own}") is None
    await tool.copy("q/x", parts, "v1")
    await tool.copy("q/x", other, "v2")
    assert set(await tool.tags("q/x")) == {"v1", "v2"}
    assert await tool.read("q/x/oci-layout") == LAYOUT_DOCUMENT
    assert await names(await tool.directory("q/x")) == {b"oci-layout", b"index.json", b"blobs"}
    assert store.resolve_tag(f"q/x/{own}/y", "v1")[0] == image.manifest
    there = await error_of((await tool.directory("q/x")).mkdir(own.encode(), 0o755, tool.caller))
    assert getattr(there, "errno", None) == errno.EEXIST


async def test_at_the_top_such_a_name_is_a_repository(
    store: Store, tool: Tool, parts: ImageParts
) -> None:
    await tool.copy("blobs", parts, "v1")
    await tool.copy("index.json", parts, "v1")
    assert await names(tool.top) == {b"blobs", b"index.json"}
    await tool.mkdir("localhost:5000")
    await tool.copy("localhost:5000/blobs", parts, "v1")
    assert await names(await tool.directory("localhost:5000")) == {b"blobs"}


async def test_no_repository_takes_the_name_of_a_part(
    tool: Tool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rossfs.tree")
    await tool.mkdir("q/x")
    for name in ("index.json", "oci-layout"):
        error = await error_of(tool.mkdir(f"q/x/{name}"))
        assert getattr(error, "errno", None) == errno.EPERM
        assert f'"oci/q/x/{name}"' in caplog.text


async def test_changes_of_attributes_change_nothing(tool: Tool, parts: ImageParts) -> None:
    await tool.copy("app", parts, "v1")
    for path in ("app", "app/blobs", "app/blobs/sha256", "app/index.json", "app/oci-layout"):
        node = await tool.find(path)
        assert node is not None
        await node.setattr(AttrChange(mode=0o600, uid=7, mtime_ns=1), tool.caller)
        if isinstance(node, File):
            cut = await error_of(node.setattr(AttrChange(size=0), tool.caller))
            assert getattr(cut, "errno", None) == errno.EROFS


async def test_many_writers_of_one_index_lose_nothing(store: Store, top: OciDirectory) -> None:
    images = [image_parts(f"image {number}", layers=1) for number in range(12)]
    await Tool(top).mkdir("app/blobs/sha256")
    async with trio.open_nursery() as nursery:
        for number, parts in enumerate(images):
            nursery.start_soon(Tool(top).copy, "app", parts, f"t{number}")
    assert {info.tag for info in store.list_tags("app")} == {f"t{n}" for n in range(12)}


async def test_of_two_who_change_a_tag_the_later_wins(
    store: Store,
    tool: Tool,
    top: OciDirectory,
    parts: ImageParts,
    other: ImageParts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "rossfs.tree")
    second = Tool(top)
    one, two = await tool.begin("app"), await second.begin("app")
    await tool.put("app", parts)
    await second.put("app", other)
    await tool.publish("app", added(one, parts, "v1"))
    await second.publish("app", added(two, other, "v1"))
    assert store.resolve_tag("app", "v1")[0] == other.digest
    assert "app:v1" in caplog.text
    assert str(parts.digest) in caplog.text
