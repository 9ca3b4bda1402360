import errno
import hashlib
import os
import stat

import pytest

from rossfs.store.store import Store
from rossfs.tree.layerview import LayerDirectory, LayerViewTree
from rossfs.tree.node import Directory, File, Rows
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.trees import Trees
from tests.layers import Layer, image_of
from tests.suites.directory_suite import (
    CALLER,
    refusal,
    rows_of,
)
from tests.suites.tree_suite import TreeDirectorySuite, made_again, row_of
from tests.tree.browsing import Browser, bottom, directories, middle, put_stack, top, walk
from tests.tree.pictures import text


class TestLayer(TreeDirectorySuite):
    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture(params=[(0, b""), (0, b"usr/lib"), (1, b""), (1, b"kept"), (2, b"usr/lib")])
    async def directory(
        self, store: Store, browser: Browser, request: pytest.FixtureRequest
    ) -> Directory:
        position, path = request.param
        return await browser.layer(put_stack(store), position, path)


class TestEmptyLayer(TreeDirectorySuite):
    empty = True

    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await browser.layer(put_stack(store, Layer()), 0)


def names(directory: Directory) -> list[bytes]:
    listing = directory.entries()
    assert isinstance(listing, Rows)
    return [row.name for row in rows_of(listing)]


async def test_markers_are_shown_as_the_files_that_they_are(store: Store, browser: Browser) -> None:
    layer = await browser.layer(put_stack(store), 1)
    assert {path: names(directory) for path, directory in directories(layer)} == {
        b"": [
            b".wh.gone",
            b".wh.gone-too",
            b"becomes-directory",
            b"becomes-file",
            b"etc",
            b"kept",
            b"lib",
            b"usr",
        ],
        b"becomes-directory": [b"deep"],
        b"etc": [b"motd", b"passwd-"],
        b"kept": [b".wh..wh..opq", b"shown"],
        b"lib": [b"grafted.so"],
        b"usr": [b"lib"],
        b"usr/lib": [b"middle.so"],
    }
    marker = await walk(layer, b"kept/.wh..wh..opq")
    assert marker is not None
    assert (marker.attr().mode, marker.attr().size) == (stat.S_IFREG | 0o644, 0)
    assert await text(marker) == b""


