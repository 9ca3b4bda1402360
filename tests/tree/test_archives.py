import errno
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from rossfs.errors import Damaged, RossfsError
from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.tree.archives import ArchiveFile, ArchivesDirectory
from rossfs.tree.images import Images
from rossfs.tree.layertar import LayerTar
from rossfs.tree.node import FOREVER, Directory, File, Node
from tests import builders
from tests.builders import OCI_INDEX, OCI_LAYER_GZIP, RossStore, image_parts
from tests.layers import PACKINGS, Layer, LayeredImage, image_of
from tests.suites.directory_suite import CALLER, ReadOnlyDirectorySuite, find, listed, refusal
from tests.tree.browsing import Browser, bottom, harm, lose, mend, middle, put_stack, top
from tests.tree.pictures import directory_of, names


async def archives_of(browser: Browser, digest: Digest) -> ArchivesDirectory:
    directory = await browser.at(digest, b"archive")
    assert isinstance(directory, ArchivesDirectory)
    return directory


async def content(node: Node | None, piece: int = 1 << 20) -> bytes:
    """All bytes of a file, read as the kernel does, and once more where they are at hand."""
    assert isinstance(node, File)
    handle = await node.open(os.O_RDONLY, CALLER)
    try:
        pieces = []
        for offset in range(0, node.attr().size + 1, piece):
            pieces.append(bytes(await handle.read(offset, piece)))
            ready = handle.read_ready(offset, piece)
            assert ready is None or bytes(ready) == pieces[-1]
        return b"".join(pieces)
    finally:
        await handle.release()


def harm_manifest(store: Store, digest: Digest) -> None:
    path = Path(store.paths.content(Area.MANIFESTS, digest))
    path.write_bytes(b"[" + path.read_bytes()[1:])


def multi(store: Store, *images: LayeredImage) -> Digest:
    offers = zip(images, ("linux/amd64", "linux/arm64"), strict=True)
    index = builders.index([(image.manifest, name) for image, name in offers])
    return store.put_index(index, OCI_INDEX)[0]


