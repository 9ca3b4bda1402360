"""als/: layers as containers/storage looks for them."""

from __future__ import annotations

import base64
import logging
import stat

import pytest

from rossfs.errors import Damaged, InvalidLayer, RossfsError
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.als import AdditionalLayers
from rossfs.tree.contentfile import ContentFile
from rossfs.tree.node import Directory, Symlink
from tests.builders import OCI_CONFIG, digest_of
from tests.layers import image_of
from tests.suites.directory_suite import DirectorySuite, find, listed
from tests.tree.alslooking import info, name_of, place, use
from tests.tree.browsing import bottom, harm


class TestAls(DirectorySuite):
    @pytest.fixture
    async def directory(self, store: Store, als: AdditionalLayers, layer: Digest) -> Directory:
        await use(als, layer)
        return als


class TestUnusedAls(DirectorySuite):
    empty = True

    @pytest.fixture
    async def directory(self, als: AdditionalLayers, layer: Digest) -> Directory:
        return als


class TestOneLayer(DirectorySuite):
    @pytest.fixture
    async def directory(self, als: AdditionalLayers, layer: Digest) -> Directory:
        return await place(als, layer)


async def test_a_layer_has_its_files_its_description_and_its_bytes(
    als: AdditionalLayers, layer: Digest
) -> None:
    directory = await place(als, layer)
    assert {entry.name for entry in await listed(directory)} == {b"diff", b"info", b"blob"}
    diff = await find(directory, b"diff")
    assert isinstance(diff, Directory)
    assert diff.parent_ino() == directory.ino
    names = {entry.name: entry.kind for entry in await listed(diff)}
    assert names[b"gone"] == stat.S_IFCHR
    assert b".wh.gone" not in names
    blob = await find(directory, b"blob")
    assert isinstance(blob, ContentFile)
    assert blob.digest == layer
    assert (await info(directory))["compressed-diff-digest"] == str(layer)


async def test_what_is_not_stored_is_absent_and_opens_nothing(
    store: Store, als: AdditionalLayers
) -> None:
    for digest in (digest_of(b"x"), digest_of(b"x", "sha512"), Digest("blake3", "0" * 64)):
        assert await find(als, name_of(digest)) is None
    assert await listed(als) == []
    assert list(store.uses.asked()) == []


async def test_a_manifest_is_no_layer(store: Store, als: AdditionalLayers) -> None:
    assert await find(als, name_of(image_of(bottom()).put(store))) is None


async def test_a_layer_that_comes_later_is_found(store: Store, als: AdditionalLayers) -> None:
    built = image_of(bottom())
    (digest,) = built.layers
    assert await find(als, name_of(digest)) is None
    built.put(store)
    assert await find(als, name_of(digest)) is not None


# Names


def base64_of(reference: str) -> bytes:
    return base64.b64encode(reference.encode())


@pytest.mark.parametrize(
    "reference",
    [
        "localhost:5077/ross/als:v1",
        "docker.io/library/debian:latest",
        "quay.io/a/b@sha256:" + "0" * 64,
    ],
)
async def test_a_reference_leads_back_here(als: AdditionalLayers, reference: str) -> None:
    found = await find(als, base64_of(reference))
    assert isinstance(found, Symlink)
    assert found.target() == b"."
    again = await find(als, base64_of(reference))
    assert again is not None
    assert again.ino == found.ino


@pytest.mark.parametrize(
    "name",
    [
        b"latest",
        b"AAAA",
        base64_of("debian"),
        base64_of("docker.io/library/debian"),
        base64_of("docker.io/library/debian:latest\n"),
        base64_of("docker.io/library/debian:latest") + b"=",
        base64_of("docker.io/library/debian:latest")[:-1],
        base64_of("docker.io/lib\xe9:latest"),
    ],
)
async def test_what_is_no_reference_is_absent(als: AdditionalLayers, name: bytes) -> None:
    assert await find(als, name) is None


# What is no layer


async def test_what_is_no_layer_is_an_error_and_podman_pulls_it(
    store: Store, als: AdditionalLayers, expects_warnings: list[logging.LogRecord]
) -> None:
    digest, _ = store.put_blob(OCI_CONFIG, b'{"no": "layer"}' * 100)
    directory = await place(als, digest)
    with pytest.raises(RossfsError) as caught:
        await find(directory, b"diff")
    assert isinstance(caught.value, InvalidLayer)
    assert str(digest) in expects_warnings[-1].getMessage()


@pytest.mark.damages_store
async def test_a_damaged_layer_is_not_described(
    store: Store, als: AdditionalLayers, layer: Digest, expects_warnings: list[logging.LogRecord]
) -> None:
    harm(store, layer)
    with pytest.raises((Damaged, InvalidLayer)):
        await info(await place(als, layer))
    assert expects_warnings
