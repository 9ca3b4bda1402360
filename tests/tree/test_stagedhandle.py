"""What an opening of a staged file may be used for."""

from __future__ import annotations

import errno
import os

import pytest

from rossfs.store.store import Store
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import AttrChange
from rossfs.tree.numbers import Numbers
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of
from tests.suites.directory_suite import CALLER
from tests.tree.layouts import Tool, top_of
from tests.tree.writing import close, create, pinned, waiting, write


@pytest.fixture
async def directory(store: Store, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, Uploads(store), numbers)


async def test_a_writer_does_not_read(directory: IncomingDirectory) -> None:
    _, handle = await create(directory, b"name", os.O_WRONLY)
    with pytest.raises(OSError, match="descriptor") as caught:
        await handle.read(0, 1)
    assert caught.value.errno == errno.EBADF
    await close(handle)


async def test_a_reader_does_not_write_and_its_close_says_nothing(
    directory: IncomingDirectory,
) -> None:
    name = digest_of(b"x").hex.encode()
    node, writer = await create(directory, name)
    await writer.write(0, b"wrong")
    reader = await node.open(os.O_RDONLY, CALLER)
    with pytest.raises(OSError, match="descriptor") as caught:
        await reader.write(0, b"y")
    assert caught.value.errno == errno.EBADF
    await reader.flush()
    await reader.release()
    await node.setattr(AttrChange(size=0), CALLER)
    await writer.write(0, b"x")
    await close(writer)
    assert await pinned(directory, name) == digest_of(b"x")


async def test_reading_past_the_end_gives_nothing(directory: IncomingDirectory) -> None:
    await write(directory, b".x.abcdef", b"12345")
    node = await waiting(directory, b".x.abcdef")
    handle = await node.open(os.O_RDONLY, CALLER)
    assert await handle.read(3, 100) == b"45"
    assert await handle.read(5, 100) == b""
    assert await handle.read(1 << 40, 1 << 20) == b""
    assert await handle.read(0, 1 << 20) == b"12345"
    await close(handle)


async def test_descriptors_are_closed(directory: IncomingDirectory) -> None:
    await write(directory, b"warm", b"up")
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        node, handle = await create(directory, b"%d" % number, os.O_RDWR | os.O_CREAT)
        reader = await node.open(os.O_RDONLY, CALLER)
        await handle.write(0, b"data")
        await close(handle)
        await close(reader)
        assert await pinned(directory, b"%d" % number) == digest_of(b"data")
    assert len(os.listdir("/proc/self/fd")) == before


async def test_o_trunc_empties_and_o_rdonly_does_not(directory: IncomingDirectory) -> None:
    await write(directory, b".x.abcdef", b"12345")
    node = await waiting(directory, b".x.abcdef")
    await close(await node.open(os.O_RDONLY, CALLER))
    assert node.attr().size == 5
    handle = await node.open(os.O_WRONLY | os.O_TRUNC, CALLER)
    assert node.attr().size == 0
    await close(handle)
    assert (await waiting(directory, b".x.abcdef")).attr().size == 0


@pytest.mark.parametrize("name", ["oci-put-blob1", f"blobs/sha256/{'0' * 64}", "index.json"])
async def test_tools_for_layouts_need_no_pages_even_if_they_open_for_reading_too(
    store: Store, numbers: Numbers, name: str
) -> None:
    tool = Tool(top_of(store, numbers))
    await tool.mkdir("app/blobs/sha256")
    directory, last = await tool.split(f"app/{name}")
    _, handle = await directory.create(last, 0o600, os.O_RDWR | os.O_CREAT | os.O_EXCL, tool.caller)
    assert handle.direct_io
    await handle.write(0, b"{}")
    assert bytes(await handle.read(0, 10)) == b"{}"
    await handle.release()
    if name == "oci-put-blob1":
        node = await tool.find(f"app/{name}")
        assert isinstance(node, Staged)
        reader = await node.open(os.O_RDONLY, tool.caller)
        assert not reader.direct_io
        await close(reader)
        await directory.unlink(last, tool.caller)
