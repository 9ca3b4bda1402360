import errno
import stat

import pytest

from rossfs.errors import Damaged, ManifestNotFound
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.images import Images
from rossfs.tree.node import FOREVER, Directory, Node
from rossfs.tree.rootfs import RootfsDirectory
from rossfs.tree.trees import Trees
from tests.builders import (
    CREATED,
    DOCKER_FOREIGN,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    compact,
    config,
    descriptor,
    digest_of,
    image,
    image_parts,
    layer,
    manifest,
)
from tests.suites.directory_suite import (
    ReadOnlyDirectorySuite,
    find,
)
from tests.tree.pictures import children, directory_of, links, names, text, two_platforms


class TestImage(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, images: Images) -> Directory:
        return directory_of(images, image(ross).manifest)


class TestIndex(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, images: Images) -> Directory:
        return directory_of(images, two_platforms(ross)[0])


class TestLayers(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, ross: RossStore, images: Images) -> Node | None:
        return await find(directory_of(images, image(ross).manifest), b"layers")


class TestPlatforms(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, ross: RossStore, images: Images) -> Node | None:
        return await find(directory_of(images, two_platforms(ross)[0]), b"platforms")


# An image


async def test_an_image_shows_its_manifest_config_and_layers(
    ross: RossStore, images: Images
) -> None:
    stored = image(ross, layers=3)
    directory = directory_of(images, stored.manifest)
    shown = await children(directory)
    expected = [b"manifest.json", b"config.json", b"layers", b"archive", b"rootfs"]
    assert await names(directory) == expected
    assert await text(shown[b"manifest.json"]) == stored.parts.manifest
    assert await text(shown[b"config.json"]) == stored.parts.config
    assert await links(shown[b"layers"]) == {
        f"{number:02}-{digest.hex[:12]}.tar.gz".encode(): (
            f"../../../../blobs/sha256/{digest.hex}".encode()
        )
        for number, digest in enumerate(stored.layers)
    }
    assert isinstance(await find(directory, b"rootfs"), RootfsDirectory)


async def test_listing_an_image_opens_nothing_of_it(
    ross: RossStore, images: Images, trees: Trees
) -> None:
    directory = directory_of(images, image(ross).manifest)
    await names(directory)
    layers = await find(directory, b"layers")
    assert isinstance(layers, Directory)
    await names(layers)
    await links(layers)
    assert len(trees) == 0


async def test_its_files_are_the_same_inodes_as_among_the_blobs(
    ross: RossStore, images: Images, files: ContentFiles
) -> None:
    stored = image(ross)
    shown = await children(directory_of(images, stored.manifest))
    for name, digest in ((b"manifest.json", stored.manifest), (b"config.json", stored.config)):
        blob = files.glance(digest)
        assert blob is not None
        assert shown[name].ino == blob.ino


async def test_a_docker_image_is_shown_alike(ross: RossStore, images: Images) -> None:
    directory = directory_of(images, image(ross, docker=True).manifest)
    shown = await children(directory)
    expected = {b"manifest.json", b"config.json", b"layers", b"archive", b"rootfs"}
    assert set(await names(directory)) == expected
    assert all(name.endswith(b".tar.gz") for name in await links(shown[b"layers"]))


def test_attributes_are_those_of_the_manifest(ross: RossStore, images: Images) -> None:
    stored = image(ross)
    directory = directory_of(images, stored.manifest)
    attr = directory.attr()
    assert attr.mode == stat.S_IFDIR | 0o555
    assert attr.mtime_ns == CREATED * 10**9
    assert directory.ttl == FOREVER
    assert directory.xattrs() == {
        b"user.ross.digest": str(stored.manifest).encode(),
        b"user.ross.media_type": OCI_MANIFEST.encode(),
        b"user.ross.size": b"%d" % len(stored.parts.manifest),
        b"user.ross.created_at": b"%d" % CREATED,
    }


async def test_the_manifest_is_read_when_somebody_looks_inside(
    ross: RossStore, images: Images
) -> None:
    directory = directory_of(images, image(ross).manifest)
    seen = [directory.loaded]
    await directory.load()
    seen.append(directory.loaded)
    directory.forgotten()
    seen.append(directory.loaded)
    assert seen == [False, True, False]
    assert await find(directory, b"config.json") is not None


def test_two_images_are_two_inodes(ross: RossStore, images: Images) -> None:
    one = directory_of(images, image(ross, "one").manifest)
    two = directory_of(images, image(ross, "two").manifest)
    assert one.ino != two.ino
    assert not one.same(two)
    assert one.same(directory_of(images, one.digest))
    assert one.ino == directory_of(images, one.digest).ino


def test_a_blob_is_no_image(ross: RossStore, images: Images) -> None:
    assert images.find(image(ross).config) is None
    assert images.find(digest_of(b"absent")) is None


