import errno
import stat

import pytest

from rossfs.errors import RossfsError
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.layers import LayersDirectory
from rossfs.tree.layerview import LayerDirectory
from rossfs.tree.node import Directory, Symlink
from tests import builders
from tests.builders import OCI_LAYER_GZIP, OCI_MANIFEST, OCTET_STREAM, compact, descriptor, index
from tests.layers import Layer, LayeredImage, image_of
from tests.suites.directory_suite import ReadOnlyDirectorySuite, find, listed
from tests.tree.browsing import Browser, bottom, lose, middle, put_stack, top
from tests.tree.pictures import links


async def layers_of(browser: Browser, digest: Digest) -> LayersDirectory:
    directory = await browser.at(digest, b"layers")
    assert isinstance(directory, LayersDirectory)
    return directory


def stems(built: LayeredImage) -> list[bytes]:
    return [f"{n:02}-{layer.hex[:12]}".encode() for n, layer in enumerate(built.layers)]


class TestLayers(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await layers_of(browser, put_stack(store))


class TestNoLayers(ReadOnlyDirectorySuite):
    empty = True

    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await layers_of(browser, image_of().put(store))


async def test_each_layer_is_a_link_and_a_directory(store: Store, browser: Browser) -> None:
    built = image_of(bottom(), middle(), top(), packing=["gzip", "zstd", "plain"])
    directory = await layers_of(browser, built.put(store))
    names = [entry.name for entry in await listed(directory)]
    first, second, third = stems(built)
    assert names == [
        *(first, first + b".tar", first + b".tar.gz"),
        *(second, second + b".tar", second + b".tar.zst"),
        *(third, third + b".tar"),
    ]
    for stem in stems(built):
        layer = await find(directory, stem)
        assert isinstance(layer, LayerDirectory)
        assert stat.S_ISDIR(layer.attr().mode)


async def test_listing_opens_no_layer(store: Store, browser: Browser) -> None:
    directory = await layers_of(browser, put_stack(store))
    entries = await listed(directory)
    await links(directory)
    kinds = [entry.kind for entry in entries if entry.node is None]
    assert kinds == [stat.S_IFDIR, stat.S_IFREG] * 3
    assert len(browser.trees) == 0
    assert browser.cache.published == []


async def test_looking_for_one_layer_opens_that_one(store: Store, browser: Browser) -> None:
    built = image_of(bottom(), middle(), top())
    directory = await layers_of(browser, built.put(store))
    await find(directory, stems(built)[1])
    assert {name.partition(".")[0] for name in browser.cache.published} == {built.layers[1].hex}
    assert browser.layers.opened(built.layers[0]) is None


async def test_a_name_that_is_nearly_one_is_absent(store: Store, browser: Browser) -> None:
    built = image_of(bottom())
    directory = await layers_of(browser, built.put(store))
    (stem,) = stems(built)
    for name in (stem[:-1], stem + b"0", stem + b".tar.", b"0" + stem, stem[1:], stem.upper()):
        assert await find(directory, name) is None or name == stem


async def test_directories_of_an_index_are_its_own_and_the_files_are_shared(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom(), middle())
    alone = built.put(store)
    chosen = store.put_manifest(index([(built.manifest, "linux/amd64")]), builders.OCI_INDEX)
    assert isinstance(chosen, tuple)
    whole = chosen[0]
    for stem in stems(built):
        one = await find(await layers_of(browser, alone), stem)
        other = await find(await layers_of(browser, whole), stem)
        assert isinstance(one, LayerDirectory)
        assert isinstance(other, LayerDirectory)
        assert one.ino != other.ino
        assert other.parent_ino() == (await layers_of(browser, whole)).ino
    files = [await browser.at(digest, b"rootfs/dev/null") for digest in (alone, whole)]
    assert len({node.ino for node in files if node is not None}) == 1
    one, other = [await browser.rootfs(digest) for digest in (alone, whole)]
    assert one.ino != other.ino
    assert other.parent_ino() == browser.image(whole).ino
    assert await other.xattr(b"user.ross.digest") == str(alone).encode()


def artifact(store: Store, data: bytes, media_type: str) -> Digest:
    """A manifest that is no image, of one layer."""
    store.put_blob(OCTET_STREAM, b"settings")
    store.put_blob(media_type, data)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": descriptor(b"settings", "application/vnd.example.settings"),
        "layers": [descriptor(data, media_type)],
    }
    made = store.put_manifest(compact(document), OCI_MANIFEST)
    assert isinstance(made, tuple)
    return made[0]


async def test_a_layer_of_an_artifact_is_a_directory_if_it_is_called_a_tar(
    store: Store, browser: Browser
) -> None:
    digest = artifact(store, image_of(bottom()).blobs[0], OCI_LAYER_GZIP)
    layer = await browser.layer(digest, 0)
    assert layer.lookup(b"etc") is not None
    assert await layer.xattr(b"user.ross.history") is None
    assert await find(browser.image(digest), b"rootfs") is None


async def test_anything_else_in_an_artifact_is_only_a_link(store: Store, browser: Browser) -> None:
    digest = artifact(store, b"a chart", "application/vnd.example.chart")
    directory = await layers_of(browser, digest)
    (entry,) = await listed(directory)
    assert entry.name.endswith(b".bin")
    assert isinstance(await find(directory, entry.name), Symlink)
    assert await find(directory, entry.name.partition(b".")[0]) is None
    assert await find(browser.image(digest), b"rootfs") is None


@pytest.mark.damages_store
async def test_a_layer_that_is_not_stored_is_there_as_soon_as_it_is(
    store: Store, browser: Browser
) -> None:
    built = image_of(bottom(), middle())
    directory = await layers_of(browser, built.put(store))
    lose(store, built.layers[1])
    lower, upper = stems(built)
    for _ in range(2):
        with pytest.raises(RossfsError) as absent:
            await find(directory, upper)
        assert absent.value.errno == errno.ENOENT
        assert isinstance(await find(directory, lower), LayerDirectory)
        assert upper not in {entry.name for entry in await listed(directory)}
    store.put_blob(OCI_LAYER_GZIP, built.blobs[1])
    assert isinstance(await find(directory, upper), LayerDirectory)
    assert upper in {entry.name for entry in await listed(directory)}


@pytest.mark.expects_warnings
async def test_a_bad_layer_does_not_hinder_the_others(store: Store, browser: Browser) -> None:
    built = image_of(bottom(), b"no archive at all" * 100, top())
    directory = await layers_of(browser, built.put(store))
    first, bad, last = stems(built)
    for _ in range(2):
        with pytest.raises(RossfsError) as invalid:
            await find(directory, bad)
        assert invalid.value.errno == errno.EIO
        for stem in (first, last):
            assert isinstance(await find(directory, stem), LayerDirectory)
    assert [name for name, _ in browser.inside.damaged()] == [str(built.layers[1])]
    assert {entry.name for entry in await listed(directory)} > {first, bad, last}


async def test_more_than_a_hundred_layers_sort_from_the_bottom(
    store: Store, browser: Browser
) -> None:
    built = image_of(*[Layer().file(f"{number}") for number in range(101)])
    digest = built.put(store)
    directory = await layers_of(browser, digest)
    listing = directory.entries()
    entries = [entry for entry in listing if entry is not None]
    names = [entry.name for entry in entries if entry.kind == stat.S_IFDIR]
    assert names == sorted(names)
    assert [name[:4] for name in names] == [b"%03d-" % number for number in range(101)]
    assert isinstance(await find(directory, names[100]), LayerDirectory)
    root = await browser.rootfs(digest)
    assert len(root.entries()) == 101
