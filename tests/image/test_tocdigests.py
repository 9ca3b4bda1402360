import os
import time
from pathlib import Path

import pytest

from rossfs.image.tocdigests import ESTARGZ, ZSTD_CHUNKED, TocDigests, toc_of
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.mediatype import OCI_LAYER_GZIP
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import digest_of, image_parts
from tests.image.chunked import estargz, put, zstd_chunked
from tests.layers import Layer

ONE, TWO = digest_of(b"one"), digest_of(b"two")


def described(**annotations: str) -> Descriptor:
    return Descriptor(OCI_LAYER_GZIP, ONE, 1, None, annotations)


def test_either_annotation_names_a_table() -> None:
    assert toc_of(described(**{ESTARGZ: str(TWO)})) == TWO
    assert toc_of(described(**{ZSTD_CHUNKED: str(TWO), "x": "y"})) == TWO


def test_both_or_none_or_nonsense_name_none() -> None:
    assert toc_of(described()) is None
    assert toc_of(described(**{ESTARGZ: str(TWO), ZSTD_CHUNKED: str(TWO)})) is None
    assert toc_of(described(**{ESTARGZ: "sha256:x"})) is None


def test_layers_are_found_by_what_manifests_say(store: Store) -> None:
    gzip = estargz(Layer().file("a", b"a"))
    zstd = zstd_chunked(Layer().file("b", b"b"))
    put(store, gzip, zstd)
    index = TocDigests(store.paths)
    assert index.layers(gzip.toc) == []
    index.refresh()
    assert index.layers(gzip.toc) == [gzip.digest]
    assert index.layers(zstd.toc) == [zstd.digest]
    assert index.layers(ONE) == []


def test_several_may_claim_one_table(store: Store) -> None:
    true = estargz(Layer().file("a", b"a"))
    false = estargz(Layer().file("a", b"b"))._replace(toc=true.toc)
    put(store, true)
    put(store, false)
    put(store, false, true)
    index = TocDigests(store.paths)
    index.refresh()
    assert set(index.layers(true.toc)) == {true.digest, false.digest}
    assert len(index.layers(true.toc)) == 2


def test_manifests_that_come_later_are_noticed(store: Store) -> None:
    index = TocDigests(store.paths)
    index.refresh()
    directory = store.paths.area(Area.MANIFESTS)
    os.utime(directory, (time.time() - 10,) * 2)
    index.refresh()
    assert index.is_current()
    chunked = estargz(Layer().file("a", b"a"))
    put(store, chunked)
    assert not index.is_current()
    index.refresh()
    assert index.layers(chunked.toc) == [chunked.digest]
    # What changed a moment ago may change again without showing it.
    assert not index.is_current()
    os.utime(directory, (time.time() - 10,) * 2)
    index.refresh()
    assert index.is_current()


@pytest.mark.damages_store
def test_damaged_manifests_and_others_are_passed_over(store: Store) -> None:
    chunked = estargz(Layer().file("a", b"a"))
    digest = put(store, chunked)
    parts = image_parts("plain")
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    store.put_manifest(parts.manifest, parts.media_type)
    path = Path(store.paths.content(Area.MANIFESTS, digest))
    path.write_bytes(path.read_bytes() + b" ")
    index = TocDigests(store.paths)
    index.refresh()
    assert index.layers(chunked.toc) == []


def test_an_empty_store_is_no_error(tmp_path: Path) -> None:
    with Store.create(str(tmp_path / "empty")) as empty:
        os.rmdir(empty.paths.area(Area.MANIFESTS))
        index = TocDigests(empty.paths)
        index.refresh()
        assert index.is_current()