async def test_rows_are_what_lookup_answers_everywhere(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    for position in range(3):
        for path, directory in directories(await browser.layer(digest, position)):
            listing = directory.entries()
            assert isinstance(listing, Rows)
            for row in rows_of(listing):
                node = directory.lookup(row.name)
                assert node is not None, (path, row)
                assert row_of(row.name, node) == row, path


async def test_a_hard_link_to_a_lower_layer_is_not_opened_here(
    store: Store, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    etc = await browser.layer(put_stack(store), 1, b"etc")
    link = etc.lookup(b"passwd-")
    assert isinstance(link, File)
    with caplog.at_level("INFO", "rossfs.tree"):
        assert await refusal(link.open(os.O_RDONLY, CALLER)) == errno.ENODATA
    assert '"etc/passwd"' in caplog.text
    assert await refusal(link.open(os.O_WRONLY, CALLER)) == errno.EROFS
    assert made_again(browser.trees, link.ino).attr() == link.attr()


async def test_a_hard_link_whose_target_comes_later_is_that_here(
    store: Store, browser: Browser
) -> None:
    layer = Layer().link("a", "f").file("f", b"later", uid=3)
    layer.link("b", "s").symlink("s", "text").link("c", "n").entry("n", b"3", device=(1, 3))
    digest = put_stack(store, Layer().file("f", b"lower"), layer)
    root = await browser.layer(digest, 1)
    for name, other in ((b"a", b"f"), (b"b", b"s"), (b"c", b"n")):
        link, later = root.lookup(name), root.lookup(other)
        assert link is not None
        assert later is not None
        assert (link.ino, link.attr()) == (later.ino, later.attr())
        assert link.attr().nlink == 2
        assert made_again(browser.trees, link.ino).attr() == link.attr()
    assert await text(root.lookup(b"a")) == b"later"
    assert await text(await walk(await browser.rootfs(digest), b"a")) == b"lower"
    listing = root.entries()
    assert isinstance(listing, Rows)
    for row in rows_of(listing):
        node = root.lookup(row.name)
        assert node is not None
        assert row == row_of(row.name, node)


async def test_a_hard_link_to_a_lower_layer_has_no_digest_here(
    store: Store, browser: Browser
) -> None:
    etc = await browser.layer(put_stack(store), 1, b"etc")
    link = etc.lookup(b"passwd-")
    assert link is not None
    assert await link.xattr(b"user.ross.digest") is None


async def test_files_are_the_inodes_of_the_root_filesystem(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    root = await browser.rootfs(digest)
    layer = await browser.layer(digest, 0)
    for path in (b"usr/lib/libc.so", b"dev/null", b"lib", b"etc/passwd"):
        merged, alone = await walk(root, path), await walk(layer, path)
        assert merged is not None
        assert alone is not None
        assert merged.ino == alone.ino, path
        assert merged.same(alone)


async def test_directories_of_two_images_are_two(store: Store, browser: Browser) -> None:
    one = await browser.layer(put_stack(store), 0)
    other = await browser.layer(put_stack(store, bottom(), Layer().file("more")), 0)
    assert one.ino != other.ino
    assert one.parent_ino() != other.parent_ino()
    passwd = [await walk(layer, b"etc/passwd") for layer in (one, other)]
    assert len({node.ino for node in passwd if node is not None}) == 1


async def test_a_layer_that_is_listed_twice_is_two_directories_of_the_same_files(
    store: Store, browser: Browser
) -> None:
    digest = put_stack(store, bottom(), bottom())
    lower, upper = [await browser.layer(digest, position) for position in range(2)]
    assert lower.ino != upper.ino
    assert [row.ino for row in rows_of(lower.entries()) if stat.S_ISREG(row.mode)] == [
        row.ino for row in rows_of(upper.entries()) if stat.S_ISREG(row.mode)
    ]


async def test_numbers_outlast_the_tree(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    layer = await browser.layer(digest, 1)
    rows, ino = rows_of(layer.entries()), layer.ino
    del layer
    browser.trees.forgotten(ino >> TREE_SHIFT)
    assert len(browser.trees) == 0
    again = await browser.layer(digest, 1)
    assert (again.ino, rows_of(again.entries())) == (ino, rows)


async def test_any_number_is_a_directory_or_stale(store: Store, browser: Browser) -> None:
    layer = await browser.layer(put_stack(store), 0)
    tree = browser.trees.get(layer.ino >> TREE_SHIFT)
    assert isinstance(tree, LayerViewTree)
    real = {directory.ino for _, directory in directories(layer)}
    for index in (*range(tree.toc.count + 50), 1 << 30, 1 << 32, INDEX, (1 << 38) + 1):
        ino = tree.base | index
        if ino in real:
            assert isinstance(tree.node(ino), LayerDirectory)
        else:
            with pytest.raises(OSError, match="has no directory") as stale:
                tree.node(ino)
            assert stale.value.errno == errno.ESTALE


async def test_the_directory_above_a_layer_is_layers(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    layers = await browser.at(digest, b"layers")
    assert layers is not None
    layer = await browser.layer(digest, 2)
    assert layer.parent_ino() == layers.ino
    deep = await browser.layer(digest, 2, b"usr/lib/deep")
    above = await browser.layer(digest, 2, b"usr/lib")
    assert deep.parent_ino() == above.ino


async def test_attributes_say_where_things_come_from_and_are_not_listed(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom(), middle(), top())
    digest = built.put(store)
    for position, data in enumerate(built.blobs):
        layer = await browser.layer(digest, position)
        opened = browser.layers.open(built.layers[position])
        described = {
            b"user.ross.layer": str(built.layers[position]).encode(),
            b"user.ross.diff_id": str(opened.diff_id).encode(),
            b"user.ross.history": b"COPY step %d" % position,
        }
        of_root = {
            b"user.ross.digest": str(built.layers[position]).encode(),
            b"user.ross.size": b"%d" % len(data),
            b"user.ross.media_type": built.types[position].encode(),
        }
        usr = layer.lookup(b"usr")
        assert usr is not None
        for name, value in described.items():
            assert [await layer.xattr(name), await usr.xattr(name)] == [value, value]
        for name, value in of_root.items():
            assert [await layer.xattr(name), await usr.xattr(name)] == [value, None]
        assert not {*described, *of_root} & {*layer.xattrs(), *usr.xattrs()}


async def test_attributes_of_the_tar_are_listed(store: Store, browser: Browser) -> None:
    layer = await browser.layer(put_stack(store), 0)
    usr = layer.lookup(b"usr")
    assert usr is not None
    assert usr.xattrs() == {b"user.colour": b"blue", b"trusted.x": b"\0\xff"}
    assert await usr.xattr(b"trusted.x") == b"\0\xff"


async def test_the_digest_of_a_file_is_the_sha256_of_its_bytes(
    store: Store, browser: Browser
) -> None:
    libc = await walk(await browser.layer(put_stack(store), 0), b"usr/lib/libc.so.6")
    assert libc is not None
    hashed = hashlib.sha256(bytes(range(256)) * 20).hexdigest()
    assert await libc.xattr(b"user.ross.digest") == b"sha256:" + hashed.encode()
