"""incoming/ on disk: pins, waiting files, directories."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import ReadOnlyStore
from rossfs.oci.digest import Digest
from rossfs.store.incoming import Pin, link_text, parse_link
from rossfs.store.store import Store
from tests.builders import digest_of

DIGEST = digest_of(b"content")
OTHER = digest_of(b"content", "sha512")
DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store without the check at the end: what is named here is mostly not stored."""
    with Store.create(str(tmp_path / "store")) as made:
        yield made


def link(store: Store, name: bytes, digest: Digest = DIGEST, age: float = 0.0) -> None:
    with store.access.writing():
        store.incoming.link(name, digest)
    if age:
        then = time.time_ns() - int(age * 1e9)
        os.utime(store.incoming.path(name), ns=(then, then), follow_symlinks=False)


def wait(store: Store, name: bytes, data: bytes = b"", reason: str | None = None) -> None:
    path = f"{store.paths.root}/written"
    with open(path, "wb") as file:
        file.write(data)
    store.incoming.leave(path, name, reason)


def test_a_pin_leads_from_its_directory_to_the_content(store: Store) -> None:
    link(store, b"name")
    link(store, b"a/b/name", OTHER)
    read = os.readlink
    assert read(store.incoming.path(b"name")) == f"../blobs/sha256/{DIGEST.hex}"
    assert read(store.incoming.path(b"a/b/name")) == f"../../../blobs/sha512/{OTHER.hex}"
    assert store.incoming.digest(b"name") == DIGEST
    assert store.incoming.digest(b"a/b/name") == OTHER


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"../blobs/sha256/" + b"0" * 63,
        b"../blobs/sha256/" + b"F" * 64,
        b"../blobs/sha512/" + b"0" * 64,
        b"blobs/sha256/" + b"0" * 64,
        b"/blobs/sha256/" + b"0" * 64,
        b"../blobs/sha256/" + b"0" * 64 + b"/",
        b"../blobs/sha256/" + b"0" * 64 + b"\n",
        b"../../etc/passwd",
    ],
)
def test_other_links_are_no_pins(text: bytes) -> None:
    assert parse_link(text) is None


def test_every_pin_can_be_read_back() -> None:
    for digest in (DIGEST, OTHER):
        for name in (b"a", b"a/b", b"\n\xff/.x/y"):
            assert parse_link(link_text(name, digest).encode()) == digest


def test_pins_are_found_in_all_directories(store: Store) -> None:
    link(store, b"name")
    link(store, b"a/b/c", OTHER)
    wait(store, b"a/file")
    os.symlink("/etc/passwd", store.incoming.path(b"a/foreign"))
    os.makedirs(store.paths.scratch, exist_ok=True)
    os.symlink(link_text(b"x", DIGEST), f"{store.paths.scratch}/x")
    found = {pin.name: pin for pin in store.incoming.pins()}
    assert found.keys() == {b"name", b"a/b/c"}
    status = os.lstat(store.incoming.path(b"a/b/c"))
    assert found[b"a/b/c"] == Pin(b"a/b/c", OTHER, status.st_mtime_ns)


def test_a_pin_counts_until_it_is_too_old(store: Store) -> None:
    link(store, b"young", DIGEST, age=DAY - 600)
    link(store, b"old", OTHER, age=DAY + 600)
    assert list(store.incoming.pinned(DAY)) == [DIGEST]
    assert set(store.incoming.pinned(2 * DAY)) == {DIGEST, OTHER}
    assert list(store.incoming.pinned(0)) == []


def test_pinning_again_makes_a_pin_young(store: Store) -> None:
    link(store, b"name", age=2 * DAY)
    link(store, b"name")
    assert list(store.incoming.pinned(DAY)) == [DIGEST]


def test_a_pin_of_another_age_protects_from_collection(store: Store) -> None:
    for number in range(3):
        store.put_blob(None, b"%d" % number)
    link(store, b"young", digest_of(b"0"))
    link(store, b"old", digest_of(b"1"), age=2 * DAY)
    assert set(store.garbage_collect().digests) == {digest_of(b"1"), digest_of(b"2")}


