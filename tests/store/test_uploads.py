"""Records of what was accepted, and what lies beside them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from rossfs.oci.mediatype import OCI_INDEX, OCTET_STREAM
from rossfs.store import durable, uploads
from rossfs.store.filing import Stored
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.store.uploads import Promise, Record
from tests.builders import digest_of

STORED = Stored(digest_of(b"data"), 4, OCTET_STREAM, Area.BLOBS)
RECORD = Record(b"dir/na\nme\xff", b".tmp/0123", STORED, (digest_of(b"a"), digest_of(b"b")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store without the check at the end: what is named here is mostly not stored."""
    with Store.create(str(tmp_path / "store")) as made:
        yield made


def make(store: Store, record: Record = RECORD) -> Promise:
    with store.access.writing():
        return Promise.make(store.access, record)


def test_a_record_reads_back_as_it_was_written() -> None:
    assert Record.unpack(RECORD.pack()) == RECORD


def test_a_record_of_an_index_says_so() -> None:
    record = RECORD._replace(stored=Stored(digest_of(b"i"), 1, OCI_INDEX, Area.INDEXES))
    assert Record.unpack(record.pack()).stored.area is Area.INDEXES


@pytest.mark.parametrize(
    "change",
    [
        {"name": b"/etc/passwd"},
        {"name": b"a/../b"},
        {"name": b""},
        {"name": "text"},
        {"data": b"../../lock"},
        {"data": b"a\0b"},
        {"hash": b"short"},
        {"algorithm": "md5"},
        {"size": "many"},
        {"needs": [["sha256"]]},
        {"needs": None},
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, object]) -> None:
    fields = msgpack.unpackb(RECORD.pack())
    with pytest.raises(ValueError, match="no commit record"):
        Record.unpack(msgpack.packb({**fields, **change}))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01", msgpack.packb([1, 2])])
def test_other_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Record.unpack(data)


def test_a_promise_is_on_disk_until_it_is_kept(store: Store) -> None:
    promise = make(store)
    assert list(uploads.records(store.paths)) == [RECORD]
    promise.kept()
    assert list(uploads.records(store.paths)) == []
    assert os.listdir(store.paths.scratch) == []


def test_a_withdrawn_promise_is_gone(store: Store) -> None:
    make(store).withdraw()
    assert os.listdir(store.paths.scratch) == []


def test_an_orphan_is_one_that_nobody_holds(store: Store) -> None:
    held, left = make(store), make(store, RECORD._replace(name=b"left"))
    assert list(uploads.orphans(store.paths)) == []
    left.abandon()
    found = list(uploads.orphans(store.paths))
    assert [orphan.record.name for orphan in found] == [b"left"]
    # Whoever found it holds it now.
    assert list(uploads.orphans(store.paths)) == []
    for orphan in found:
        orphan.kept()
    held.kept()


def test_a_moved_promise_is_never_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    promise = make(store)
    seen: list[set[bytes]] = []

    def look(_step: str) -> None:
        seen.append({record.name for record in uploads.records(store.paths)})

    monkeypatch.setattr(durable, "reached", look)
    with store.access.writing():
        moved = promise.moved(store.access, RECORD._replace(name=b"new"))
    monkeypatch.setattr(durable, "reached", None)
    assert all(seen)
    assert [record.name for record in uploads.records(store.paths)] == [b"new"]
    moved.kept()


def test_unfinished_files_of_the_dead_are_left_over(store: Store) -> None:
    living, dead, promised = (Ingest.create(store.contents) for _ in range(3))
    for ingest in (living, dead, promised):
        ingest.append(b"data")
    record = RECORD._replace(data=store.incoming.name(promised.path))
    promise = make(store, record)
    promise.abandon()
    dead.detach()
    promised.detach()
    with store.access.sweeping():
        assert list(uploads.leftovers(store.paths)) == [dead.path]
    uploads.tidy(store.access)
    assert not os.path.exists(dead.path)
    assert os.path.exists(living.path)
    assert os.path.exists(promised.path)
    living.abort()


def test_directories_in_the_scratch_directory_are_passed_over(store: Store) -> None:
    os.makedirs(f"{store.paths.scratch}/directory.commit")
    os.makedirs(f"{store.paths.scratch}/other")
    assert list(uploads.records(store.paths)) == []
    assert list(uploads.orphans(store.paths)) == []
    with store.access.sweeping():
        assert list(uploads.leftovers(store.paths)) == []


@pytest.mark.parametrize("last", ["written", "synced", "renamed", "directory synced"])
def test_a_record_that_was_not_promised_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def fail(step: str) -> None:
        if step == f"commit record: {last}":
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "reached", fail)
    with pytest.raises(OSError, match="Input/output"):
        make(store)
    monkeypatch.setattr(durable, "reached", None)
    assert list(uploads.records(store.paths)) == []
    assert os.listdir(store.paths.scratch) == []
