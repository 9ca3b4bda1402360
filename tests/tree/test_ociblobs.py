"""oci/: blobs and files that are put aside, step by step as tools write them."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import ClassVar

import pytest

from rossfs.errors import (
    DigestMismatch,
    MissingContent,
)
from rossfs.oci.layout import LAYOUT_DOCUMENT, REF_NAME
from rossfs.store.store import Store
from rossfs.tree.node import AttrChange, Directory
from rossfs.tree.numbers import Numbers
from rossfs.tree.oci import OciDirectory
from tests import builders
from tests.builders import OCI_INDEX, ImageParts, compact, descriptor, image_parts
from tests.suites.directory_suite import STRANGE_NAMES, DirectorySuite
from tests.tree.layouts import Tool, added, blob, names, top_of
from tests.tree.writing import error_of, scratch

EMPTY = {"schemaVersion": 2, "manifests": []}


@pytest.fixture
def parts() -> ImageParts:
    return image_parts("one")


@pytest.fixture
async def top(store: Store, numbers: Numbers) -> OciDirectory:
    return top_of(store, numbers)


@pytest.fixture
async def tool(top: OciDirectory) -> Tool:
    return Tool(top)


class TestBlobs(DirectorySuite):
    @pytest.fixture
    async def directory(self, tool: Tool, parts: ImageParts) -> Directory:
        await tool.copy("app", parts, "v1")
        return await tool.directory("app/blobs")


class TestBlobsOfOneAlgorithm(DirectorySuite):
    strange_names: ClassVar[Sequence[bytes]] = (*STRANGE_NAMES, b"index.json")

    @pytest.fixture
    async def directory(self, tool: Tool, parts: ImageParts) -> Directory:
        await tool.copy("app", parts, "v1")
        await tool.write("app/blobs/sha256/aside", b"bytes")
        return await tool.directory("app/blobs/sha256")


class TestAside(DirectorySuite):
    @pytest.fixture
    async def directory(self, tool: Tool) -> Directory:
        await tool.mkdir("app/.umoci-1/below")
        await tool.write("app/.umoci-1/blob-1", b"bytes")
        return await tool.directory("app/.umoci-1")


async def test_blobs_come_in_any_order(store: Store, tool: Tool, parts: ImageParts) -> None:
    index = builders.index([(parts.manifest, "linux/amd64")])
    entry = {**descriptor(index, OCI_INDEX), "annotations": {REF_NAME: "v1"}}
    document = {**EMPTY, "manifests": [entry]}
    await tool.mkdir("app/blobs/sha256")
    for data in (index, parts.manifest):
        await tool.write(blob("app", data), data)
    error = await error_of(tool.publish("app", document))
    assert isinstance(error, MissingContent)
    assert error.errno == errno.EBADMSG
    for _, data in parts.blobs():
        await tool.write(blob("app", data), data)
    await tool.publish("app", document)
    assert store.resolve_tag("app", "v1")[0] == builders.digest_of(index)
    assert store.get_manifest(parts.digest)[0] == parts.manifest


async def test_a_blob_may_look_like_a_manifest_that_is_none(store: Store, tool: Tool) -> None:
    data = b'{"schemaVersion":2,"config":{"digest":"none"},"layers":[]}'
    await tool.mkdir("app/blobs/sha256")
    await tool.write(blob("app", data), data)
    assert await tool.read(blob("app", data)) == data


async def test_other_bytes_than_the_name_says_are_refused(store: Store, tool: Tool) -> None:
    await tool.mkdir("app/blobs/sha256")
    path = blob("app", b"right")
    assert isinstance(await error_of(tool.write(path, b"wrong")), DigestMismatch)
    assert await tool.find(path) is None
    await tool.write("app/aside", b"wrong")
    assert isinstance(await error_of(tool.rename("app/aside", path)), DigestMismatch)
    node = await tool.find("app/aside")
    assert node is not None
    assert b"is not published" in node.xattrs()[b"user.ross.error"]
    assert await tool.read("app/aside") == b"wrong"
    await tool.write("app/aside", b"right")
    await tool.rename("app/aside", path)
    assert await tool.read(path) == b"right"
    assert await tool.find("app/aside") is None
    assert scratch(store) == []


async def test_fsync_tells_what_is_wrong_already(tool: Tool) -> None:
    await tool.mkdir("app/blobs/sha256")
    handle = await tool.open(blob("app", b"right"))
    await handle.write(0, b"wrong")
    assert isinstance(await error_of(handle.fsync(False)), DigestMismatch)
    await handle.write(0, b"right")
    await handle.fsync(False)
    await handle.flush()
    await handle.release()
    assert await tool.read(blob("app", b"right")) == b"right"


async def test_content_that_is_there_is_written_again(tool: Tool, store: Store) -> None:
    digest, _ = store.put_blob(None, b"bytes")
    await tool.mkdir("app/blobs/sha256")
    path = blob("app", b"bytes")
    before = await tool.find(path)
    assert before is not None
    await tool.write(path, b"bytes")
    await tool.write("app/blobs/sha256/tmp1", b"bytes")
    await tool.rename("app/blobs/sha256/tmp1", path)
    after = await tool.find(path)
    assert after is not None
    assert after.ino == before.ino
    assert isinstance(await error_of(tool.write(path, b"other")), DigestMismatch)
    assert store.get_blob(digest) == b"bytes"
    assert scratch(store) == []


@pytest.mark.parametrize("renamed", [False, True])
async def test_what_was_published_is_written_further_as_a_copy(
    tool: Tool, store: Store, renamed: bool
) -> None:
    path = blob("app", b"bytes")
    await tool.mkdir("app/blobs/sha256")
    handle = await tool.open("app/aside" if renamed else path, os.O_RDWR | os.O_CREAT)
    await handle.write(0, b"bytes")
    if renamed:
        await tool.rename("app/aside", path)
    else:
        await handle.flush()
    assert await tool.read(path) == b"bytes"
    await handle.write(0, b"byte")
    await handle.flush()
    await handle.write(5, b" and more")
    assert bytes(await handle.read(0, 100)) == b"bytes and more"
    assert await tool.read(path) == b"bytes"
    assert isinstance(await error_of(handle.fsync(False)), DigestMismatch)
    assert isinstance(await error_of(handle.flush()), DigestMismatch)
    await handle.release()
    assert await tool.read(path) == b"bytes"
    assert scratch(store) == []


async def test_what_was_published_can_be_emptied_as_a_copy(tool: Tool, store: Store) -> None:
    path = blob("app", b"bytes")
    await tool.mkdir("app/blobs/sha256")
    handle = await tool.open(path)
    await handle.write(0, b"bytes")
    await handle.flush()
    staged = handle._staged
    await staged.setattr(AttrChange(size=2), tool.caller)
    assert staged.attr().size == 2
    assert await tool.read(path) == b"bytes"
    await handle.write(2, b"tes")
    await handle.flush()
    await handle.release()
    assert scratch(store) == []


async def test_an_open_file_is_renamed_to_its_digest(tool: Tool) -> None:
    await tool.mkdir("app/blobs/sha256")
    handle = await tool.open("app/tmp1")
    await handle.write(0, b"bytes")
    await tool.rename("app/tmp1", blob("app", b"bytes"))
    assert await tool.read(blob("app", b"bytes")) == b"bytes"
    await handle.flush()
    await handle.release()
    assert await tool.read(blob("app", b"bytes")) == b"bytes"


async def test_umoci_renames_its_index(store: Store, tool: Tool, parts: ImageParts) -> None:
    await tool.put("app", parts)
    document = added(await tool.begin("app"), parts, "v1")
    await tool.mkdir("app/.umoci-1")
    await tool.write("app/.umoci-1/index-2", compact(document))
    await tool.rename("app/.umoci-1/index-2", "app/index.json")
    await tool.rmdir("app/.umoci-1")
    assert await tool.tags("app") == {"v1": str(parts.digest)}
    assert scratch(store) == []


async def test_regclient_and_oras_put_files_elsewhere(tool: Tool, parts: ImageParts) -> None:
    await tool.mkdir("app")
    await tool.write("app/oci-layout", LAYOUT_DOCUMENT)
    await tool.mkdir("app/blobs/sha256")
    await tool.mkdir("app/ingest")
    for number, (_, data) in enumerate(parts.blobs()):
        await tool.write(f"app/ingest/{number}_1", data)
        node = await tool.find(f"app/ingest/{number}_1")
        assert node is not None
        await node.setattr(AttrChange(mode=0o444), tool.caller)
        await tool.rename(f"app/ingest/{number}_1", blob("app", data))
    path = blob("app", parts.manifest)
    await tool.write(f"{path}.123.tmp", parts.manifest)
    await tool.rename(f"{path}.123.tmp", path)
    await tool.write("app/index.json.5.tmp", compact(added(EMPTY, parts, "v1")))
    await tool.rename("app/index.json.5.tmp", "app/index.json")
    assert await tool.tags("app") == {"v1": str(parts.digest)}
    await tool.rmdir("app/ingest")


async def test_a_digest_that_is_unlinked_is_listed_no_more(
    tool: Tool, top: OciDirectory, parts: ImageParts
) -> None:
    await tool.copy("app", parts, "v1")
    await tool.unlink(blob("app", parts.layers[0]))
    listed = await names(await tool.directory("app/blobs/sha256"))
    assert builders.digest_of(parts.layers[0]).hex.encode() not in listed
    assert len(listed) == 3
    assert await Tool(top).read(blob("app", parts.layers[0])) == parts.layers[0]
    missing = await error_of(tool.unlink(blob("app", b"nobody has this")))
    assert isinstance(missing, FileNotFoundError)


async def test_what_came_through_a_layout_survives_a_collection(store: Store, tool: Tool) -> None:
    await tool.mkdir("app/blobs/sha256")
    await tool.write(blob("app", b"bytes"), b"bytes")
    await tool.write("app/aside", b"aside")
    store.garbage_collect()
    assert await tool.read(blob("app", b"bytes")) == b"bytes"
    await tool.rename("app/aside", blob("app", b"aside"))
    await tool.unlink(blob("app", b"bytes"))
    store.garbage_collect()
    (await tool.directory("app/blobs/sha256")).changed_by_others(None)  # as the watcher says
    assert await tool.find(blob("app", b"bytes")) is None
    assert await tool.read(blob("app", b"aside")) == b"aside"


async def test_what_is_put_aside_moves_about(store: Store, tool: Tool) -> None:
    await tool.mkdir("app/.tmp-1")
    await tool.write("app/one", b"1")
    await tool.write("app/two", b"2")
    await tool.rename("app/one", "app/.tmp-1/one")
    await tool.rename("app/two", "app/.tmp-1/one")
    assert await names(await tool.directory("app/.tmp-1")) == {b"one"}
    assert await tool.read("app/.tmp-1/one") == b"2"
    full = await error_of(tool.rmdir("app/.tmp-1"))
    assert getattr(full, "errno", None) == errno.ENOTEMPTY
    await tool.rename("app/.tmp-1", "app/.tmp-2")
    await tool.write("app/three", b"3")
    there = await error_of(tool.rename("app/three", "app/.tmp-2/one", 1))
    assert getattr(there, "errno", None) == errno.EEXIST
    await tool.unlink("app/.tmp-2/one")
    await tool.rmdir("app/.tmp-2")
    await tool.unlink("app/three")
    assert scratch(store) == []
    published = await error_of(tool.rename("app", "other"))
    assert getattr(published, "errno", None) == errno.EROFS


async def test_an_open_file_that_is_unlinked_goes_on_nameless(store: Store, tool: Tool) -> None:
    await tool.mkdir("app")
    handle = await tool.open("app/aside", os.O_RDWR | os.O_CREAT)
    await handle.write(0, b"before")
    await tool.unlink("app/aside")
    await handle.write(6, b" after")
    assert bytes(await handle.read(0, 100)) == b"before after"
    await handle.flush()
    await handle.release()
    assert await tool.find("app/aside") is None
    assert scratch(store) == []


async def test_a_file_that_waits_is_written_further(store: Store, tool: Tool) -> None:
    await tool.mkdir("app/blobs/sha256")
    await tool.write("app/aside", b"be")
    handle = await tool.open("app/aside", os.O_WRONLY)
    await handle.write(2, b"gun")
    await handle.flush()
    await handle.release()
    assert await tool.read("app/aside") == b"begun"
    await tool.rename("app/aside", blob("app", b"begun"))
    assert scratch(store) == []


async def test_sha512_is_another_directory(tool: Tool) -> None:
    await tool.mkdir("app/blobs/sha512")
    await tool.write("app/aside", b"bytes")
    await tool.rename("app/aside", blob("app", b"bytes", "sha512"))
    assert await tool.read(blob("app", b"bytes", "sha512")) == b"bytes"
    assert b"sha512" in await names(await tool.directory("app/blobs"))