def test_a_waiting_file_lies_under_its_name(store: Store) -> None:
    wait(store, b"dir/name", b"data")
    with open(store.incoming.path(b"dir/name"), "rb") as file:
        assert file.read() == b"data"
    assert store.incoming.reason(b"dir/name") is None


def test_a_reason_stays_with_the_file(store: Store) -> None:
    wait(store, b"name", b"data", "wrong in \udcff every way")
    assert store.incoming.reason(b"name") == b"wrong in \xff every way"
    store.incoming.move(b"name", b"new")
    assert store.incoming.reason(b"new") == b"wrong in \xff every way"
    store.incoming.forgive(store.incoming.path(b"new"))
    assert store.incoming.reason(b"new") is None


def test_a_long_reason_is_cut(store: Store) -> None:
    wait(store, b"name", b"", "x" * 100_000)
    reason = store.incoming.reason(b"name")
    assert reason is not None
    assert 100 < len(reason) < 4096


def test_what_waits_replaces_a_pin(store: Store) -> None:
    link(store, b"name")
    wait(store, b"name", b"data")
    assert store.incoming.digest(b"name") is None
    assert list(store.incoming.pins()) == []


def test_names_are_those_of_one_directory(store: Store) -> None:
    assert store.incoming.names(b"") == []
    link(store, b"a")
    link(store, b"d/x")
    link(store, b"d/.tmp")
    os.makedirs(store.paths.scratch, exist_ok=True)
    assert sorted(store.incoming.names(b"")) == [b"a", b"d"]
    assert sorted(store.incoming.names(b"d")) == [b".tmp", b"x"]
    assert store.incoming.names(b"a") == []
    assert store.incoming.names(b"no/such") == []


def test_any_byte_may_be_in_a_name(store: Store) -> None:
    name = bytes(set(range(1, 256)) - {ord("/")})[:255]
    link(store, name)
    assert store.incoming.names(b"") == [name]
    assert store.incoming.digest(name) == DIGEST
    store.incoming.remove(name)
    assert store.incoming.status(name) is None


def test_a_name_that_is_too_long_is_an_error(store: Store) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        store.incoming.status(b"x" * 256)
    assert caught.value.errno == errno.ENAMETOOLONG


def test_a_moved_pin_keeps_its_age_and_its_content(store: Store) -> None:
    link(store, b"name", age=100)
    before = os.lstat(store.incoming.path(b"name")).st_mtime_ns
    store.incoming.make_directory(b"d")
    store.incoming.move(b"name", b"d/new")
    assert store.incoming.status(b"name") is None
    status = store.incoming.status(b"d/new")
    assert status is not None
    assert status.st_mtime_ns == before
    assert os.readlink(store.incoming.path(b"d/new")) == f"../../blobs/sha256/{DIGEST.hex}"


def test_a_move_replaces_what_is_there(store: Store) -> None:
    link(store, b"a")
    link(store, b"b", OTHER)
    store.incoming.move(b"a", b"b")
    assert store.incoming.digest(b"b") == DIGEST
    assert store.incoming.names(b"") == [b"b"]


def test_what_is_not_there_cannot_be_removed(store: Store) -> None:
    os.makedirs(store.paths.incoming, exist_ok=True)
    with pytest.raises(FileNotFoundError):
        store.incoming.remove(b"name")


def test_directories_are_made_one_at_a_time(store: Store) -> None:
    store.incoming.make_directory(b"d")
    with pytest.raises(FileExistsError):
        store.incoming.make_directory(b"d")
    with pytest.raises(FileNotFoundError):
        store.incoming.make_directory(b"no/such")
    link(store, b"d/x")
    with pytest.raises(OSError, match="not empty"):
        store.incoming.remove_directory(b"d")
    store.incoming.remove(b"d/x")
    store.incoming.remove_directory(b"d")
    assert store.incoming.names(b"") == []


def test_a_store_open_for_reading_changes_nothing(store: Store) -> None:
    with Store.open(store.paths.root, read_only=True) as reading:
        with pytest.raises(ReadOnlyStore):
            reading.incoming.make_directory(b"d")
        with pytest.raises(ReadOnlyStore):
            link(reading, b"name")
        assert list(reading.incoming.pins()) == []
