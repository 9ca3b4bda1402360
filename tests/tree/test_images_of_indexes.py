import errno
import os

import pytest

from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.images import Images
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.numbers import Numbers
from tests.builders import (
    OCI_INDEX,
    RossStore,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
)
from tests.suites.directory_suite import (
    CALLER,
    find,
    refusal,
)
from tests.tree.pictures import ARM64, children, directory_of, links, names, text, two_platforms

# An index


async def test_an_index_shows_itself_its_platforms_and_the_image_for_this_one(
    ross: RossStore, images: Images
) -> None:
    digest, by_architecture = two_platforms(ross)
    directory = directory_of(images, digest)
    shown = await children(directory)
    assert set(await names(directory)) == {
        b"index.json",
        b"platforms",
        b"manifest.json",
        b"config.json",
        b"layers",
        b"archive",
        b"rootfs",
    }
    assert digest_of(await text(shown[b"index.json"])) == digest
    assert digest_of(await text(shown[b"manifest.json"])) == by_architecture["amd64"]
    assert await links(shown[b"platforms"]) == {
        f"linux-{name}".encode(): f"../../{one.hex}".encode()
        for name, one in by_architecture.items()
    }


async def test_another_platform_can_be_chosen(
    ross: RossStore, opened: Store, files: ContentFiles, inside: ImageTrees, numbers: Numbers
) -> None:
    digest, by_architecture = two_platforms(ross)
    shown = await children(directory_of(Images(opened, files, inside, numbers, ARM64), digest))
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
    assert set(await names(directory)) == {b"index.json", b"platforms", b"archive"}
    assert await find(directory, b"manifest.json") is None


@pytest.mark.parametrize("meta", [True, False])
async def test_a_platform_that_is_not_stored_appears_when_it_is(
    ross: RossStore, images: Images, meta: bool
) -> None:
    parts = image_parts()
    digest = ross.put_index(index([(parts.manifest, "linux/amd64")]))
    directory = directory_of(images, digest)
    assert set(await names(directory)) == {b"index.json", b"platforms", b"archive"}
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
    assert set(await names(directory_of(images, digest))) == {
        b"index.json",
        b"platforms",
        b"archive",
    }


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
