import pytest

from rossfs.store.info import StoreInfo
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    digest_of,
    image,
    index,
)


def test_an_empty_store_has_nothing(opened: Store) -> None:
    assert opened.get_store_info() == StoreInfo(bytes=0, blobs=0, manifests=0, tags=0)


def test_content_and_tags_are_counted(ross: RossStore, opened: Store) -> None:
    parts = image(ross, "app", tag="library/app:v1").parts
    ross.set_tag("library/app", "latest", parts.digest)
    ross.set_tag("other", "v1", parts.digest)
    size = len(parts.manifest) + sum(len(data) for _, data in parts.blobs())
    assert opened.get_store_info() == StoreInfo(size, blobs=3, manifests=1, tags=3)


def test_an_index_is_counted_once_wherever_it_lies(ross: RossStore, opened: Store) -> None:
    linked = index([], annotations={"by": "rossfs"})
    opened.put_index(linked, OCI_INDEX)
    alone = index([], annotations={"by": "ross, in indexes"})
    ross.put_index(alone)
    filed = index([], docker=True)
    ross.put_manifest(filed, DOCKER_LIST)
    size = len(linked) + len(alone) + len(filed)
    assert opened.get_store_info() == StoreInfo(size, blobs=0, manifests=3, tags=0)


def test_content_of_sha512_counts(opened: Store) -> None:
    opened.put_blob(OCTET_STREAM, b"long", digest_of(b"long", "sha512"))
    assert opened.get_store_info() == StoreInfo(4, blobs=1, manifests=0, tags=0)


def test_a_store_that_is_open_for_reading_is_counted(ross: RossStore) -> None:
    ross.put_manifest(b"{}", OCI_MANIFEST)
    with Store.open(str(ross.root), read_only=True) as store:
        assert store.get_store_info() == StoreInfo(2, blobs=0, manifests=1, tags=0)


@pytest.mark.damages_store
def test_what_is_no_content_is_not_counted(ross: RossStore, opened: Store) -> None:
    (ross.root / "blobs/sha256/README").write_bytes(b"stray")
    (ross.root / "blobs/sha256" / ("b" * 64)).mkdir()
    (ross.root / "tags/a").mkdir()
    (ross.root / "tags/a/.swp").write_bytes(b"stray")
    assert opened.get_store_info() == StoreInfo(0, 0, 0, 0)
