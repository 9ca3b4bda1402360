"""`rossfs fsck`."""

from __future__ import annotations

import os

from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def damage(store: Store, digest: Digest) -> None:
    found = store.contents.find(digest)
    assert found is not None
    with open(found.path, "r+b") as file:
        file.write(b"damaged")


def test_a_store_that_is_right_says_no_more_than_that(rossfs: Rossfs, store: Store) -> None:
    builders.image(store, tag="library/app:v1")
    for options in ([], ["--fast"], ["app:v1"], ["--repair"]):
        ended = rossfs("fsck", *options)
        assert (ended.out, ended.err) == ("", "no damage\n")
    assert rossfs("fsck", "--json").json == []


def test_damage_is_a_line_and_status_4(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:v1")
    damage(store, image.layers[0])
    ended = rossfs("fsck", status=4)
    assert image.layers[0].hex in ended.out
    assert "damaged place" in ended.err
    assert rossfs("fsck", str(image.layers[1])).out == ""
    assert image.layers[0].hex in rossfs("fsck", str(image.layers[0]), status=4).out
    [finding] = rossfs("fsck", "--json", str(image.layers[0]), status=4).json
    assert finding["kind"] == "damaged"
    assert image.layers[0].hex in finding["where"]
    store.put_blob(builders.OCI_LAYER_GZIP, image.parts.layers[0])
    rossfs("fsck")


def test_repair_rebuilds_what_can_be_rebuilt(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:v1")
    found = store.contents.find(image.layers[0])
    assert found is not None
    os.unlink(f"{found.path}.meta")
    assert rossfs("fsck", "--repair").out.count("\n") == 1
    assert rossfs("fsck").out == ""


def test_repair_moves_damaged_content_aside(rossfs: Rossfs, store: Store) -> None:
    digest, _ = store.put_blob(None, b"content that nothing needs")
    damage(store, digest)
    before = os.listdir(f"{store.paths.root}/blobs/sha256")
    assert digest.hex in rossfs("fsck", status=4).out
    assert os.listdir(f"{store.paths.root}/blobs/sha256") == before
    assert "quarantine" in rossfs("fsck", "--repair").out
    assert rossfs("fsck").out == ""
