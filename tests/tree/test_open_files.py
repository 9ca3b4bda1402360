"""What nodes of the mount keep open, and what is closed under them."""

from __future__ import annotations

import errno
import gzip
import os
import stat
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from rossfs.errors import StoreFull
from rossfs.image.tarsplits import TarSplit
from rossfs.oci.digest import Digest
from rossfs.store import descriptors
from rossfs.store.contents import Contents
from rossfs.store.descriptors import Descriptors
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.incoming import incoming_directory
from rossfs.tree.node import Directory, File
from rossfs.tree.numbers import Numbers
from rossfs.tree.podmantables import SplitFile
from rossfs.tree.stagedhandle import StagedHandle
from rossfs.tree.uploads import Uploads
from rossfs.tree.workers import Workers
from tests.builders import OCTET_STREAM, RossStore
from tests.layers import Layer, image_of
from tests.suites.directory_suite import CALLER, refusal
from tests.tree.browsing import Browser, walk
from tests.tree.layouts import Tool, top_of
from tests.tree.podmanlooking import Podman
from tests.tree.reading import open_file


async def opened(browser: Browser, digest: Digest, path: bytes) -> File:
    node = await walk(browser.image(digest), path)
    assert isinstance(node, File)
    return node


@pytest.mark.parametrize("where", [b"rootfs/f", "layers"])
async def test_an_open_file_of_a_layer_outlives_its_blob(
    store: Store, browser: Browser, where: bytes | str
) -> None:
    image = image_of(Layer().file("f", b"content" * 1000))
    digest, (blob,) = image.put(store), image.layers
    path = where if isinstance(where, bytes) else b"layers/00-%b.tar" % blob.hex[:12].encode()
    handle = await (await opened(browser, digest, path)).open(os.O_RDONLY, CALLER)
    first = bytes(await handle.read(0, 100))
    store.delete_manifest(digest)
    store.delete_blob(blob)
    for _ in range(2):
        browser.layers.files.relieve()
        assert bytes(await handle.read(0, 100)) == first
    del handle


def replace_splits(cache: str) -> None:
    (file,) = Path(cache).glob("*.tarsplit")
    file.write_bytes(b"something else")


async def test_tar_split_data_that_were_closed_are_opened_again(
    store: Store, browser: Browser
) -> None:
    podman = Podman(browser)
    image_of(Layer().file("f", b"content")).put(store, "app:v1")
    (layer,) = await podman.layers()
    name = b"overlay-layers/%b.tar-split.gz" % layer.encode()
    before = await podman.read(name)
    node = await podman.at(name)
    assert isinstance(node, SplitFile)
    handle = await node.open(os.O_RDONLY, CALLER)
    assert node.let_go()
    assert bytes(await handle.read(0, 1 << 20)) == before
    replace_splits(str(podman.browser.cache.directory))
    again = await node.open(os.O_RDONLY, CALLER)
    assert bytes(await again.read(0, 1 << 20)) == before
    assert b"content" not in gzip.decompress(before)


class Splits:
    """Opens tar-split data of a size that changes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def open(self, size: int) -> TarSplit:
        self.path.write_bytes(bytes(size + 40))
        return TarSplit(os.open(self.path, os.O_RDONLY))


async def test_tar_split_data_of_another_size_are_stale_once(tmp_path: Path) -> None:
    splits = Splits(tmp_path / "split")
    files = Descriptors(lambda: 1)
    node = SplitFile(7, await splits.open(100), files, partial(splits.open, 120))
    assert node.let_go()
    assert await refusal(node.open(os.O_RDONLY, CALLER)) == errno.ESTALE
    assert node.attr().size == 120
    assert len(bytes(await (await node.open(os.O_RDONLY, CALLER)).read(0, 200))) == 120


async def test_tar_split_data_count_as_open(tmp_path: Path) -> None:
    splits = Splits(tmp_path / "split")
    files = Descriptors(lambda: 2)
    before = len(os.listdir("/proc/self/fd"))
    nodes = [
        SplitFile(number, await splits.open(100), files, partial(splits.open, 100))
        for number in range(5)
    ]
    assert len(os.listdir("/proc/self/fd")) == before + 2
    for node in nodes:
        await (await node.open(os.O_RDONLY, CALLER)).release()
    assert len(os.listdir("/proc/self/fd")) == before + 2


async def test_work_in_a_thread_is_tried_again_when_something_could_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = iter((3, 0))
    monkeypatch.setattr(descriptors.PROCESS, "relieve", lambda: next(closed))
    failures = [errno.EMFILE, errno.EMFILE]

    def work() -> None:
        if failures:
            raise OSError(failures.pop(), "too many open files")

    assert await refusal(Workers().open(work)) == errno.EMFILE
    await Workers().read(work)


async def test_who_closes_many_files_waits_for_one_note_only(
    ross: RossStore, contents: Contents, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ContentFiles(contents, numbers, note_access=True)
    digests = [ross.put_blob(OCTET_STREAM, b"%d" % number) for number in range(20)]
    handles = [await open_file(files, digest) for digest in digests]
    noted: list[Digest] = []
    real, first = Contents.note_access, trio.Event()

    def slow(self: Contents, content: object) -> None:
        trio.from_thread.run_sync(first.set)
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked)
        real(self, content)  # type: ignore[arg-type]
        noted.append(content.digest)  # type: ignore[attr-defined]

    monkeypatch.setattr(Contents, "note_access", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handles[0].release)
        await first.wait()
        for handle in handles[1:]:
            await handle.release()
        assert not noted
    assert noted == digests


@pytest.mark.parametrize("place", ["incoming", "layout"])
async def test_a_file_that_cannot_be_made_is_not_left_open(
    store: Store, numbers: Numbers, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    directory: Directory = incoming_directory(store, Uploads(store), numbers)
    if place == "layout":
        tool = Tool(top_of(store, numbers))
        await tool.mkdir("app")
        await tool.mkdir("app/blobs")
        found = await tool.find("app")
        assert isinstance(found, Directory)
        directory = found

    async def refuse(_: StagedHandle) -> None:
        raise StoreFull("no room")

    released: list[StagedHandle] = []
    real = StagedHandle.release

    async def release(handle: StagedHandle) -> None:
        released.append(handle)
        await real(handle)

    monkeypatch.setattr(StagedHandle, "flush", refuse)
    monkeypatch.setattr(StagedHandle, "release", release)
    made = directory.mknod(b"name", stat.S_IFREG | 0o600, 0, CALLER)
    assert await refusal(made) == errno.ENOSPC
    assert len(released) == 1