async def test_layers_have_the_extension_of_their_media_type_and_digits_for_all(
    ross: RossStore, images: Images
) -> None:
    types = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.in-toto+json",
        *["application/vnd.oci.image.layer.v1.tar+gzip"] * 98,
    ]
    layers = [b"%d" % number for number in range(101)]
    for data in layers:
        ross.put_blob(OCTET_STREAM, data)
    ross.put_blob(OCI_CONFIG, config([]))
    digest = ross.put_manifest(manifest(config([]), layers, layer_types=types))
    shown = list(await links(await find(directory_of(images, digest), b"layers")))
    assert shown == sorted(shown)
    assert [name.partition(b".")[2] for name in shown[:4]] == [
        b"tar",
        b"tar.zst",
        b"bin",
        b"tar.gz",
    ]
    # The suite looks at the ends of long listings.
    assert shown[0].startswith(b"000-")
    assert shown[-1].startswith(b"100-")


async def test_a_layer_that_is_listed_twice_has_two_names(ross: RossStore, images: Images) -> None:
    data = layer({"file": b""})
    for blob in (data, config([])):
        ross.put_blob(OCTET_STREAM, blob)
    digest = ross.put_manifest(manifest(config([]), [data, data]))
    shown = await links(await find(directory_of(images, digest), b"layers"))
    assert [name[:3] for name in shown] == [b"00-", b"01-"]
    assert len(set(shown.values())) == 1


async def test_a_foreign_layer_that_is_not_stored_is_a_link_to_nothing(
    ross: RossStore, images: Images, files: ContentFiles
) -> None:
    ross.put_blob(OCI_CONFIG, config([]))
    foreign = manifest(config([]), [b"elsewhere"], layer_types=[DOCKER_FOREIGN])
    directory = directory_of(images, ross.put_manifest(foreign))
    (target,) = (await links(await find(directory, b"layers"))).values()
    assert target.endswith(digest_of(b"elsewhere").hex.encode())
    assert files.glance(digest_of(b"elsewhere")) is None


async def test_an_artifact_without_json_config_shows_it_as_config(
    ross: RossStore, images: Images
) -> None:
    ross.put_blob(OCTET_STREAM, b"settings")
    ross.put_blob(OCTET_STREAM, b"a chart")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": descriptor(b"settings", "application/vnd.example.settings"),
        "layers": [descriptor(b"a chart", "application/vnd.example.chart")],
    }
    directory = directory_of(images, ross.put_manifest(compact(document)))
    assert set(await names(directory)) == {b"manifest.json", b"config", b"layers", b"archive"}
    assert await text((await children(directory))[b"config"]) == b"settings"


async def test_a_config_that_is_not_stored_is_absent_until_it_is(
    ross: RossStore, images: Images
) -> None:
    parts = image_parts()
    directory = directory_of(images, ross.put_manifest(parts.manifest))
    assert await find(directory, b"config.json") is None
    assert set(await names(directory)) == {b"manifest.json", b"layers", b"archive"}
    ross.put_blob(OCI_CONFIG, parts.config, meta=False)
    assert await text(await find(directory, b"config.json")) == parts.config
    expected = {b"manifest.json", b"config.json", b"layers", b"archive"}
    assert set(await names(directory)) == expected
    for blob in parts.layers:
        ross.put_blob(OCI_LAYER_GZIP, blob)
    assert set(await names(directory)) == expected | {b"rootfs"}


@pytest.mark.usefixtures("expects_warnings")
async def test_of_a_damaged_manifest_nothing_is_shown(
    ross: RossStore, images: Images, opened: Store
) -> None:
    stored = image(ross)
    path = ross.path(stored.manifest, "manifests")
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
    directory = directory_of(images, stored.manifest)
    for _ in range(2):
        with pytest.raises(Damaged) as raised:
            await directory.load()
        assert raised.value.errno == errno.EIO
    assert [digest for digest, _ in opened.verifier.damaged()] == [stored.manifest]


async def test_of_a_manifest_that_was_removed_nothing_is_shown(
    ross: RossStore, images: Images
) -> None:
    stored = image(ross)
    directory = directory_of(images, stored.manifest)
    ross.path(stored.manifest, "manifests").unlink()
    with pytest.raises(ManifestNotFound):
        await directory.load()


@pytest.mark.usefixtures("expects_warnings")
@pytest.mark.parametrize("data", [b"no JSON", b"{}", b'{"config": 1, "layers": []}', b"[]", b""])
async def test_bytes_that_are_no_manifest_are_shown_and_nothing_else(
    ross: RossStore, images: Images, data: bytes
) -> None:
    directory = directory_of(images, ross.put_manifest(data))
    shown = await children(directory)
    assert await names(directory) == [b"manifest.json"]
    assert await text(shown[b"manifest.json"]) == data


async def test_a_manifest_without_meta_is_shown_once_it_is_hashed(
    ross: RossStore, images: Images, files: ContentFiles
) -> None:
    parts = image_parts()
    digest = ross.put_manifest(parts.manifest, meta=False)
    await files.settle(digest)
    assert b"manifest.json" in await children(directory_of(images, digest))
