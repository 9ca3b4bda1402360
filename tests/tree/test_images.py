import errno
import os
import stat
from collections.abc import Mapping

import pytest

from rossfs.errors import Damaged, ManifestNotFound
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.images import ImageDirectory, Images
from rossfs.tree.node import FOREVER, Directory, File, Node, Symlink
from rossfs.tree.numbers import Numbers
from tests.builders import (
    CREATED,
    DOCKER_FOREIGN,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    compact,
    config,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    layer,
    manifest,
)
from tests.suites.directory_suite import (
    CALLER,
    ReadOnlyDirectorySuite,
    find,
    listed,
    refusal,
)

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64/v8")


@pytest.fixture
def images(opened: Store, files: ContentFiles, numbers: Numbers) -> Images:
    return Images(opened, files, numbers, AMD64)


def directory_of(images: Images, digest: Digest) -> ImageDirectory:
    found = images.find(digest)
    assert found is not None
    return found


async def children(directory: Directory) -> dict[bytes, Node]:
    """All names in it, and what they are."""
    found = {}
    for entry in await listed(directory):
        node = await find(directory, entry.name)
        assert node is not None
        found[entry.name] = node
    return found


async def text(node: Node | None) -> bytes:
    assert isinstance(node, File)
    handle = await node.open(os.O_RDONLY, CALLER)
    try:
        return bytes(await handle.read(0, 1 << 20))
    finally:
        await handle.release()


async def links(node: Node | None) -> Mapping[bytes, bytes]:
    assert isinstance(node, Directory)
    found = {}
    for name, link in (await children(node)).items():
        assert isinstance(link, Symlink)
        found[name] = link.target()
    return found


def two_platforms(ross: RossStore) -> tuple[Digest, dict[str, Digest]]:
    """An index of two stored images; the digest of each by architecture."""
    made = {name: image(ross, architecture=name) for name in ("amd64", "arm64")}
    offers = [(one.parts.manifest, f"linux/{name}") for name, one in made.items()]
    return ross.put_index(index(offers)), {name: one.manifest for name, one in made.items()}


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
    assert list(shown) == [b"manifest.json", b"config.json", b"layers"]
    assert await text(shown[b"manifest.json"]) == stored.parts.manifest
    assert await text(shown[b"config.json"]) == stored.parts.config
    assert await links(shown[b"layers"]) == {
        f"{number:02}-{digest.hex[:12]}.tar.gz".encode(): (
            f"../../../../blobs/sha256/{digest.hex}".encode()
        )
        for number, digest in enumerate(stored.layers)
    }


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
    shown = await children(directory_of(images, image(ross, docker=True).manifest))
    assert set(shown) == {b"manifest.json", b"config.json", b"layers"}
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
    names = list(await links(await find(directory_of(images, digest), b"layers")))
    assert names == sorted(names)
    assert [name.partition(b".")[2] for name in names[:4]] == [
        b"tar",
        b"tar.zst",
        b"bin",
        b"tar.gz",
    ]
    # The suite looks at the ends of long listings.
    assert names[0].startswith(b"000-")
    assert names[-1].startswith(b"100-")


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
    shown = await children(directory_of(images, ross.put_manifest(compact(document))))
    assert set(shown) == {b"manifest.json", b"config", b"layers"}
    assert await text(shown[b"config"]) == b"settings"


async def test_a_config_that_is_not_stored_is_absent_until_it_is(
    ross: RossStore, images: Images
) -> None:
    parts = image_parts()
    directory = directory_of(images, ross.put_manifest(parts.manifest))
    assert await find(directory, b"config.json") is None
    assert set(await children(directory)) == {b"manifest.json", b"layers"}
    ross.put_blob(OCI_CONFIG, parts.config, meta=False)
    assert await text(await find(directory, b"config.json")) == parts.config
    assert set(await children(directory)) == {b"manifest.json", b"config.json", b"layers"}


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
    shown = await children(directory_of(images, ross.put_manifest(data)))
    assert set(shown) == {b"manifest.json"}
    assert await text(shown[b"manifest.json"]) == data


async def test_a_manifest_without_meta_is_shown_once_it_is_hashed(
    ross: RossStore, images: Images, files: ContentFiles
) -> None:
    parts = image_parts()
    digest = ross.put_manifest(parts.manifest, meta=False)
    await files.settle(digest)
    assert b"manifest.json" in await children(directory_of(images, digest))


