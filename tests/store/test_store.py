import io
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import (
    BlobNotFound,
    Damaged,
    DigestMismatch,
    InvalidReference,
    ManifestNotFound,
    RangeError,
    ReadOnlyStore,
    StoreNotFound,
    TagNotFound,
)
from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.store import BlobInfo, Store
from tests.builders import (
    CREATED,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    compact,
    digest_of,
    image,
    index,
    ross_store,
)

BIG = random.Random(4).randbytes(5_000_001)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(str(tmp_path / "store")) as store:
        yield store


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


# Blobs


def test_a_blob_comes_back(store: Store) -> None:
    digest, size = store.put_blob(OCI_LAYER_GZIP, BIG)
    assert (digest, size) == (digest_of(BIG), len(BIG))
    assert store.get_blob(digest) == BIG
    assert list(store.list_blobs()) == [digest]
    info = store.stat_blob(digest)
    assert info is not None
    assert info[:3] == (digest, len(BIG), OCI_LAYER_GZIP)
    assert info.created_at == info.accessed_at > CREATED
    with store.open_blob(digest) as reader:
        assert b"".join(reader.chunks()) == BIG


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        [b"by", b"", b"tes"],
        (piece for piece in (b"byt", b"es")),
        io.BytesIO(b"bytes"),
        bytearray(b"bytes"),
        memoryview(b"bytes"),
    ],
    ids=["bytes", "list", "generator", "stream", "bytearray", "memoryview"],
)
def test_bytes_pieces_and_streams_are_stored(store: Store, data: bytes) -> None:
    assert store.put_blob(OCTET_STREAM, data) == (digest_of(b"bytes"), 5)


def test_a_stream_of_a_file_is_stored(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    with (tmp_path / "file").open("rb") as file:
        assert store.put_blob(None, file)[0] == digest_of(BIG)


def test_a_stream_that_fails_leaves_nothing(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield BIG
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put_blob(OCTET_STREAM, broken())
    assert list(store.list_blobs()) == []
    assert os.listdir(store.paths.scratch) == []


def test_a_range_is_read_as_ross_reads_it(store: Store) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"0123456789")
    assert store.get_blob(digest, 3, 4) == b"3456"
    assert store.get_blob(digest, 3) == b"3456789"
    assert store.get_blob(digest, 3, 0) == b"3456789"
    assert store.get_blob(digest, 3, -7) == b"3456789"
    assert store.get_blob(digest, 10) == b""
    for offset, length in ((11, -1), (10, 1), (0, 11), (-1, 2)):
        with pytest.raises(RangeError):
            store.get_blob(digest, offset, length)


def test_an_expected_digest_is_compared(store: Store) -> None:
    assert store.put_blob(None, b"blob", digest_of(b"blob")) == (digest_of(b"blob"), 4)
    sha512 = digest_of(b"blob", "sha512")
    assert store.put_blob(None, b"blob", sha512) == (sha512, 4)
    assert store.get_blob(sha512) == b"blob"
    with pytest.raises(DigestMismatch):
        store.put_blob(None, b"blob", digest_of(b"other"))
    assert set(store.list_blobs()) == {digest_of(b"blob"), sha512}


def test_what_is_absent_is_told_as_ross_tells_it(store: Store) -> None:
    absent = digest_of(b"absent")
    assert store.stat_blob(absent) is None
    assert not store.delete_blob(absent)
    assert not store.delete_manifest(absent)
    assert not store.delete_index(absent)
    assert not store.delete_tag("library/app", "none")
    with pytest.raises(BlobNotFound):
        store.get_blob(absent)
    with pytest.raises(BlobNotFound):
        store.open_blob(absent)
    with pytest.raises(ManifestNotFound, match=f"no manifest {absent}"):
        store.get_manifest(absent)
    with pytest.raises(ManifestNotFound, match=f"no index {absent}"):
        store.get_index(absent)
    with pytest.raises(TagNotFound):
        store.resolve_tag("library/app", "none")
    with pytest.raises(ManifestNotFound):
        store.set_tag("library/app", "latest", absent)


def test_a_deleted_blob_is_gone(store: Store) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"blob")
    assert store.delete_blob(digest)
    assert not store.delete_blob(digest)
    assert store.stat_blob(digest) is None
    assert os.listdir(store.paths.area(Area.BLOBS)) == []


