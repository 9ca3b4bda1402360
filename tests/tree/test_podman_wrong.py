"""podman/ of a store in which images turn out to be wrong."""

from __future__ import annotations

import json
import logging

import pytest

from rossfs.errors import BlobNotFound, DiffIdMismatch, InvalidLayer
from rossfs.oci.digest import Digest
from rossfs.tree.node import File
from tests.builders import OCI_CONFIG, OCI_MANIFEST, digest_of, manifest
from tests.layers import Layer, image_of
from tests.tree.browsing import Browser, bottom, lose, middle
from tests.tree.browsing import top as upper
from tests.tree.podmanlooking import IMAGES, LAYERS, Podman


@pytest.fixture
def podman(browser: Browser) -> Podman:
    return Podman(browser)


@pytest.fixture
def stack(podman: Podman) -> Digest:
    """An image of three layers with everything in it."""
    return image_of(bottom(), middle(), upper()).put(podman.store, "lab/app:v1")


@pytest.mark.damages_store
@pytest.mark.expects_warnings
async def test_wrong_diff_ids_take_an_image_out(
    podman: Podman, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rossfs.tree")
    wrong = str(digest_of(b"something else"))
    image_of(Layer().file("a", b"1"), diff_ids=[wrong]).put(podman.store, "lab/wrong:v1")
    (layer,) = await podman.layers()
    with pytest.raises(DiffIdMismatch):
        await podman.at(b"overlay/%b/diff" % layer.encode())
    assert await podman.images() == {}
    assert await podman.images() == {}
    assert [line for line in caplog.messages if line.startswith("lab/wrong:v1 is not in podman/")]


@pytest.mark.damages_store
@pytest.mark.expects_warnings
async def test_what_is_no_layer_takes_an_image_out(podman: Podman) -> None:
    data = b"no tar at all" * 100
    image_of(data, packing="plain").put(podman.store, "lab/wrong:v1")
    (layer,) = await podman.layers()
    with pytest.raises(InvalidLayer):
        await podman.at(b"overlay/%b/diff" % layer.encode())
    assert await podman.images() == {}


@pytest.mark.damages_store
async def test_a_layer_that_went_takes_an_image_out(podman: Podman, stack: Digest) -> None:
    layers = await podman.layers()
    (shown,) = json.loads(await podman.read(IMAGES))
    assert shown["layer"] == layers[-1]
    first = json.loads(await podman.read(LAYERS))[0]["compressed-diff-digest"]
    lose(podman.store, Digest.parse(first))
    with pytest.raises(BlobNotFound):
        await podman.at(b"overlay/%b/diff" % layers[-1].encode())
    assert await podman.images() == {}


@pytest.mark.damages_store
@pytest.mark.expects_warnings
async def test_a_wrong_image_does_not_hide_a_right_one(podman: Podman) -> None:
    """Two manifests say that they have the same layer; the one that is tried first lies."""
    good = image_of(Layer().file("a", b"1"), packing="zstd")
    podman.store.put_blob(OCI_CONFIG, good.config)
    bad_blob = image_of(Layer().file("a", b"other")).blobs[0]
    good.put(podman.store, "lab/good:v1")
    podman.store.put_blob(None, bad_blob)
    bad = podman.store.put_manifest(manifest(good.config, [bad_blob]), OCI_MANIFEST)[0]
    podman.store.set_tag("lab/bad", "v1", bad)
    (layer,) = await podman.layers()
    with pytest.raises(DiffIdMismatch):
        await podman.at(b"overlay/%b/diff" % layer.encode())
    assert await podman.names() == ["docker.io/lab/good:v1", "localhost/lab/good:v1"]
    assert isinstance(await podman.at(b"overlay/%b/diff/a" % layer.encode()), File)