# An index


async def test_an_index_shows_itself_its_platforms_and_the_image_for_this_one(
    ross: RossStore, images: Images
) -> None:
    digest, by_architecture = two_platforms(ross)
    shown = await children(directory_of(images, digest))
    assert set(shown) == {b"index.json", b"platforms", b"manifest.json", b"config.json", b"layers"}
    assert digest_of(await text(shown[b"index.json"])) == digest
    assert digest_of(await text(shown[b"manifest.json"])) == by_architecture["amd64"]
    assert await links(shown[b"platforms"]) == {
        f"linux-{name}".encode(): f"../../{one.hex}".encode()
        for name, one in by_architecture.items()
    }


async def test_another_platform_can_be_chosen(
    ross: RossStore, opened: Store, files: ContentFiles, numbers: Numbers
) -> None:
    digest, by_architecture = two_platforms(ross)
    shown = await children(directory_of(Images(opened, files, numbers, ARM64), digest))
    assert digest_of(await text(shown[b"manifest.json"])) == by_architecture["arm64"]


async def test_a_list_that_ross_filed_as_a_manifest_is_an_index(
    ross: RossStore, images: Images
) -> None:
    data = index([(image(ross).parts.manifest, "linux/amd64")])
    shown = await children(directory_of(images, ross.put_manifest(data, OCI_INDEX)))
    assert {b"index.json", b"manifest.json"} <= set(shown)


async def test_an_index_without_this_platform_shows_no_image(
    ross: RossStore, images: Images
) -> None:
    other = image(ross, architecture="s390x")
    digest = ross.put_index(index([(other.parts.manifest, "linux/s390x")]))
    directory = directory_of(images, digest)
    assert set(await children(directory)) == {b"index.json", b"platforms"}
    assert await find(directory, b"manifest.json") is None


@pytest.mark.parametrize("meta", [True, False])
async def test_a_platform_that_is_not_stored_appears_when_it_is(
    ross: RossStore, images: Images, meta: bool
) -> None:
    parts = image_parts()
    digest = ross.put_index(index([(parts.manifest, "linux/amd64")]))
    directory = directory_of(images, digest)
    assert set(await children(directory)) == {b"index.json", b"platforms"}
    assert await find(directory, b"manifest.json") is None
    assert await links(await find(directory, b"platforms")) == {
        b"linux-amd64": f"../../{parts.digest.hex}".encode()
    }
    ross.put_manifest(parts.manifest, meta=meta)
    assert await text(await find(directory, b"manifest.json")) == parts.manifest
    assert b"layers" in await children(directory)


async def test_an_index_in_an_index_is_followed(ross: RossStore, images: Images) -> None:
    inner, by_architecture = two_platforms(ross)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(ross.path(inner, "indexes").read_bytes(), OCI_INDEX)],
    }
    directory = directory_of(images, ross.put_index(compact(document)))
    shown = await children(directory)
    assert digest_of(await text(shown[b"manifest.json"])) == by_architecture["amd64"]
    assert await links(shown[b"platforms"]) == {
        inner.hex[:12].encode(): f"../../{inner.hex}".encode()
    }


@pytest.mark.usefixtures("expects_warnings")
async def test_a_damaged_platform_leaves_the_index_usable(ross: RossStore, images: Images) -> None:
    digest, by_architecture = two_platforms(ross)
    path = ross.path(by_architecture["amd64"], "manifests")
    path.write_bytes(path.read_bytes() + b" ")
    assert set(await children(directory_of(images, digest))) == {b"index.json", b"platforms"}


async def test_content_of_images_is_content_files(ross: RossStore, images: Images) -> None:
    shown = await children(directory_of(images, image(ross).manifest))
    assert isinstance(shown[b"manifest.json"], ContentFile)


async def test_whoever_follows_a_tag_by_mistake_finds_the_way_in_the_log(
    ross: RossStore, images: Images, caplog: pytest.LogCaptureFixture
) -> None:
    directory = directory_of(images, image(ross).manifest)
    with caplog.at_level("INFO", "rossfs.tree"):
        made = directory.create(b"m.json", 0o644, os.O_WRONLY, CALLER)
        assert await refusal(made) == errno.EROFS
        assert await refusal(directory.symlink(b"hex", b"sha256/hex", CALLER)) == errno.EROFS
    assert len(caplog.records) == 2
    assert "ln -sfn" in caplog.text
