import errno
import gzip
import logging
from pathlib import Path

import pytest
import trio

from rossfs.errors import RossfsError
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.node import Node
from rossfs.tree.numbers import TREE_SHIFT
from rossfs.tree.rootfs import RootfsDirectory
from tests import builders
from tests.builders import digest_of
from tests.layers import Layer, LayeredImage, image_of, packed_image
from tests.suites.directory_suite import find
from tests.tree.browsing import Browser, bottom, harm, lose, mend, middle, put_stack, walk
from tests.tree.pictures import text

GOOD = Layer().file("good", b"good")


async def opening(browser: Browser, digest: Digest, name: bytes = b"rootfs") -> int:
    """The errno with which looking for a directory of an image is answered, 0 for none."""
    try:
        assert await find(browser.image(digest), name) is not None
    except RossfsError as error:
        return error.errno
    return 0


def damaged(browser: Browser) -> dict[str, str]:
    return dict(browser.inside.damaged())


# Opening


async def test_a_root_filesystem_is_opened_when_it_is_looked_for(
    store: Store, browser: Browser
) -> None:
    directory = browser.image(put_stack(store))
    await directory.load()
    assert len(browser.trees) == 0
    assert isinstance(await find(directory, b"rootfs"), RootfsDirectory)
    # The root filesystem, and the files of each layer.
    assert len(browser.trees) == 1 + 3
    with trio.testing.assert_no_checkpoints():
        assert isinstance(directory.lookup(b"rootfs"), RootfsDirectory)


