import os
import threading
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged
from rossfs.image.blobdata import BlobBytes
from rossfs.oci.digest import Digest
from rossfs.store.content import Content
from rossfs.store.store import Store
from tests.builders import OCTET_STREAM, RossStore, digest_of

DATA = bytes(range(256)) * 1000


def put(store: Store, data: bytes = DATA) -> BlobBytes:
    digest, _ = store.put_blob(OCTET_STREAM, data)
    return BlobBytes(store.contents, digest)


def path_of(store: Store, digest: Digest) -> Path:
    content = store.contents.find(digest)
    assert content is not None
    return Path(content.path)


def hashed(monkeypatch: pytest.MonkeyPatch, store: Store) -> list[str]:
    """The paths that the verifier hashes from now on."""
    paths: list[str] = []
    real = type(store.verifier)._hash

    def noted(self: object, digest: Digest, path: str) -> object:
        paths.append(path)
        return real(self, digest, path)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store.verifier), "_hash", noted)
    return paths


def test_any_range_is_that_of_the_blob(store: Store) -> None:
    blob = put(store)
    assert blob.size == len(DATA)
    for offset, length in [(0, 10), (5, 0), (255_990, 10), (255_990, 100), (0, 1 << 20), (1000, 1)]:
        assert blob.read(offset, length) == DATA[offset : offset + length]


def test_past_the_end_there_is_nothing(store: Store) -> None:
    blob = put(store)
    assert blob.read(len(DATA), 10) == b""
    assert blob.read(len(DATA) + 5, 10) == b""


def test_an_empty_blob_has_no_bytes(store: Store) -> None:
    blob = put(store, b"")
    assert blob.size == 0
    assert blob.read(0, 10) == b""


def test_what_is_not_stored_is_not_found(store: Store) -> None:
    blob = BlobBytes(store.contents, digest_of(b"elsewhere"))
    with pytest.raises(BlobNotFound, match=digest_of(b"elsewhere").hex):
        blob.read(0, 1)


def test_nothing_is_open_before_the_first_read(store: Store) -> None:
    before = os.listdir("/proc/self/fd")
    blob = put(store)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    blob.read(0, 1)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    blob.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert blob.read(0, 3) == DATA[:3]
    del blob
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_rossfs_wrote_is_not_hashed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = put(store)
    paths = hashed(monkeypatch, store)
    blob.read(0, 10)
    assert not paths


def test_what_ross_wrote_is_hashed_before_the_first_byte_and_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ross = RossStore(Path(store.paths.root))
    digest = ross.put_blob(OCTET_STREAM, DATA)
    paths = hashed(monkeypatch, store)
    blob = BlobBytes(store.contents, digest)
    for _ in range(3):
        assert blob.read(1, 2) == DATA[1:3]
    assert paths == [str(ross.path(digest))]


@pytest.mark.damages_store
def test_bytes_that_were_wrong_from_the_beginning_are_never_read(store: Store) -> None:
    ross = RossStore(Path(store.paths.root))
    digest = ross.put_blob(OCTET_STREAM, DATA)
    ross.path(digest).write_bytes(DATA[:-1] + b"!")
    blob = BlobBytes(store.contents, digest)
    for _ in range(2):
        with pytest.raises(Damaged, match="hash to"):
            blob.read(0, 10)
    assert blob.read_ready(0, 10) is None


@pytest.mark.damages_store
def test_a_write_to_the_open_file_is_noticed_by_the_next_read(store: Store) -> None:
    blob = put(store)
    assert blob.read(0, 10) == DATA[:10]
    with open(path_of(store, blob.digest), "r+b") as file:
        file.write(b"wrong")
    with pytest.raises(Damaged, match="is damaged"):
        blob.read(0, 10)
    with pytest.raises(Damaged, match="is damaged"):
        blob.read(100_000, 10)
    assert [digest for digest, _ in store.verifier.damaged()] == [blob.digest]


@pytest.mark.damages_store
def test_a_write_is_noticed_although_its_time_was_put_back(store: Store) -> None:
    blob = put(store)
    assert blob.read(0, 10) == DATA[:10]
    path = path_of(store, blob.digest)
    before = path.stat().st_mtime_ns
    with open(path, "r+b") as file:
        file.write(b"wrong")
    os.utime(path, ns=(before, before))
    assert blob.read_ready(0, 10) is None
    for _ in range(2):
        with pytest.raises(Damaged, match="is damaged"):
            blob.read(0, 10)


@pytest.mark.damages_store
def test_the_same_bytes_written_again_are_right(store: Store) -> None:
    blob = put(store)
    blob.read(0, 10)
    path_of(store, blob.digest).write_bytes(DATA)
    assert blob.read(0, 10) == DATA[:10]


@pytest.mark.damages_store
def test_a_file_that_is_cut_while_it_is_open_is_damage(store: Store) -> None:
    blob = put(store)
    blob.read(0, 10)
    os.truncate(path_of(store, blob.digest), 1000)
    with pytest.raises(Damaged, match="is damaged"):
        blob.read(500, 1000)
    with pytest.raises(Damaged):
        blob.read(0, 10)


@pytest.mark.damages_store
def test_damage_that_was_mended_is_forgotten(store: Store) -> None:
    blob = put(store)
    blob.read(0, 10)
    path = path_of(store, blob.digest)
    path.write_bytes(b"?" * len(DATA))
    with pytest.raises(Damaged):
        blob.read(0, 10)
    path.unlink()
    path.write_bytes(DATA)
    assert blob.read(0, 10) == DATA[:10]


def test_a_blob_that_is_removed_stays_readable_where_it_is_open(store: Store) -> None:
    blob = put(store)
    blob.read(0, 10)
    assert store.delete_blob(blob.digest)
    assert blob.read(20, 10) == DATA[20:30]
    blob.close()
    with pytest.raises(BlobNotFound):
        blob.read(20, 10)


def test_what_is_in_memory_is_ready_at_once(store: Store) -> None:
    blob = put(store)
    assert blob.read_ready(0, 10) is None  # nobody looked at the blob yet
    blob.read(0, len(DATA))
    # tmpfs and others cannot say what is in memory.
    assert blob.read_ready(5, 10) in (DATA[5:15], None)
    assert blob.read_ready(len(DATA), 10) in (b"", None)


@pytest.mark.damages_store
def test_what_was_written_to_is_not_ready(store: Store) -> None:
    blob = put(store)
    blob.read(0, len(DATA))
    with open(path_of(store, blob.digest), "r+b") as file:
        file.write(b"wrong")
    assert blob.read_ready(0, 10) is None


def test_many_threads_hash_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ross = RossStore(Path(store.paths.root))
    digest = ross.put_blob(OCTET_STREAM, DATA)
    paths = hashed(monkeypatch, store)
    blob = BlobBytes(store.contents, digest)
    read: list[bytes] = []
    threads = [
        threading.Thread(target=lambda at=at: read.append(blob.read(at, 7))) for at in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read) == sorted(DATA[at : at + 7] for at in range(8))
    assert len(paths) == 1


@pytest.mark.damages_store
def test_a_write_while_the_file_is_opened_is_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = put(store)
    real = store.verifier.open

    def written_to(content: Content) -> int:
        fd = real(content)
        with open(content.path, "r+b") as file:
            file.write(b"wrong")
        return fd

    monkeypatch.setattr(type(store.verifier), "open", lambda _, content: written_to(content))
    with pytest.raises(Damaged, match="is damaged"):
        blob.read(0, 10)
