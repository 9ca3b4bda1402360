import pytest

from rossfs.errors import Damaged, InvalidDocument, ManifestNotFound
from rossfs.image.resolve import DEPTH, choose, read, resolve
from rossfs.oci.digest import Digest
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from tests.builders import (
    OCI_INDEX,
    OCI_MANIFEST,
    RossStore,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    ross_store,
)

AMD64 = Platform.parse("linux/amd64")
S390X = Platform.parse("linux/s390x")


@pytest.fixture
def ross(tmp_path: object) -> RossStore:
    return ross_store(f"{tmp_path}/ross")


@pytest.fixture
def store(ross: RossStore) -> Store:
    return Store.open(str(ross.root), read_only=True)


def nested(ross: RossStore, depth: int) -> Digest:
    """An image below *depth* indexes."""
    data, kind = image(ross).parts.manifest, OCI_MANIFEST
    for _ in range(depth):
        data = compact(
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(data, kind)]}
        )
        kind = OCI_INDEX
        ross.put_index(data)
    return digest_of(data)


def test_a_manifest_means_itself_on_every_platform(ross: RossStore, store: Store) -> None:
    stored = image(ross)
    for platform in (AMD64, S390X):
        found = resolve(store, stored.manifest, platform)
        assert found.digest == stored.manifest
        assert found.data == stored.parts.manifest
        assert found.media_type == OCI_MANIFEST
        assert [layer.digest for layer in found.manifest.layers] == list(stored.layers)


def test_an_index_means_the_manifest_for_the_platform(ross: RossStore, store: Store) -> None:
    offers = {name: image(ross, architecture=name) for name in ("s390x", "amd64")}
    digest = ross.put_index(
        index([(one.parts.manifest, f"linux/{name}") for name, one in offers.items()])
    )
    assert resolve(store, digest, AMD64).digest == offers["amd64"].manifest
    assert resolve(store, digest, S390X).digest == offers["s390x"].manifest
    assert isinstance(read(store, digest).value, Index)
    assert isinstance(read(store, offers["amd64"].manifest).value, Manifest)


def test_without_a_manifest_for_the_platform_the_error_names_it(
    ross: RossStore, store: Store
) -> None:
    digest = ross.put_index(index([(image(ross).parts.manifest, "linux/amd64")]))
    with pytest.raises(ManifestNotFound, match="linux/s390x"):
        resolve(store, digest, S390X)
    assert choose(store, read(store, digest), S390X) == (None, None)


def test_a_chosen_manifest_that_is_not_stored_is_named(ross: RossStore, store: Store) -> None:
    parts = image_parts("absent")
    digest = ross.put_index(index([(parts.manifest, "linux/amd64")]))
    with pytest.raises(ManifestNotFound, match=parts.digest.hex):
        resolve(store, digest, AMD64)
    assert choose(store, read(store, digest), AMD64) == (None, parts.digest)


def test_indexes_within_indexes_are_followed_so_far(ross: RossStore, store: Store) -> None:
    assert resolve(store, nested(ross, DEPTH - 1), AMD64).media_type == OCI_MANIFEST
    with pytest.raises(ManifestNotFound):
        resolve(store, nested(ross, DEPTH), AMD64)


def test_what_is_not_stored_or_not_right_is_refused(ross: RossStore, store: Store) -> None:
    with pytest.raises(ManifestNotFound):
        resolve(store, digest_of(b"absent"), AMD64)
    with pytest.raises(InvalidDocument):
        resolve(store, ross.put_manifest(b"no JSON"), AMD64)
    digest = image(ross).manifest
    ross.path(digest, "manifests").write_bytes(b"{}")
    with pytest.raises(Damaged):
        resolve(store, digest, AMD64)