def test_a_manifest_is_not_deleted_as_a_blob(store: Store) -> None:
    stored = image(store)
    assert not store.delete_blob(stored.manifest)
    assert store.get_manifest(stored.manifest)[0] == stored.parts.manifest


def test_damaged_bytes_are_never_returned(store: Store) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"right")
    Path(store.paths.content(Area.BLOBS, digest)).write_bytes(b"wrong")
    with pytest.raises(Damaged):
        store.get_blob(digest)
    with pytest.raises(Damaged):
        store.open_blob(digest)
    assert [one for one, _ in store.verifier.damaged()] == [digest]
    assert store.delete_blob(digest)


def test_a_blob_without_meta_is_listed_once_it_is_whole(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    whole = ross.put_blob(OCTET_STREAM, b"whole", meta=False)
    ross.path(digest_of(b"part")).write_bytes(b"par")
    with Store.open(str(tmp_path)) as store:
        assert list(store.list_blobs()) == [whole]
        assert store.stat_blob(whole) == BlobInfo(whole, 5, OCTET_STREAM, CREATED, CREATED)
        assert store.stat_blob(digest_of(b"part")) is None


# Tags


def test_a_tag_names_a_manifest(store: Store) -> None:
    first, second = image(store, "one"), image(store, "two")
    assert store.set_tag("library/app", "latest", first.manifest) is None
    assert store.set_tag("library/app", "latest", second.manifest) == first.manifest
    assert store.resolve_tag("library/app", "latest") == (second.manifest, OCI_MANIFEST)
    assert [(tag.tag, tag.digest) for tag in store.list_tags("library/app")] == [
        ("latest", second.manifest)
    ]
    assert store.list_repositories() == ["library/app"]
    assert store.delete_tag("library/app", "latest")
    assert not store.delete_tag("library/app", "latest")
    assert store.list_repositories() == []


def test_tags_are_listed_by_name(store: Store) -> None:
    stored = image(store)
    for repository in ("b/c", "a", "b"):
        for tag in ("2", "10", "1"):
            store.set_tag(repository, tag, stored.manifest)
    assert [tag.tag for tag in store.list_tags("b/c")] == ["1", "10", "2"]
    assert store.list_repositories() == ["a", "b", "b/c"]


def test_a_tag_whose_manifest_is_gone_is_not_resolved(store: Store) -> None:
    stored = image(store, tag="library/app:latest")
    store.delete_manifest(stored.manifest)
    with pytest.raises(ManifestNotFound):
        store.resolve_tag("library/app", "latest")


@pytest.mark.parametrize("tag", ["..", "", "a b", "\x1b", "a/b", "-a", "a" * 129])
def test_a_tag_outside_the_grammar_is_refused(store: Store, tag: str) -> None:
    stored = image(store)
    with pytest.raises(InvalidReference):
        store.set_tag("library/app", tag, stored.manifest)
    assert store.list_repositories() == []


# A store of Ross


def test_all_that_ross_stored_is_there(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    stored = image(ross, tag="library/app:latest")
    listed = ross.put_index(index([(stored.parts.manifest, "linux/amd64")]))
    before = files(tmp_path)
    with Store.open(str(tmp_path)) as store:
        assert store.resolve_tag("library/app", "latest") == (stored.manifest, OCI_MANIFEST)
        assert store.get_manifest(stored.manifest)[0] == stored.parts.manifest
        assert set(store.list_blobs()) == {stored.config, *stored.layers}
        assert list(store.list_manifests()) == [stored.manifest]
        assert list(store.list_indexes()) == [listed]
        for digest, data in zip(stored.layers, stored.parts.layers, strict=True):
            assert store.get_blob(digest) == data
        found = store.get_store_info()
        assert (found.blobs, found.manifests, found.tags) == (3, 2, 1)
    assert files(tmp_path) == before
    assert not (tmp_path / "format").exists()


def test_ross_can_read_what_rossfs_stored(store: Store) -> None:
    stored = image(store, tag="library/app:latest")
    root = Path(store.paths.root)
    # As Ross does it: the tag, the manifest by its digest, the .meta beside it, the blobs.
    tag = json.loads((root / "tags" / "library/app" / "latest").read_bytes())
    assert tag.keys() == {"digest_algorithm", "digest_hash", "updated_at"}
    path = root / "manifests" / tag["digest_algorithm"] / tag["digest_hash"]
    meta = json.loads(path.with_suffix(".meta").read_bytes())
    assert meta["media_type"] == OCI_MANIFEST
    manifest = json.loads(path.read_bytes())
    for needed in (manifest["config"], *manifest["layers"]):
        algorithm, _, encoded = needed["digest"].partition(":")
        blob = root / "blobs" / algorithm / encoded
        meta = json.loads(blob.with_suffix(".meta").read_bytes())
        assert meta["size"] == needed["size"] == blob.stat().st_size
        assert meta["media_type"] == needed["mediaType"]
    assert stored.manifest.hex == tag["digest_hash"]


# Collection


def test_collection_removes_what_nothing_needs(store: Store) -> None:
    stored = image(store, tag="library/app:latest")
    garbage, size = store.put_blob(OCTET_STREAM, b"garbage")
    planned = store.garbage_collect(dry_run=True)
    assert list(planned.digests) == [garbage]
    assert store.stat_blob(garbage) is not None
    collected = store.garbage_collect()
    assert (collected.blobs_removed, collected.manifests_removed) == (1, 0)
    assert collected.bytes_freed == size
    assert store.stat_blob(garbage) is None
    assert store.get_manifest(stored.manifest)[0] == stored.parts.manifest


def test_committing_again_counts_for_the_grace_period(store: Store) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"blob")
    path = store.paths.content(Area.BLOBS, digest)
    os.utime(path, (CREATED, CREATED))
    assert list(store.garbage_collect(dry_run=True, grace=3600).digests) == [digest]
    store.put_blob(OCTET_STREAM, b"blob")
    assert list(store.garbage_collect(dry_run=True, grace=3600).digests) == []
    assert list(store.garbage_collect(dry_run=True).digests) == [digest]


# Opening


def test_there_must_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        Store.open(str(tmp_path))


def test_a_store_open_for_reading_answers_and_changes_nothing(store: Store) -> None:
    stored = image(store, tag="library/app:latest")
    root = Path(store.paths.root)
    before = files(root)
    with Store.open(str(root), read_only=True) as reading:
        assert not reading.writable
        assert reading.get_manifest(stored.manifest)[0] == stored.parts.manifest
        for refused in (
            lambda: reading.put_blob(None, b"blob"),
            lambda: reading.delete_blob(stored.config),
            lambda: reading.delete_manifest(stored.manifest),
            lambda: reading.set_tag("library/app", "other", stored.manifest),
            lambda: reading.delete_tag("library/app", "latest"),
            lambda: reading.garbage_collect(),
        ):
            with pytest.raises(ReadOnlyStore):
                refused()
    assert files(root) == before


def test_digests_that_cannot_be_stored_are_absent(store: Store) -> None:
    blake3 = Digest("blake3", "0" * 64)
    assert store.stat_blob(blake3) is None
    assert not store.delete_blob(blake3)


def test_many_threads_may_use_one_store(store: Store) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(5):
                data = f"{number % 3} {round_}".encode() * 1000
                digest, _ = store.put_blob(None, data)
                assert store.get_blob(digest) == data
                stored = image(store, f"app{number % 2}", tag=f"library/app{number}:latest")
                assert store.resolve_tag(f"library/app{number}", "latest")[0] == stored.manifest
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(store.list_repositories()) == 6
    assert os.listdir(store.paths.scratch) == []


def test_a_name_in_a_meta_of_ross_is_kept(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    digest = ross.put_blob(OCTET_STREAM, b"blob")
    path = ross.meta_path(digest)
    path.write_bytes(compact({**json.loads(path.read_bytes()), "of_ross": 1}))
    with Store.open(str(tmp_path)) as store:
        found = store.contents.find(digest)
        assert found is not None
        store.contents.note_access(found)
    record = json.loads(path.read_bytes())
    assert record["of_ross"] == 1
    assert record["accessed_at"] > CREATED
