"""`rossfs rm`."""

from __future__ import annotations

from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def test_what_nothing_needs_is_removed(rossfs: Rossfs, store: Store) -> None:
    one, two = (store.put_blob(None, data)[0] for data in (b"1", b"2"))
    rossfs("rm", str(one), two.hex)
    assert not list(store.list_blobs())


def test_what_is_needed_stays_and_the_error_says_by_whom(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:v1")
    assert f"manifest {image.manifest}" in rossfs("rm", str(image.layers[0]), status=5).err
    assert "tag library/app:v1" in rossfs("rm", str(image.manifest), status=5).err
    rossfs("untag", "app:v1")
    rossfs("rm", str(image.manifest), str(image.layers[0]), str(image.config))
    assert list(store.list_blobs()) == [image.layers[1]]


def test_what_a_name_in_incoming_leads_to_stays(rossfs: Rossfs, store: Store) -> None:
    digest, _ = store.put_blob(None, b"pinned")
    with store.access.writing():
        store.incoming.link(b"name", digest)
    assert 'name "incoming/name" needs it' in rossfs("rm", str(digest), status=5).err
    store.incoming.remove(b"name")
    rossfs("rm", str(digest))


def test_what_is_absent_is_an_error_unless_forced(rossfs: Rossfs) -> None:
    digest = "sha256:" + "0" * 64
    assert digest in rossfs("rm", digest, status=3).err
    rossfs("rm", "--force", digest)
