import errno
import hashlib
import os
import stat

import pytest
import trio

from rossfs.errors import RossfsError
from rossfs.store.store import Store
from rossfs.tree import layerinodes
from rossfs.tree.layerinodes import LayerFile, LayerInodes, LayerSymlink
from rossfs.tree.node import FOREVER, Directory, File, Node
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from tests.layers import PACKINGS, Layer
from tests.suites.directory_suite import CALLER, refusal
from tests.suites.tree_suite import made_again
from tests.tree.browsing import Browser, harm, put_stack, walk
from tests.tree.pictures import text


async def file_of(browser: Browser, store: Store, path: bytes, *layers: Layer) -> Node:
    """What is at *path* of the root filesystem of an image."""
    node = await walk(await browser.rootfs(put_stack(store, *layers)), path)
    assert node is not None
    return node


async def test_any_number_is_a_file_or_stale(store: Store, browser: Browser) -> None:
    tree = browser.inodes(await file_of(browser, store, b"usr/lib/libc.so"))
    kinds = set()
    for index in (*range(tree.toc.count + 50), 1 << 20, 1 << 30, 1 << 32, INDEX, INDEX - 1):
        record = tree.toc.record(index) if index < tree.toc.count else None
        if record is None or stat.S_ISDIR(record.mode):
            with pytest.raises(OSError, match="has no inode") as stale:
                tree.node(tree.base | index)
            assert stale.value.errno == errno.ESTALE
            continue
        node = tree.node(tree.base | index)
        assert not isinstance(node, Directory)
        assert node.ino == tree.base | record.inode
        assert node.attr().mode == record.mode
        kinds.add(stat.S_IFMT(record.mode))
    assert len(kinds) == 5


async def test_what_is_a_file_and_what_is_a_link(store: Store, browser: Browser) -> None:
    lib = await file_of(browser, store, b"lib")
    assert isinstance(lib, LayerSymlink)
    assert (lib.target(), lib.ttl, lib.remade) == (b"usr/lib", FOREVER, True)
    again = made_again(browser.trees, lib.ino)
    assert isinstance(again, LayerSymlink)
    assert again.target() == b"usr/lib"
    libc = await file_of(browser, store, b"usr/lib/libc.so")
    assert isinstance(libc, LayerFile)
    assert libc.attr().nlink == 2


async def test_the_tree_goes_with_the_directories_that_show_it(
    store: Store, browser: Browser
) -> None:
    digest = put_stack(store)
    root = await browser.rootfs(digest)
    motd = await walk(root, b"dev/null")
    assert motd is not None
    ino, number = motd.ino, root.ino >> TREE_SHIFT
    del root, motd
    assert made_again(browser.trees, ino).ino == ino
    browser.trees.forgotten(number)
    assert browser.trees.get(ino >> TREE_SHIFT) is None
    again = await walk(await browser.rootfs(digest), b"dev/null")
    assert again is not None
    assert again.ino == ino


@pytest.mark.parametrize("packing", PACKINGS)
async def test_any_part_of_a_file_is_read(store: Store, browser: Browser, packing: str) -> None:
    data = hashlib.shake_128(b"part").digest(300_000)
    digest = put_stack(
        store, Layer().file("before", b"x" * 70_000).file("a", data), packing=packing
    )
    file = (await browser.rootfs(digest)).lookup(b"a")
    assert isinstance(file, File)
    handle = await file.open(os.O_RDONLY, CALLER)
    for offset, size in ((0, 10), (131_072, 131_072), (299_990, 4096), (5, 0), (12_345, 200_000)):
        assert bytes(await handle.read(offset, size)) == data[offset : offset + size]
    for offset in (300_000, 300_001, 1 << 40, (1 << 63) - 1):
        assert bytes(await handle.read(offset, 4096)) == b""
    await handle.release()


async def test_many_readers_of_one_layer_get_their_own_bytes(
    store: Store, browser: Browser
) -> None:
    layer = Layer()
    contents = {b"%d" % n: hashlib.shake_128(b"%d" % n).digest(60_000) for n in range(24)}
    for name, data in contents.items():
        layer.file(name, data)
    root = await browser.rootfs(put_stack(store, layer))

    async def check(name: bytes) -> None:
        assert await text(root.lookup(name)) == contents[name]

    async with trio.open_nursery() as nursery:
        for name in contents:
            nursery.start_soon(check, name)


async def test_what_is_decoded_already_is_read_without_waiting(
    store: Store, browser: Browser
) -> None:
    file = await file_of(browser, store, b"usr/lib/libc.so")
    assert isinstance(file, File)
    handle = await file.open(os.O_RDONLY, CALLER)
    await handle.read(0, 4096)
    with trio.testing.assert_no_checkpoints():
        assert bytes(await handle.read(256, 256)) == bytes(range(256))


async def test_a_digest_is_remembered_and_few_are(
    store: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layerinodes, "_DIGESTS", 3)
    layer = Layer()
    for number in range(6):
        layer.file(f"{number}", b"%d" % number)
    root = await browser.rootfs(put_stack(store, layer))
    for _ in range(2):
        for number in range(6):
            node = root.lookup(b"%d" % number)
            assert node is not None
            hashed = hashlib.sha256(b"%d" % number).hexdigest()
            assert await node.xattr(b"user.ross.digest") == b"sha256:" + hashed.encode()
            assert len(browser.inodes(node)._digests) <= 3
            with trio.testing.assert_no_checkpoints():
                await node.xattr(b"user.ross.digest")


async def test_only_the_first_step_of_several_is_told(store: Store, browser: Browser) -> None:
    shared = Layer().file("shared", b"")
    first = await file_of(browser, store, b"shared", Layer().file("below"), shared)
    tree = browser.inodes(first)
    assert isinstance(tree, LayerInodes)
    second = await file_of(browser, store, b"shared", shared)
    assert browser.inodes(second) is tree
    told = [await node.xattr(b"user.ross.history") for node in (first, second)]
    assert told == [b"COPY step 1"] * 2


@pytest.mark.damages_store
@pytest.mark.expects_warnings
async def test_bytes_that_change_under_an_open_file_are_an_error(
    store: Store, browser: Browser
) -> None:
    layer = Layer().file("a", hashlib.shake_128(b"a").digest(3 << 20))
    digest = put_stack(store, layer, packing="plain")
    file = (await browser.rootfs(digest)).lookup(b"a")
    assert isinstance(file, File)
    handle = await file.open(os.O_RDONLY, CALLER)
    assert len(await handle.read(0, 4096)) == 4096
    harm(store, browser.inodes(file).layer.digest, at=1 << 20)
    await trio.sleep(0.05)  # the file is looked at every ten milliseconds
    for _ in range(2):
        with pytest.raises(RossfsError) as damaged:
            await handle.read(1 << 20, 4096)
        assert damaged.value.errno == errno.EIO
    assert await refusal(file.xattr(b"user.ross.digest")) == errno.EIO
    await handle.release()
