"""Opening an image: what belongs together, and what does not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from rossfs.errors import (
    BlobNotFound,
    DiffIdMismatch,
    InvalidDocument,
    InvalidLayer,
    UsageError,
)
from rossfs.image import opened
from rossfs.image.layers import Layers
from rossfs.image.merged import Merged
from rossfs.image.opened import OpenedImage, open_rootfs
from rossfs.image.resolve import resolve
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from tests import builders
from tests.builders import digest_of
from tests.image.layering import cache_of
from tests.stacking import layer, member, stack

BOTTOM, TOP = layer(member("a", b"1")), layer(member("b", b"2"))


@pytest.fixture
def layers(store: Store) -> Iterator[Layers]:
    made = Layers(store, cache_of(store))
    yield made
    made.close()


def open_image(store: Store, layers: Layers, digest: Digest) -> OpenedImage:
    return open_rootfs(store, layers, resolve(store, digest, Platform.host()))


def test_an_image_has_its_layers_their_history_and_one_tree(store: Store, layers: Layers) -> None:
    steps: list[dict[str, object]] = [
        {"created_by": "bottom"},
        {"created_by": "empty", "empty_layer": True},
        {"created_by": "top"},
    ]
    image = open_image(store, layers, stack(store, [BOTTOM, TOP], history=steps))
    assert [each.digest for each in image.layers] == [digest_of(BOTTOM), digest_of(TOP)]
    assert [step.created_by for step in image.history if step] == ["bottom", "top"]
    assert [name for name, _ in image.rootfs.entries(image.rootfs.root)] == [b"a", b"b"]
    assert image.layers[0] is layers.open(digest_of(BOTTOM))


def test_a_layer_that_is_named_twice_is_there_twice(store: Store, layers: Layers) -> None:
    image = open_image(store, layers, stack(store, [BOTTOM, TOP, BOTTOM]))
    assert image.layers[0] is image.layers[2]
    place = image.rootfs.resolve(b"/a")
    assert not isinstance(place, Merged)
    assert place.position == 2


def test_an_image_may_have_no_layers(store: Store, layers: Layers) -> None:
    image = open_image(store, layers, stack(store, []))
    assert len(image.rootfs.entries(image.rootfs.root)) == 0


def test_config_and_layers_must_belong_together(store: Store, layers: Layers) -> None:
    ids = [str(digest_of(gzip.decompress(each))) for each in (BOTTOM, TOP)]
    for wrong, told in (
        (ids[:1], "2 layers, but its config has 1 diff ID"),
        ([*ids, ids[0]], "2 layers, but its config has 3 diff IDs"),
        ([ids[1], ids[0]], ids[1]),
        ([ids[0], str(digest_of(TOP))], str(digest_of(TOP))),
    ):
        digest = stack(store, [BOTTOM, TOP], diff_ids=wrong)
        with pytest.raises(DiffIdMismatch, match=told):
            open_image(store, layers, digest)


def test_a_diff_id_may_be_of_another_algorithm(store: Store, layers: Layers) -> None:
    ids = [str(digest_of(gzip.decompress(BOTTOM), "sha512"))]
    assert open_image(store, layers, stack(store, [BOTTOM], diff_ids=ids)).layers
    with pytest.raises(DiffIdMismatch):
        open_image(store, layers, stack(store, [TOP], diff_ids=ids))


def test_more_layers_than_can_be_numbered_are_refused(store: Store, layers: Layers) -> None:
    image = open_image(store, layers, stack(store, [BOTTOM] * opened.MAX_LAYERS))
    assert len(image.layers) == 1023
    with pytest.raises(InvalidLayer, match="1024 layers"):
        open_image(store, layers, stack(store, [BOTTOM] * 1024))


def test_more_entries_than_can_be_numbered_are_refused(
    store: Store, layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = stack(store, [layer(*(member(str(number)) for number in range(7)))])
    monkeypatch.setattr(opened, "MAX_RECORDS", 8)
    open_image(store, layers, digest)
    monkeypatch.setattr(opened, "MAX_RECORDS", 7)
    with pytest.raises(InvalidLayer, match="more than 7 entries"):
        open_image(store, layers, digest)


def test_what_is_no_image_has_no_files(store: Store, layers: Layers) -> None:
    for data in (b"{}", b"a statement"):
        store.put_blob(None, data)
    manifest = builders.manifest(b"{}", [b"a statement"], layer_types=["application/x.statement"])
    digest, _ = store.put_manifest(manifest, OCI_MANIFEST)
    with pytest.raises(UsageError, match="no image"):
        open_image(store, layers, digest)


def test_a_foreign_layer_may_be_missing(store: Store, layers: Layers) -> None:
    digest = stack(store, [BOTTOM, TOP], absent=1)
    with pytest.raises(BlobNotFound, match=digest_of(TOP).hex):
        open_image(store, layers, digest)


def test_what_is_no_layer_is_told_each_time(store: Store, layers: Layers) -> None:
    broken = gzip.compress(b"no archive" * 200, mtime=0)
    digest = stack(store, [BOTTOM, broken])
    for _ in range(2):
        with pytest.raises(InvalidLayer, match=digest_of(broken).hex):
            open_image(store, layers, digest)


def test_a_config_must_be_one_and_of_bounded_length(store: Store, layers: Layers) -> None:
    store.put_blob(OCI_LAYER_GZIP, BOTTOM)
    for config, told in ((b"[]", "config"), (b"{" + b" " * (4 << 20) + b"}", "too long")):
        store.put_blob(OCI_CONFIG, config)
        digest, _ = store.put_manifest(builders.manifest(config, [BOTTOM]), OCI_MANIFEST)
        with pytest.raises(InvalidDocument, match=told):
            open_image(store, layers, digest)