async def test_several_who_look_at_once_open_once(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    found: list[Node | None] = []

    async def look() -> None:
        found.append(await browser.at(digest, b"rootfs/etc/motd"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(look)
    assert len({node.ino for node in found if node is not None}) == 1
    assert len(found) == 10
    assert sorted(browser.cache.published) == sorted(set(browser.cache.published))
    assert len([name for name in browser.cache.published if name.endswith(".toc")]) == 3
    assert len(browser.trees) == 1 + 3


async def test_one_directory_is_asked_by_several_at_once(store: Store, browser: Browser) -> None:
    directory = browser.image(put_stack(store))
    found: list[tuple[bytes, Node | None]] = []

    async def look(name: bytes) -> None:
        found.append((name, await find(directory, name)))

    async with trio.open_nursery() as nursery:
        for name in (b"rootfs", b"layers", b"config.json", b"absent") * 3:
            nursery.start_soon(look, name)
    numbers = {(name, node.ino if node is not None else 0) for name, node in found}
    assert len(found) == 12
    assert len(numbers) == 4
    assert (b"absent", 0) in numbers


async def test_who_gives_up_does_not_disturb_the_others(store: Store, browser: Browser) -> None:
    digest = put_stack(store)
    done = []

    async def look() -> None:
        done.append(await browser.at(digest, b"rootfs"))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await look()
        nursery.start_soon(look)
    assert len(done) == 1
    assert isinstance(done[0], RootfsDirectory)


async def test_an_opened_layer_is_shared_by_root_filesystem_and_layers(
    store: Store, browser: Browser
) -> None:
    digest = put_stack(store)
    layer = await browser.layer(digest, 0)
    root = await browser.rootfs(digest)
    assert len([name for name in browser.cache.published if name.endswith(".toc")]) == 3
    alone, merged = await walk(layer, b"dev/null"), await walk(root, b"dev/null")
    assert alone is not None
    assert merged is not None
    assert browser.inodes(alone) is browser.inodes(merged)


async def test_trees_have_small_numbers_that_are_not_given_again(
    store: Store, browser: Browser
) -> None:
    digests = [put_stack(store, Layer().file(f"{number}")) for number in range(5)]
    before = [(await browser.rootfs(digest)).ino >> TREE_SHIFT for digest in digests]
    for number in before:
        browser.trees.forgotten(number)
    again = [(await browser.rootfs(digest)).ino >> TREE_SHIFT for digest in reversed(digests)]
    assert again == before[::-1]
    assert len(set(before)) == 5
    assert max(before) <= 10


# What cannot be opened


def _wrong_order() -> LayeredImage:
    tars = [bottom().closed(), middle().closed()]
    ids = [str(digest_of(tar)) for tar in reversed(tars)]
    return image_of(*tars, diff_ids=ids)


def _too_few() -> LayeredImage:
    return image_of(bottom(), middle(), diff_ids=[str(digest_of(bottom().closed()))])


def _no_tar() -> LayeredImage:
    return image_of(bottom(), b"this is no archive" * 100)


def _truncated() -> LayeredImage:
    tar = bottom().closed()
    cut = gzip.compress(tar, mtime=0)[:-20]
    return packed_image([cut], [str(digest_of(tar))], [builders.OCI_LAYER_GZIP])


BAD = {
    "diff IDs in the wrong order": _wrong_order,
    "too few diff IDs": _too_few,
    "no tar": _no_tar,
    "truncated": _truncated,
}


@pytest.mark.expects_warnings
async def test_an_image_whose_config_cannot_be_read_is_listed(
    store: Store, browser: Browser
) -> None:
    config = b"{" + builders.config([str(digest_of(GOOD.closed()))])
    blob = gzip.compress(GOOD.closed(), mtime=0)
    types = (builders.OCI_LAYER_GZIP,)
    manifest = builders.manifest(config, [blob])
    digest = LayeredImage(manifest, config, (blob,), types, False).put(store)
    assert await opening(browser, digest) == errno.EBADMSG
    assert str(digest_of(config)) in damaged(browser)[str(digest)]


@pytest.mark.parametrize("what", BAD)
async def test_what_cannot_be_shown_is_an_error_each_time_and_is_listed(
    store: Store, browser: Browser, what: str, expects_warnings: list[logging.LogRecord]
) -> None:
    digest = BAD[what]().put(store)
    good = put_stack(store, GOOD)
    for _ in range(3):
        assert await opening(browser, digest) == errno.EIO
        assert await text(await browser.at(good, b"rootfs/good")) == b"good"
    assert list(damaged(browser)) == [str(digest)]
    of_trees = [record for record in expects_warnings if record.name == "rossfs.tree"]
    assert [record.getMessage() for record in of_trees] == [damaged(browser)[str(digest)]]


@pytest.mark.damages_store
@pytest.mark.expects_warnings
async def test_a_damaged_blob_is_an_error_until_it_is_right_again(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom(), middle())
    digest = built.put(store)
    good = put_stack(store, GOOD)
    harm(store, built.layers[0])
    for _ in range(2):
        assert await opening(browser, digest) == errno.EIO
        assert await opening(browser, good) == 0
    assert str(digest) in damaged(browser)
    mend(store, built.layers[0], built.blobs[0])
    assert await opening(browser, digest) == 0


@pytest.mark.damages_store
async def test_a_blob_that_is_missing_is_no_entry_until_it_comes(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom(), middle())
    built.put(store)
    lose(store, built.layers[1])
    for _ in range(2):
        assert await opening(browser, built.digest) == errno.ENOENT
    assert damaged(browser) == {}
    store.put_blob(built.types[1], built.blobs[1])
    assert await opening(browser, built.digest) == 0


@pytest.mark.damages_store
async def test_a_config_that_is_missing_is_no_entry_until_it_comes(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom())
    built.put(store)
    lose(store, digest_of(built.config))
    assert await opening(browser, built.digest) == errno.ENOENT
    store.put_blob(builders.OCI_CONFIG, built.config)
    assert await opening(browser, built.digest) == 0


@pytest.mark.expects_warnings
async def test_several_who_look_at_once_hear_of_the_same_damage(
    store: Store, browser: Browser
) -> None:
    digest = _no_tar().put(store)
    answers: list[int] = []

    async def look() -> None:
        answers.append(await opening(browser, digest))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(look)
    assert answers == [errno.EIO] * 8
    assert len(damaged(browser)) == 1


@pytest.mark.expects_warnings
async def test_there_is_an_end_to_what_is_listed_as_damaged(
    store: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rossfs.tree.imagetrees._TOLD", 2)
    for number in range(4):
        built = image_of(b"no archive %d" % number * 100)
        assert await opening(browser, built.put(store)) == errno.EIO
    assert len(damaged(browser)) == 2


async def test_tables_that_nobody_can_keep_are_made_in_memory(store: Store, tmp_path: Path) -> None:
    browser = Browser(store, str(tmp_path / "store/rossfs.json/cache"))
    digest = put_stack(store)
    assert await text(await browser.at(digest, b"rootfs/etc/motd")) == b"new, and longer\n"
    assert await text(await browser.at(digest, b"rootfs/kept/shown")) == b"shown"
    browser.layers.close()
