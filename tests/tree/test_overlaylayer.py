"""Layers in overlay form as nodes; tests/mount/test_overlaylayer.py has what overlayfs says."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from rossfs.image.resolve import resolve
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.node import Directory, File, Rows
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.overlaylayer import (
    OPAQUE,
    OPAQUE_TO_USERS,
    OverlayDirectory,
    OverlayTree,
)
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.trees import Trees
from tests.layers import Layer
from tests.suites.directory_suite import CALLER, refusal, rows_of
from tests.suites.tree_suite import TreeDirectorySuite, made_again, row_of
from tests.tree.browsing import Browser, bottom, directories, put_stack, walk
from tests.tree.pictures import AMD64, text

PARENT = 1234
"""The number of the directory that a layer is in."""


async def overlay(
    browser: Browser, digest: Digest, position: int, path: bytes = b"", *, alone: bool = False
) -> OverlayDirectory:
    """A directory of a layer of an image in overlay form."""
    overlays = OverlayTrees(browser.inside, browser.numbers, browser.trees)
    place = b"%d%d%b" % (alone, position, digest.raw)
    image = resolve(browser.store, digest, AMD64)
    if alone:
        tree = await overlays.open_alone(place, image.manifest.layers[position].digest, PARENT)
    else:
        tree = await overlays.open(place, image, position, PARENT)
    assert overlays.ino(place) == tree.root.ino
    assert overlays.get(place) is tree
    found = await walk(tree.root, path)
    assert isinstance(found, OverlayDirectory)
    return found


def tree_of(browser: Browser, directory: Directory) -> OverlayTree:
    tree = browser.trees.get(directory.ino >> TREE_SHIFT)
    assert isinstance(tree, OverlayTree)
    return tree


WHITEOUT = "whiteout"


def shown(top: Directory) -> dict[str, str]:
    """Every path, and what is there: WHITEOUT, "opaque", or the letter of ls(1)."""
    found = {}
    for path, directory in directories(top):
        listing = directory.entries()
        assert isinstance(listing, Rows)
        for row in rows_of(listing):
            below = os.fsdecode(path + b"/" + row.name if path else row.name)
            node = directory.lookup(row.name)
            assert node is not None, below
            assert row_of(row.name, node) == row, below
            found[below] = stat.filemode(row.mode)[0]
            if stat.S_ISCHR(row.mode) and not row.rdev:
                found[below] = WHITEOUT
            elif node.xattrs().get(OPAQUE) == b"y":
                found[below] = "opaque"
    return found


async def forms(browser: Browser, *layers: Layer) -> list[dict[str, str]]:
    """What `shown` says of each of *layers*."""
    digest = put_stack(browser.store, *layers)
    return [shown(await overlay(browser, digest, position)) for position in range(len(layers))]


class TestLayer(TreeDirectorySuite):
    kinds = (Directory, File)

    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture(params=[(0, b""), (1, b""), (1, b"kept"), (2, b"etc")])
    async def directory(
        self, store: Store, browser: Browser, request: pytest.FixtureRequest
    ) -> Directory:
        position, path = request.param
        return await overlay(browser, put_stack(store), position, path)


class TestEmptyLayer(TreeDirectorySuite):
    kinds = (Directory, File)
    empty = True

    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await overlay(browser, put_stack(store, Layer()), 0)


class TestLayerAlone(TreeDirectorySuite):
    kinds = (Directory, File)

    @pytest.fixture
    def trees(self, browser: Browser) -> Trees:
        return browser.trees

    @pytest.fixture(params=[(1, b""), (1, b"kept")])
    async def directory(
        self, store: Store, browser: Browser, request: pytest.FixtureRequest
    ) -> Directory:
        position, path = request.param
        return await overlay(browser, put_stack(store), position, path, alone=True)


async def test_the_form_of_every_kind_of_entry(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    layers = [shown(await overlay(browser, digest, position)) for position in range(3)]
    assert WHITEOUT not in layers[0].values()
    assert layers[1] == {
        "becomes-directory": "d",
        "becomes-directory/deep": "-",
        "becomes-file": "-",
        "etc": "d",
        "etc/motd": "-",
        "etc/passwd-": "-",
        "gone": WHITEOUT,
        "gone-too": WHITEOUT,
        "kept": "opaque",
        "kept/shown": "-",
        "usr": "d",
        "usr/lib": "d",
        "usr/lib/grafted.so": "-",
        "usr/lib/middle.so": "-",
    }
    assert layers[2] == {
        "etc": "d",
        "etc/mtab": WHITEOUT,
        "etc/passwd--": "-",
        "usr": "d",
        "usr/lib": "d",
        "usr/lib/deep": "d",
        "usr/lib/deep/er": "d",
        "usr/lib/deep/er/file": "-",
        "usr/lib/top.so": "-",
    }


@pytest.mark.parametrize(
    ("lower", "upper", "form"),
    [
        (
            Layer().file("a/x"),
            Layer().whiteout("a").directory("a").file("a/y"),
            {"a": "opaque", "a/y": "-"},
        ),
        (
            Layer().file("b/x"),
            Layer().directory("b").file("b/y").whiteout("b"),
            {"b": "opaque", "b/y": "-"},
        ),
        (Layer().file("d", b"lower"), Layer().file("d", b"upper").whiteout("d"), {"d": "-"}),
        (
            Layer().file("c/x"),
            Layer().directory("c").opaque("c").whiteout("c/x").file("c/y"),
            {"c": "opaque", "c/y": "-"},
        ),
        (Layer().file("e/x"), Layer().whiteout("e").whiteout("e/x"), {"e": WHITEOUT}),
    ],
)
async def test_forms_that_unpacking_gets_wrong(
    browser: Browser, lower: Layer, upper: Layer, form: dict[str, str]
) -> None:
    """contracts.md 2.1."""
    assert (await forms(browser, lower, upper))[1] == form


async def test_a_whiteout_of_what_is_not_there_is_not_shown(browser: Browser) -> None:
    """overlayfs would list it in a directory that lies over nothing."""
    upper = Layer().whiteout("x").directory("d").whiteout("d/y").whiteout("v/z").whiteout("f/z")
    assert (await forms(browser, Layer().file("a").file("f"), upper))[1] == {"d": "d"}
    assert await forms(browser, Layer().file("a").whiteout("b").whiteout("c/d")) == [{"a": "-"}]


async def test_whiteouts_only_keep_the_directory_that_they_are_in(browser: Browser) -> None:
    lower = Layer().directory("d", 0o711, uid=5, xattrs={"user.x": b"1"}).file("d/a").file("d/b")
    digest = put_stack(browser.store, lower, Layer().whiteout("d/a"))
    top = await overlay(browser, digest, 1)
    assert shown(top) == {"d": "d", "d/a": WHITEOUT}
    directory = top.lookup(b"d")
    assert directory is not None
    attr = directory.attr()
    assert (stat.S_IMODE(attr.mode), attr.uid, attr.mtime_ns) == (
        0o711,
        5,
        (await overlay(browser, digest, 0, b"d")).attr().mtime_ns,
    )
    assert directory.xattrs() == {b"user.x": b"1"}


async def test_directories_that_the_archive_only_implies_have_the_attributes_below(
    browser: Browser,
) -> None:
    digest = put_stack(
        browser.store,
        Layer().directory("./", 0o700).directory("a", 0o710).directory("a/b", 0o720),
        Layer().file("a/b/c/f"),
        Layer().opaque("a/b"),
        Layer().whiteout("a").file("a/b/g"),
    )

    async def mode(position: int, path: bytes) -> int:
        return stat.S_IMODE((await overlay(browser, digest, position, path)).attr().mode)

    assert [await mode(position, b"") for position in range(4)] == [0o700] * 4
    assert [await mode(1, path) for path in (b"a", b"a/b", b"a/b/c")] == [0o710, 0o720, 0o755]
    assert [await mode(2, path) for path in (b"a", b"a/b")] == [0o710, 0o720]
    assert [await mode(3, path) for path in (b"a", b"a/b")] == [0o755, 0o755]
    assert shown(await overlay(browser, digest, 2)) == {"a": "d", "a/b": "opaque"}


async def test_a_root_without_entry_is_like_any_directory(browser: Browser) -> None:
    root = await overlay(browser, put_stack(browser.store, Layer().file("a")), 0)
    attr = root.attr()
    assert (attr.mode, attr.uid, attr.gid) == (stat.S_IFDIR | 0o755, 0, 0)
    assert root.parent_ino() == PARENT


async def test_an_opaque_root_hides_each_name_below(browser: Browser) -> None:
    lower = Layer().file("a").file("b").file("d/x").file("e/x").link("l", "a").directory("n")
    layers = Layer().file("z"), lower, Layer().opaque("").file("b").file("d/y").whiteout("e/x")
    digest = put_stack(browser.store, *layers)
    top = await overlay(browser, digest, 2)
    assert shown(top) == {
        "a": WHITEOUT,
        "b": "-",
        "d": "opaque",
        "d/y": "-",
        "e": WHITEOUT,
        "l": WHITEOUT,
        "n": WHITEOUT,
        "z": WHITEOUT,
    }
    assert OPAQUE not in top.xattrs()
    assert await top.xattr(OPAQUE_TO_USERS) is None


async def test_a_hard_link_to_a_lower_layer_is_its_inode(browser: Browser) -> None:
    digest = put_stack(browser.store)
    passwd = await walk(await overlay(browser, digest, 0), b"etc/passwd")
    assert passwd is not None
    for position, name in ((1, b"passwd-"), (2, b"passwd--")):
        link = (await overlay(browser, digest, position, b"etc")).lookup(name)
        assert link is not None
        assert (link.ino, link.attr()) == (passwd.ino, passwd.attr())
        assert await text(link) == b"root:x:0:0\n"


async def test_a_hard_link_to_nothing_hides_what_is_below(browser: Browser) -> None:
    upper = Layer().link("a", "none").link("b", "none")
    assert (await forms(browser, Layer().file("a"), upper))[1] == {"a": WHITEOUT}


async def test_a_hard_link_in_a_circle_hides_a_hard_link_below(browser: Browser) -> None:
    layers = Layer().file("a/c"), Layer().link("b", "a/c"), Layer().link("b", "b/a")
    assert await forms(browser, *layers) == [
        {"a": "d", "a/c": "-"},
        {"b": "-"},
        {"b": WHITEOUT},
    ]


async def test_files_are_the_inodes_of_the_root_filesystem(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    root = await browser.rootfs(digest)
    for alone in (False, True):
        layer = await overlay(browser, digest, 0, alone=alone)
        for path in (b"usr/lib/libc.so", b"dev/null", b"lib", b"etc/passwd"):
            merged, node = await walk(root, path), await walk(layer, path)
            assert merged is not None
            assert node is not None
            assert merged.ino == node.ino, path
            assert merged.same(node)


async def test_a_whiteout_is_a_device_that_nobody_opens(browser: Browser) -> None:
    top = await overlay(browser, put_stack(browser.store), 1)
    node = top.lookup(b"gone")
    assert isinstance(node, File)
    attr = node.attr()
    assert (attr.mode, attr.rdev, attr.size, attr.uid, attr.gid) == (stat.S_IFCHR, 0, 0, 0, 0)
    assert await refusal(node.open(os.O_RDONLY, CALLER)) == errno.ENXIO
    assert made_again(browser.trees, node.ino).attr() == attr
    other = top.lookup(b"gone-too")
    assert other is not None
    assert other.ino == node.ino


async def test_alone_shows_all_that_may_be_needed(browser: Browser) -> None:
    upper = (
        Layer()
        .whiteout("a")
        .whiteout("d/x")
        .opaque("o")
        .whiteout("o/x")
        .whiteout("o/p/x")
        .whiteout("v")
        .whiteout("v/x")
        .whiteout("w")
        .file("w/y")
        .whiteout("w/x")
        .whiteout(".")
        .link("lower", "d/f")
        .link("later", "f")
        .file("f", b"content")
    )
    digest = put_stack(browser.store, Layer().file("a"), upper)
    top = await overlay(browser, digest, 1, alone=True)
    assert shown(top) == {
        "a": WHITEOUT,
        "d": "d",
        "d/x": WHITEOUT,
        "f": "-",
        "later": "-",
        "lower": "-",
        "o": "opaque",
        "v": WHITEOUT,
        "w": "opaque",
        "w/y": "-",
    }
    lower = top.lookup(b"lower")
    assert isinstance(lower, File)
    assert await refusal(lower.open(os.O_RDONLY, CALLER)) == errno.ENODATA
    assert await text(top.lookup(b"later")) == b"content"


async def test_alone_an_opaque_root_says_so(browser: Browser) -> None:
    digest = put_stack(browser.store, Layer().opaque("").file("d/x").whiteout("y"))
    top = await overlay(browser, digest, 0, alone=True)
    assert shown(top) == {"d": "opaque", "d/x": "-"}
    assert top.xattrs() == {OPAQUE: b"y"}


async def test_devices_and_attributes_that_overlayfs_would_obey_are_dropped(
    browser: Browser,
) -> None:
    layer = Layer().device("w", b"3", 0, 0).device("b", b"4", 0, 0)
    attributes = {"trusted.overlay.opaque": b"y", "user.overlay.opaque": b"y", "user.kept": b"1"}
    layer.directory("d", xattrs=attributes).file("f", xattrs=attributes)
    digest = put_stack(browser.store, layer)
    top = await overlay(browser, digest, 0)
    assert shown(top) == {"b": "b", "d": "d", "f": "-"}
    for name in (b"d", b"f"):
        node = top.lookup(name)
        assert node is not None
        assert node.xattrs() == {b"user.kept": b"1"}


async def test_opaque_is_said_to_mounts_of_users_who_ask(browser: Browser) -> None:
    digest = put_stack(browser.store, Layer().file("d/x"), Layer().opaque("d").file("d/y"))
    directory = await overlay(browser, digest, 1, b"d")
    assert directory.xattrs() == {OPAQUE: b"y"}
    assert await directory.xattr(OPAQUE) == await directory.xattr(OPAQUE_TO_USERS) == b"y"
    assert await (await overlay(browser, digest, 1)).xattr(OPAQUE_TO_USERS) is None


async def test_what_is_not_shown_is_logged_once(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    layer = Layer().device("w", b"3", 0, 0).device("d/w", b"3", 0, 0).file("f")
    for number in range(20):
        layer.device(f"x{number}", b"3", 0, 0)
    digest = put_stack(browser.store, layer)
    overlays = OverlayTrees(browser.inside, browser.numbers, browser.trees)
    image = resolve(browser.store, digest, AMD64)
    with caplog.at_level("INFO", "rossfs.tree"):
        for place in (b"one", b"other"):
            tree = await overlays.open(place, image, 0, PARENT)
            assert shown(tree.root) == {"f": "-"}
    lines = [record.getMessage() for record in caplog.records]
    device = "is the device 0, 0, which is a whiteout to overlayfs"
    blob = image.manifest.layers[0].digest
    assert lines[:2] == [
        f'layer {blob}: "{path}" is not shown: it {device}' for path in ("w", "d/w")
    ]
    assert lines[10:] == [f"layer {blob}: 12 more are not shown"]


async def test_attributes_say_where_things_come_from(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    top = await overlay(browser, digest, 1)
    layer = await browser.layer(digest, 1)
    for name in (b"user.ross.layer", b"user.ross.diff_id", b"user.ross.history"):
        value = await layer.xattr(name)
        assert value
        assert await top.xattr(name) == value


async def test_numbers_outlast_the_tree(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    top = await overlay(browser, digest, 1)
    rows, number = rows_of(top.entries()), top.ino >> TREE_SHIFT
    del top
    browser.trees.forgotten(number)
    assert len(browser.trees) == 0
    again = await overlay(browser, digest, 1)
    assert (again.ino >> TREE_SHIFT, rows_of(again.entries())) == (number, rows)


async def test_layers_of_one_image_share_what_is_opened(browser: Browser) -> None:
    digest = put_stack(browser.store)
    one, other = [tree_of(browser, await overlay(browser, digest, at)) for at in (0, 2)]
    assert one.stacked is other.stacked
    assert one.number != other.number


async def test_an_image_with_one_layer_twice(browser: Browser) -> None:
    digest = put_stack(browser.store, bottom(), bottom())
    lower, upper = [await overlay(browser, digest, position) for position in range(2)]
    assert lower.ino != upper.ino
    assert shown(lower) == shown(upper)


@pytest.mark.parametrize("alone", [False, True])
async def test_any_number_is_a_node_or_stale(browser: Browser, alone: bool) -> None:
    top = await overlay(browser, put_stack(browser.store), 1, alone=alone)
    tree = tree_of(browser, top)
    real = {directory.ino for _, directory in directories(top)}
    for index in (*range(tree.files.toc.count + 50), 1 << 30, 1 << 32, INDEX):
        ino = tree.base | index
        if ino in real:
            assert isinstance(tree.node(ino), OverlayDirectory)
        else:
            with pytest.raises(OSError, match="has no directory") as stale:
                tree.node(ino)
            assert stale.value.errno == errno.ESTALE