class TestOfAnImage(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        return await archives_of(browser, put_stack(store))


class TestOfAnIndexThatLacksAManifest(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, store: Store, browser: Browser) -> Directory:
        here, away = image_of(bottom()), image_of(middle())
        here.put(store)
        return await archives_of(browser, multi(store, here, away))


class TestOfWhatIsNotStored(ReadOnlyDirectorySuite):
    empty = True

    @pytest.fixture
    async def directory(self, ross: RossStore, images: Images) -> Node | None:
        digest = ross.put_manifest(image_parts().manifest)
        return await find(directory_of(images, digest), b"archive")


async def test_listing_opens_no_layer(store: Store, browser: Browser) -> None:
    directory = await archives_of(browser, put_stack(store))
    assert await names(directory) == [b"docker.tar", b"oci.tar"]
    assert browser.cache.published == []
    await find(directory, b"oci.tar")
    assert browser.cache.published == []
    await find(directory, b"docker.tar")
    assert len(browser.cache.published) >= 3


@pytest.mark.parametrize("name", [b"oci.tar", b"docker.tar"])
async def test_two_mounts_show_the_same_bytes(
    store: Store, browser: Browser, tmp_path: Path, name: bytes
) -> None:
    digest = put_stack(store)
    other = Browser(store, f"{tmp_path}/other cache")
    one, two = [await find(await archives_of(each, digest), name) for each in (browser, other)]
    data = await content(one)
    assert data == await content(two) == await content(one, 700)
    assert one is not None
    assert one.attr().size == len(data)
    assert one.ttl == FOREVER
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {member.mtime for member in tar} == {0}


async def test_the_archive_of_an_incomplete_index_grows(store: Store, browser: Browser) -> None:
    here, away = image_of(bottom()), image_of(middle())
    here.put(store)
    directory = await archives_of(browser, multi(store, here, away))
    before = await find(directory, b"oci.tar")
    assert isinstance(before, ArchiveFile)
    assert 0 < before.ttl <= 1
    data = await content(before)
    again = await find(directory, b"oci.tar")
    assert again is not None
    assert again.ino == before.ino
    assert again.same(before)
    away.put(store)
    after = await find(directory, b"oci.tar")
    assert after is not None
    assert after.ino != before.ino
    assert not after.same(before)
    assert after.attr().size > before.attr().size
    assert after.ttl == FOREVER
    assert await content(before) == data


async def test_what_the_platform_lacks_is_there_as_soon_as_it_is(
    store: Store, browser: Browser
) -> None:
    mine, other = image_of(bottom()), image_of(middle())
    other.put(store)
    directory = await archives_of(browser, multi(store, mine, other))
    assert await names(directory) == [b"oci.tar"]
    with pytest.raises(RossfsError) as absent:
        await find(directory, b"docker.tar")
    assert absent.value.errno == errno.ENOENT
    mine.put(store)
    assert await names(directory) == [b"docker.tar", b"oci.tar"]
    assert await find(directory, b"docker.tar") is not None


@pytest.mark.damages_store
async def test_an_archive_of_which_a_blob_is_not_stored_is_absent(
    store: Store, browser: Browser
) -> None:
    image = image_of(bottom(), middle())
    directory = await archives_of(browser, image.put(store))
    lose(store, image.layers[1])
    for name in (b"oci.tar", b"docker.tar"):
        with pytest.raises(RossfsError) as absent:
            await find(directory, name)
        assert absent.value.errno == errno.ENOENT
    assert await names(directory) == []
    store.put_blob(OCI_LAYER_GZIP, image.blobs[1])
    assert await names(directory) == [b"docker.tar", b"oci.tar"]
    assert await content(await find(directory, b"docker.tar"))


@pytest.mark.damages_store
@pytest.mark.expects_warnings
async def test_a_damaged_manifest_is_an_error_of_its_archive(
    store: Store, browser: Browser
) -> None:
    here, other = image_of(bottom()), image_of(middle())
    for image in (here, other):
        image.put(store)
    digest = multi(store, here, other)
    directory = await archives_of(browser, digest)
    harm_manifest(store, other.digest)
    assert await names(directory) == [b"docker.tar", b"oci.tar"]
    assert await find(directory, b"docker.tar") is not None
    with pytest.raises(RossfsError) as damaged:
        await find(directory, b"oci.tar")
    assert damaged.value.errno == errno.EIO
    assert str(digest) in dict(browser.inside.damaged())


@pytest.mark.damages_store
@pytest.mark.expects_warnings
@pytest.mark.parametrize("name", [b"oci.tar", b"docker.tar"])
async def test_damage_after_opening_is_an_error_until_it_is_mended(
    store: Store, browser: Browser, name: bytes
) -> None:
    image = image_of(Layer().file("big", os.urandom(100_000)), packing="zstd")
    node = await find(await archives_of(browser, image.put(store)), name)
    right = await content(node)
    assert isinstance(node, File)
    handle = await node.open(os.O_RDONLY, CALLER)
    assert bytes(await handle.read(0, 512)) == right[:512]
    browser.layers.close()
    harm(store, image.layers[0])
    refused = 0
    for offset in range(0, len(right), 4096):
        data = b""
        try:
            data = bytes(await handle.read(offset, 4096))
        except Damaged:
            refused += 1
        assert not data or data == right[offset : offset + 4096]
    assert refused or name == b"docker.tar"  # what was copied into the cache is right
    mend(store, image.layers[0], image.blobs[0])
    assert await content(node) == right
    await handle.release()


async def test_an_artifact_has_no_docker_archive(store: Store, browser: Browser) -> None:
    store.put_blob("text/plain", b"a chart")
    document = {
        "schemaVersion": 2,
        "mediaType": builders.OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": builders.descriptor(b"a chart", "application/vnd.example"),
        "layers": [],
    }
    digest, _ = store.put_manifest(builders.compact(document), builders.OCI_MANIFEST)
    directory = await archives_of(browser, digest)
    assert await names(directory) == [b"oci.tar"]
    assert await refusal(find(directory, b"docker.tar")) == errno.ENOENT
    assert b"a chart" in await content(await find(directory, b"oci.tar"))


# layers/<nn>-<12 hex>.tar


@pytest.mark.parametrize("packing", sorted(set(PACKINGS) - {"plain", "bzip2", "xz"}))
async def test_a_layer_uncompressed_hashes_to_its_diff_id(
    store: Store, browser: Browser, packing: str
) -> None:
    image = image_of(bottom(), Layer().file("big", os.urandom(3_000_000)), packing=packing)
    directory = await browser.at(image.put(store), b"layers")
    assert isinstance(directory, Directory)
    tars = [entry.name for entry in await listed(directory) if entry.name.endswith(b".tar")]
    for name, tar in zip(tars, (bottom().closed(), None), strict=True):
        node = await find(directory, name)
        assert isinstance(node, LayerTar)
        data = await content(node)
        assert tar is None or data == tar
        diff_id = f"sha256:{hashlib.sha256(data).hexdigest()}".encode()
        assert node.xattrs()[b"user.ross.digest"] == diff_id
        assert diff_id in image.config
        assert data == await content(node, 100_001)


async def test_a_layer_that_is_a_tar_has_a_link_only(store: Store, browser: Browser) -> None:
    directory = await browser.at(image_of(bottom(), packing="plain").put(store), b"layers")
    assert isinstance(directory, Directory)
    assert len(await listed(directory)) == 2


async def test_a_layer_uncompressed_is_one_inode_in_all_images(
    store: Store, browser: Browser
) -> None:
    found = []
    for image in (image_of(bottom(), middle()), image_of(top(), bottom())):
        directory = await browser.at(image.put(store), b"layers")
        assert isinstance(directory, Directory)
        for entry in await listed(directory):
            if entry.name.endswith(f"{image_of(bottom()).layers[0].hex[:12]}.tar".encode()):
                node = await find(directory, entry.name)
                assert node is not None
                assert node.ino == entry.ino
                found.append(node)
    one, other = found
    assert one.ino == other.ino
    assert one.same(other)


@pytest.mark.expects_warnings
async def test_a_layer_that_is_not_what_the_config_says_is_not_served(
    store: Store, browser: Browser
) -> None:
    image = image_of(bottom(), diff_ids=[f"sha256:{'0' * 64}"])
    digest = image.put(store)
    directory = await browser.at(digest, b"layers")
    assert isinstance(directory, Directory)
    (name,) = [entry.name for entry in await listed(directory) if entry.name.endswith(b".tar")]
    assert await refusal(find(directory, name)) == errno.EIO
    assert await refusal(find(await archives_of(browser, digest), b"docker.tar")) == errno.EIO
