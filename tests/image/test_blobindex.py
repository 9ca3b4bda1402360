import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged
from rossfs.image.blobindex import IndexingProgress, Indexings, index_blob
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import OCI_LAYER, RossStore, digest_of, layer
from tests.image.layering import cache_of, cached, put

BLOB = layer({"etc": None, "etc/motd": b"hello\n" * 1000})


def path_of(store: Store, digest: Digest) -> Path:
    return Path(store.paths.root) / "blobs/sha256" / digest.hex


def close(made: dict[str, int]) -> set[str]:
    for fd in made.values():
        os.close(fd)
    return set(made)


def once(change: Callable[[], object]) -> Callable[[IndexingProgress], None]:
    """Does *change* just before the blob is read for the first time."""
    done: list[object] = []

    def told(progress: IndexingProgress) -> None:
        if not done:
            done.append(change())

    return told


def test_the_tables_come_as_descriptors_and_stay_in_the_cache(store: Store) -> None:
    digest = put(store, BLOB)
    assert close(index_blob(store, cache_of(store), digest)) == {"toc", "points"}
    assert cached(cache_of(store)) == {f"{digest.hex}.toc", f"{digest.hex}.points"}


def test_what_is_not_stored_is_not_found(store: Store) -> None:
    with pytest.raises(BlobNotFound):
        index_blob(store, cache_of(store), digest_of(b"elsewhere"))


def test_what_was_hashed_for_its_tables_is_known_to_be_right(store: Store) -> None:
    digest = RossStore(Path(store.paths.root)).put_blob(OCI_LAYER, BLOB)
    content = store.contents.find(digest)
    assert content is not None
    assert store.verifier.needs_check(content)
    close(index_blob(store, cache_of(store), digest))
    assert not store.verifier.needs_check(content)


@pytest.mark.damages_store
def test_nothing_is_derived_of_wrong_bytes_whoever_vouched_for_them(store: Store) -> None:
    digest = put(store, BLOB)
    path = path_of(store, digest)
    sealed = path.stat().st_mtime_ns
    path.write_bytes(layer({"other": b"1"}))
    os.utime(path, ns=(sealed, sealed))
    with pytest.raises(Damaged, match=digest.hex):
        index_blob(store, cache_of(store), digest)
    assert cached(cache_of(store)) == set()
    assert [found for found, _ in store.verifier.damaged()] == [digest]


@pytest.mark.damages_store
def test_a_blob_that_is_changed_while_it_is_read_is_read_again(store: Store) -> None:
    digest = put(store, BLOB)
    path = path_of(store, digest)
    told = once(lambda: path.write_bytes(layer({"other": b"1"})))
    with pytest.raises(Damaged, match="hash to"):
        index_blob(store, cache_of(store), digest, told)
    assert cached(cache_of(store)) == set()


@pytest.mark.damages_store
def test_a_blob_that_changes_all_the_time_is_damaged(store: Store) -> None:
    digest = put(store, BLOB)
    path = path_of(store, digest)
    number = 0

    def told(progress: IndexingProgress) -> None:
        nonlocal number
        number += 1
        path.write_bytes(b"%d" % number)

    with pytest.raises(Damaged, match="changed while it was read"):
        index_blob(store, cache_of(store), digest, told)
    assert cached(cache_of(store)) == set()


@pytest.mark.damages_store
def test_a_blob_that_gets_another_time_while_it_is_read_is_right(store: Store) -> None:
    digest = put(store, BLOB)
    told = once(lambda: os.utime(path_of(store, digest)))
    assert close(index_blob(store, cache_of(store), digest, told)) == {"toc", "points"}


def test_what_is_under_way_is_listed_until_it_ends(store: Store) -> None:
    digest = put(store, BLOB)
    seen: list[list[IndexingProgress]] = []
    indexings = Indexings(store, cache_of(store), lambda _: seen.append(indexings.progress()))
    close(indexings.make(digest))
    assert [[progress.digest for progress in each] for each in seen] == [[digest]] * len(seen)
    assert [each[0].done for each in seen] == [0, len(BLOB)]
    assert indexings.progress() == []
    with pytest.raises(BlobNotFound):
        indexings.make(digest_of(b"elsewhere"))
    assert indexings.progress() == []
