import errno

import pytest

from rossfs.store.store import Store
from rossfs.tree.node import Directory, Rows
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.rootfs import KEPT, RECORD_SHIFT, RootfsDirectory, RootfsTree
from tests.layers import Layer
from tests.suites.directory_suite import find, listed, rows_of
from tests.suites.tree_suite import made_again
from tests.tree.browsing import Browser, bottom, directories, put_stack, walk


async def test_files_are_shared_between_images_and_directories_are_not(
    store: Store, browser: Browser
) -> None:
    one = await browser.rootfs(put_stack(store))
    other = await browser.rootfs(put_stack(store, bottom(), Layer().file("more", b"")))
    for path in (b"dev/null", b"usr/lib/libc.so", b"etc/passwd", b"lib"):
        first, second = await walk(one, path), await walk(other, path)
        assert first is not None
        assert second is not None
        assert first.ino == second.ino, path
    for path in (b"", b"etc", b"usr", b"dev", b"empty"):
        first, second = await walk(one, path), await walk(other, path)
        assert isinstance(first, RootfsDirectory)
        assert isinstance(second, RootfsDirectory)
        assert first.ino != second.ino, path


async def test_numbers_outlast_the_tree(store: Store, browser: Browser) -> None:
    digest = put_stack(store)

    async def numbers() -> dict[bytes, int]:
        found = {}
        for path, directory in directories(await browser.rootfs(digest)):
            listing = directory.entries()
            assert isinstance(listing, Rows)
            found[path] = directory.ino
            found |= {path + b"/" + row.name: row.ino for row in rows_of(listing)}
        return found

    before = await numbers()
    assert len(browser.trees) == 4
    browser.trees.forgotten(before[b""] >> TREE_SHIFT)
    assert len(browser.trees) == 0
    assert await numbers() == before
    assert len(browser.trees) == 4


async def test_a_tree_that_somebody_still_uses_is_held_when_it_is_looked_up(
    store: Store, browser: Browser
) -> None:
    digest = put_stack(store)
    used = await browser.rootfs(digest)
    number = used.ino >> TREE_SHIFT
    browser.trees.forgotten(number)
    again = await browser.rootfs(digest)
    assert browser.trees.get(number) is not None
    del used
    ino = again.ino
    del again
    assert made_again(browser.trees, ino).ino == ino


async def test_what_is_kept_for_speed_does_not_keep_the_tree(
    store: Store, browser: Browser
) -> None:
    root = await browser.rootfs(put_stack(store))
    ino = root.ino
    for _, directory in directories(root):
        again = made_again(browser.trees, directory.ino)
        assert isinstance(again, RootfsDirectory)
        again.entries()
    del root, directory, again
    browser.trees.forgotten(ino >> TREE_SHIFT)
    assert len(browser.trees) == 0


async def test_a_directory_is_the_same_object_while_it_is_used(
    store: Store, browser: Browser
) -> None:
    etc = await browser.rootfs(put_stack(store), b"etc")
    first, second = (made_again(browser.trees, etc.ino) for _ in range(2))
    assert first is second
    assert isinstance(first, RootfsDirectory)
    assert first.entries() is first.entries()


async def test_large_listings_are_not_kept(store: Store, browser: Browser) -> None:
    layer = Layer()
    for number in range(KEPT + 1):
        layer.file(f"{number:05}")
    root = await browser.rootfs(put_stack(store, layer))
    assert root.entries() is not root.entries()
    assert root.weight == 0
    assert len(rows_of(root.entries())) == KEPT + 1


async def test_any_number_is_a_directory_or_stale(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    real = {directory.ino for _, directory in directories(root)}
    tree = browser.trees.get(root.ino >> TREE_SHIFT)
    assert isinstance(tree, RootfsTree)
    for position in (*range(5), 511, 512, 1022, 1023):
        for index in (*range(60), (1 << 30) - 1, 1 << 29, 1 << 20):
            ino = tree.base | position << RECORD_SHIFT | index
            if ino in real:
                assert tree.node(ino).ino == ino
            else:
                with pytest.raises(OSError, match="has no inode") as stale:
                    tree.node(ino)
                assert stale.value.errno == errno.ESTALE
    assert tree.base & INDEX == 0


async def test_every_directory_knows_the_one_above(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    image = browser.image(digest)
    root = await browser.rootfs(digest)
    above = {path: directory.ino for path, directory in directories(root)}
    for path, directory in directories(root):
        parent = above[path.rpartition(b"/")[0]] if path else image.ino
        assert directory.parent_ino() == parent, path
        again = made_again(browser.trees, directory.ino)
        assert isinstance(again, Directory)
        assert [again.parent_ino(), again.parent_ino()] == [parent, parent], path


async def test_listings_tell_the_numbers_of_what_is_not_open(
    store: Store, browser: Browser
) -> None:
    digest = put_stack(store)
    image = browser.image(digest)
    await image.load()
    layers = await find(image, b"layers")
    assert isinstance(layers, Directory)
    for directory in (image, layers):
        told = {entry.name: entry.ino for entry in await listed(directory) if entry.node is None}
        assert told
        for name, ino in told.items():
            node = await find(directory, name)
            assert node is not None
            assert node.ino == ino, name
