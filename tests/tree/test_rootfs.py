import errno
import hashlib
import os
import stat

import pytest

from rossfs.store.store import Store
from rossfs.tree.node import Directory, File, Rows, Symlink
from rossfs.tree.rootfs import RootfsRows
from rossfs.tree.trees import Trees
from tests.layers import PACKINGS, Layer, image_of
from tests.suites.directory_suite import (
    CALLER,
    find,
    refusal,
    rows_of,
)
from tests.suites.tree_suite import TreeDirectorySuite, made_again, row_of
from tests.tree.browsing import Browser, bottom, directories, put_stack, walk
from tests.tree.pictures import text

PATHS = [b"", b"etc", b"usr/lib", b"dev"]


class TestRootfs(TreeDirectorySuite):
    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture(params=PATHS, ids=lambda path: path.decode() or "root")
    async def directory(
        self, store: Store, browser: Browser, request: pytest.FixtureRequest
    ) -> Directory:
        return await browser.rootfs(put_stack(store), request.param)


class TestEmptyDirectory(TreeDirectorySuite):
    empty = True

    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await browser.rootfs(put_stack(store), b"empty")


class TestNoLayers(TreeDirectorySuite):
    empty = True

    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await browser.rootfs(image_of().put(store))


def names(directory: Directory) -> list[bytes]:
    listing = directory.entries()
    assert isinstance(listing, Rows)
    return [row.name for row in rows_of(listing)]


