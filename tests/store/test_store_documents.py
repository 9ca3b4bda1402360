"""Manifests and indexes through the store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import (
    Damaged,
    InvalidDocument,
    ManifestNotFound,
    MissingContent,
    UsageError,
)
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
    image,
    image_parts,
    index,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(str(tmp_path / "store")) as store:
        yield store


@pytest.mark.parametrize("docker", [False, True])
def test_a_manifest_comes_back(store: Store, docker: bool) -> None:
    parts = image_parts(docker=docker)
    stored = image(store, docker=docker)
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    assert store.get_manifest(stored.manifest) == (parts.manifest, media_type)
    assert list(store.list_manifests()) == [stored.manifest]
    assert list(store.list_indexes()) == []
    assert stored.manifest not in set(store.list_blobs())
    assert store.get_blob(stored.manifest) == parts.manifest


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_comes_back(store: Store, docker: bool) -> None:
    data = index([(image_parts().manifest, "linux/amd64")], docker=docker)
    media_type = DOCKER_LIST if docker else OCI_INDEX
    digest, size = store.put_index(data, media_type)
    assert (digest, size) == (digest_of(data), len(data))
    assert store.get_index(digest) == store.get_manifest(digest) == (data, media_type)
    assert list(store.list_indexes()) == [digest]
    assert list(store.list_manifests()) == []


def test_an_index_put_as_manifest_is_an_index(store: Store) -> None:
    digest, _ = store.put_manifest(index([]), OCI_INDEX)
    assert list(store.list_indexes()) == [digest]


def test_a_manifest_is_no_index(store: Store) -> None:
    stored = image(store)
    with pytest.raises(ManifestNotFound):
        store.get_index(stored.manifest)
    with pytest.raises(UsageError, match="no media type of a stored index"):
        store.put_index(stored.parts.manifest, OCI_MANIFEST)
    assert not store.delete_index(stored.manifest)


def test_the_media_type_of_a_manifest_may_be_left_out(store: Store) -> None:
    stored = image(store)
    assert store.put_manifest(stored.parts.manifest, "")[0] == stored.manifest
    with pytest.raises(UsageError):
        store.put_manifest(b"{}", "")


def test_a_manifest_whose_layers_are_missing_is_refused(store: Store) -> None:
    parts = image_parts()
    store.put_blob(OCI_CONFIG, parts.config)
    with pytest.raises(MissingContent, match=str(digest_of(parts.layers[0]))):
        store.put_manifest(parts.manifest, OCI_MANIFEST)
    assert list(store.list_manifests()) == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"layers":7}', b"\xff", b"[" * 100000])
def test_what_is_no_manifest_is_refused(store: Store, data: bytes) -> None:
    for put, media_type in ((store.put_manifest, OCI_MANIFEST), (store.put_index, OCI_INDEX)):
        with pytest.raises(InvalidDocument):
            put(data, media_type)
    assert list(store.contents.everything()) == []


def test_an_empty_object_is_no_manifest(store: Store) -> None:
    with pytest.raises(InvalidDocument):
        store.put_manifest(b"{}", OCI_MANIFEST)


def test_a_blob_that_was_removed_is_missed_by_a_stored_manifest_only_when_put_again(
    store: Store,
) -> None:
    stored = image(store)
    assert store.delete_blob(stored.layers[0])
    assert store.get_manifest(stored.manifest)[0] == stored.parts.manifest
    with pytest.raises(MissingContent):
        store.put_manifest(stored.parts.manifest, OCI_MANIFEST)


def test_a_deleted_index_is_gone_from_manifests_too(store: Store) -> None:
    digest, _ = store.put_index(index([]), OCI_INDEX)
    assert store.delete_index(digest)
    assert list(store.contents.everything()) == []
    assert os.listdir(store.paths.area(Area.MANIFESTS)) == []


def test_delete_manifest_takes_indexes_too(store: Store) -> None:
    stored = image(store)
    digest, _ = store.put_index(index([]), OCI_INDEX)
    assert store.delete_manifest(digest)
    assert store.delete_manifest(stored.manifest)
    assert not store.delete_manifest(stored.manifest)


def test_a_damaged_manifest_is_never_returned(store: Store) -> None:
    stored = image(store)
    path = Path(store.paths.content(Area.MANIFESTS, stored.manifest))
    path.write_bytes(stored.parts.manifest.replace(b"2", b"3", 1))
    with pytest.raises(Damaged):
        store.get_manifest(stored.manifest)