async def test_all_layers_are_merged(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    assert {path: names(directory) for path, directory in directories(root)} == {
        b"": sorted(
            [
                b"becomes-directory",
                b"becomes-file",
                b"dev",
                b"empty",
                b"etc",
                b"kept",
                b"lib",
                b"n" * 255,
                b"usr",
                b"\xff\xfd",
            ]
        ),
        b"becomes-directory": [b"deep"],
        b"dev": [b"cap", b"null", b"pipe", b"sda"],
        b"empty": [],
        b"etc": [b"motd", b"passwd", b"passwd-", b"passwd--"],
        b"kept": [b"shown"],
        b"usr": [b"lib"],
        b"usr/lib": [
            b"deep",
            b"grafted.so",
            b"holes",
            b"libc.so",
            b"libc.so.6",
            b"middle.so",
            b"sparse",
            b"top.so",
        ],
        b"usr/lib/deep": [b"er"],
        b"usr/lib/deep/er": [b"file"],
    }


async def test_rows_are_what_lookup_answers_everywhere(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    for path, directory in directories(root):
        listing = directory.entries()
        assert isinstance(listing, Rows)
        for row in rows_of(listing):
            node = directory.lookup(row.name)
            assert node is not None, (path, row)
            assert row_of(row.name, node) == row, path


async def test_files_have_the_bytes_of_the_topmost_layer(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    for path, data in {
        b"etc/motd": b"new, and longer\n",
        b"etc/passwd--": b"root:x:0:0\n",
        b"usr/lib/libc.so.6": bytes(range(256)) * 20,
        b"usr/lib/grafted.so": b"by way of a symbolic link",
        b"usr/lib/holes": b"begin" + bytes(99_995) + b"end" + bytes(99_997),
        b"usr/lib/sparse": b"",
        b"kept/shown": b"shown",
        b"becomes-file": b"file",
    }.items():
        assert await text(await walk(root, path)) == data, path


@pytest.mark.parametrize("packing", PACKINGS)
async def test_however_layers_are_packed_the_bytes_are_those_of_the_tar(
    store: Store, browser: Browser, packing: str
) -> None:
    data = hashlib.shake_128(b"x").digest(30_000)
    digest = put_stack(store, Layer().file("a", data).file("b", b"b"), packing=packing)
    root = await browser.rootfs(digest)
    assert await text(root.lookup(b"a")) == data
    assert await text(root.lookup(b"b")) == b"b"


async def test_attributes_are_those_of_the_topmost_entry(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    assert root.attr().mode == stat.S_IFDIR | 0o711
    etc = (await browser.rootfs(put_stack(store), b"etc")).attr()
    assert (etc.mode, etc.uid, etc.gid) == (stat.S_IFDIR | 0o700, 1000, 1000)
    assert etc.mtime_ns == etc.ctime_ns == 1_600_000_000 * 10**9
    passwd = await walk(root, b"etc/passwd")
    assert passwd is not None
    attr = passwd.attr()
    assert (attr.mode, attr.uid, attr.gid) == (stat.S_IFREG | 0o640, 0, 42)
    assert (attr.size, attr.mtime_ns) == (11, 1_400_000_000 * 10**9)


async def test_a_directory_that_a_layer_only_implies_keeps_its_attributes(
    store: Store, browser: Browser
) -> None:
    lib = await browser.rootfs(put_stack(store), b"usr")
    assert lib.xattrs() == {b"user.colour": b"blue", b"trusted.x": b"\0\xff"}


async def test_devices_and_pipes_are_shown(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store), b"dev")
    kinds = {}
    for name in (b"null", b"sda", b"pipe"):
        node = root.lookup(name)
        assert isinstance(node, File)
        kinds[name] = stat.S_IFMT(node.attr().mode), node.attr().rdev
    assert kinds == {
        b"null": (stat.S_IFCHR, os.makedev(1, 3)),
        b"sda": (stat.S_IFBLK, os.makedev(8, 0)),
        b"pipe": (stat.S_IFIFO, 0),
    }


async def test_hard_links_are_one_inode_across_layers(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    etc = root.lookup(b"etc")
    lib = await walk(root, b"usr/lib")
    assert isinstance(etc, Directory)
    assert isinstance(lib, Directory)
    for directory, linked in (
        (etc, (b"passwd", b"passwd-", b"passwd--")),
        (lib, (b"libc.so", b"libc.so.6")),
    ):
        found = [directory.lookup(name) for name in linked]
        assert len({node.ino for node in found if node is not None}) == 1
        assert None not in found


# Extended attributes


async def test_attributes_say_where_things_come_from_and_are_not_listed(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom(), Layer().directory("etc").file("etc/motd", b"new"))
    root = await browser.rootfs(built.put(store))
    for path, position in ((b"", 0), (b"etc", 1), (b"etc/motd", 1), (b"etc/passwd", 0)):
        node = await walk(root, path)
        assert node is not None
        layer = browser.layers.open(built.layers[position])
        assert await node.xattr(b"user.ross.layer") == str(layer.digest).encode()
        assert await node.xattr(b"user.ross.diff_id") == str(layer.diff_id).encode()
        assert await node.xattr(b"user.ross.history") == b"COPY step %d" % position
        assert await node.xattr(b"user.ross.nothing") is None
        assert not node.xattrs()


async def test_the_root_says_whose_it_is(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    root = await browser.rootfs(digest)
    assert await root.xattr(b"user.ross.digest") == str(digest).encode()
    etc = root.lookup(b"etc")
    assert etc is not None
    assert await etc.xattr(b"user.ross.digest") is None


async def test_the_digest_of_a_file_is_the_sha256_of_its_bytes(
    store: Store, browser: Browser
) -> None:
    root = await browser.rootfs(put_stack(store))
    for path in (b"usr/lib/libc.so", b"usr/lib/libc.so.6", b"usr/lib/holes", b"usr/lib/sparse"):
        node = await walk(root, path)
        assert node is not None
        hashed = b"sha256:" + hashlib.sha256(await text(node)).hexdigest().encode()
        for _ in range(2):
            assert await node.xattr(b"user.ross.digest") == hashed, path
    for path in (b"dev/null", b"dev/pipe", b"lib"):
        node = await walk(root, path)
        assert node is not None
        assert await node.xattr(b"user.ross.digest") is None, path


async def test_attributes_of_the_tar_are_listed(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    usr, cap = root.lookup(b"usr"), await walk(root, b"dev/cap")
    assert usr is not None
    assert cap is not None
    assert usr.xattrs() == {b"user.colour": b"blue", b"trusted.x": b"\0\xff"}
    assert cap.xattrs() == {b"user.one": b"1", b"security.capability": b"\1\0\0\2"}
    assert await cap.xattr(b"security.capability") == b"\1\0\0\2"
    assert await usr.xattr(b"user.colour") == b"blue"
    assert usr.foreign_xattrs
    assert cap.foreign_xattrs


# Nothing in it


async def test_an_image_without_layers_has_an_empty_root(store: Store, browser: Browser) -> None:
    digest = image_of().put(store)
    root = await browser.rootfs(digest)
    assert root.attr().mode == stat.S_IFDIR | 0o755
    assert rows_of(root.entries()) == []
    assert root.lookup(b"etc") is None
    assert root.xattrs() == {}
    assert await root.xattr(b"user.ross.digest") == str(digest).encode()
    assert await root.xattr(b"user.ross.layer") is None
    assert root.parent_ino() == browser.image(digest).ino
    assert made_again(browser.trees, root.ino).ino == root.ino


async def test_names_of_markers_are_never_found(store: Store, browser: Browser) -> None:
    root = await browser.rootfs(put_stack(store))
    kept, etc = root.lookup(b"kept"), root.lookup(b"etc")
    assert isinstance(kept, Directory)
    assert isinstance(etc, Directory)
    assert kept.lookup(b".wh..wh..opq") is None
    assert etc.lookup(b".wh.mtab") is None
    assert root.lookup(b".wh.gone") is None
    assert root.lookup(b"gone") is None


async def test_a_symbolic_link_answers_its_text(store: Store, browser: Browser) -> None:
    link = await walk(await browser.rootfs(put_stack(store)), b"lib")
    assert isinstance(link, Symlink)
    assert link.target() == b"usr/lib"
    assert stat.S_IMODE(link.attr().mode) == 0o777


async def test_nothing_opens_for_writing(store: Store, browser: Browser) -> None:
    motd = await walk(await browser.rootfs(put_stack(store)), b"etc/motd")
    assert isinstance(motd, File)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_TRUNC):
        assert await refusal(motd.open(flags, CALLER)) == errno.EROFS
    handle = await motd.open(os.O_RDONLY, CALLER)
    assert handle.keep_cache
    assert not handle.direct_io


async def test_merged_rows_are_made_once_each(store: Store, browser: Browser) -> None:
    etc = await browser.rootfs(put_stack(store), b"etc")
    rows = etc.entries()
    assert isinstance(rows, RootfsRows)
    by_position = [rows_of(rows, start)[0] for start in reversed(range(len(rows)))]
    assert by_position == rows_of(rows)[::-1]
    assert await find(etc, by_position[0].name) is not None
