"""What incoming/ names is kept, whoever collects, and survives the mount."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.builders import image_parts
from tests.conftest import Mount
from tests.mount.inbox import Inbox, failure, run, sha256, some_bytes
from tests.mounts import ROSSFS

pytestmark = pytest.mark.fuse

LONG_AGO = time.time() - 40 * 86400


def collect(inbox: Inbox, *options: str) -> None:
    """Another process removes all that nothing needs, however young it is."""
    run(*ROSSFS, "--store", inbox.store, "gc", "--grace", "0", "--delete-untagged", *options)


def gone(inbox: Inbox, data: bytes) -> bool:
    """Whether *data* is not stored any more, and the mount soon says so."""
    end = time.monotonic() + 30
    path = inbox.mounted.path / "blobs/sha256" / sha256(data)
    while os.path.lexists(path):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return not inbox.has(data)


def test_what_a_name_pins_is_kept_until_the_name_is_removed(inbox: Inbox) -> None:
    kept, removed, replaced = (some_bytes(name, 5000) for name in ("kept", "removed", "replaced"))
    (inbox / "kept").write_bytes(kept)
    (inbox / "removed").write_bytes(removed)
    (inbox / "replaced").write_bytes(replaced)
    (inbox / "replaced").write_bytes(b"something else")
    collect(inbox, "--dry-run")
    assert inbox.has(replaced)
    collect(inbox)
    inbox.require(inbox / "kept", kept)
    inbox.require(inbox / "removed", removed)
    inbox.require(inbox / "replaced", b"something else")
    assert gone(inbox, replaced)
    (inbox / "removed").unlink()
    collect(inbox)
    assert gone(inbox, removed)
    inbox.require(inbox / "kept", kept)


def test_names_in_directories_pin_too(inbox: Inbox) -> None:
    (inbox / "a/b").mkdir(parents=True)
    (inbox / "a/b/name").write_bytes(b"deep")
    os.rename(inbox / "a", inbox / "c")
    collect(inbox)
    inbox.require(inbox / "c/b/name", b"deep")


def test_a_pin_of_a_manifest_keeps_all_that_it_needs(inbox: Inbox) -> None:
    parts = image_parts("pinned")
    for number, data in enumerate((parts.config, *parts.layers)):
        (inbox / f"blob{number}").write_bytes(data)
    (inbox / "manifest.json").write_bytes(parts.manifest)
    for number in range(1 + len(parts.layers)):
        (inbox / f"blob{number}").unlink()
    collect(inbox)
    inbox.require_manifest(inbox / "manifest.json", parts.manifest)
    for data in (parts.config, *parts.layers):
        assert inbox.has(data)
    (inbox / "manifest.json").unlink()
    collect(inbox)
    for data in (parts.manifest, parts.config, *parts.layers):
        assert gone(inbox, data)


def test_an_old_pin_keeps_nothing(inbox: Inbox) -> None:
    for name in ("old", "young"):
        (inbox / name).write_bytes(name.encode())
    os.utime(inbox / "old", (LONG_AGO, LONG_AGO), follow_symlinks=False)
    assert abs(os.lstat(inbox / "old").st_mtime - LONG_AGO) < 1
    collect(inbox)
    inbox.require(inbox / "young", b"young")
    assert gone(inbox, b"old")
    # A link to nothing would be in the way of who writes the name again.
    assert os.listdir(inbox.path) == ["young"]
    (inbox / "old").write_bytes(b"old, again")
    inbox.require(inbox / "old", b"old, again")


def test_a_collection_leaves_what_is_open_and_what_waits(inbox: Inbox) -> None:
    refused = inbox / sha256(b"other")
    assert failure(refused.write_bytes, b"refused") == "EBADMSG"
    (inbox / "empty").touch()
    (inbox / ".name.a1B2c3").write_bytes(b"temporary")
    (inbox / "name").write_bytes(b"first")
    with (
        open(inbox / "new", "wb", buffering=0) as new,
        open(inbox / "name", "ab", buffering=0) as again,
    ):
        new.write(b"half")
        again.write(b" and")
        collect(inbox)
        os.close(os.dup(new.fileno()))  # accepted, but not content yet
        collect(inbox)
        new.write(b" and whole")
        again.write(b" second")
    inbox.require(inbox / "new", b"half and whole")
    inbox.require(inbox / "name", b"first and second")
    inbox.require_waiting(inbox / "empty", b"")
    inbox.require_waiting(inbox / ".name.a1B2c3", b"temporary")
    inbox.require_waiting(refused, b"refused", "sha256:")


def test_a_reader_goes_on_while_its_blob_is_collected(inbox: Inbox) -> None:
    data = some_bytes("collected", 300_000)
    (inbox / "name").write_bytes(data)
    with open(inbox / "name", "rb", buffering=0) as reader:
        assert reader.read(1000) == data[:1000]
        (inbox / "name").unlink()
        collect(inbox)
        assert gone(inbox, data)
        assert reader.read(1 << 20) == data[1000:]


def test_all_names_survive_the_mount(mount: Mount, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(*ROSSFS, "--store", store, "init")
    first = Inbox(mount(store), store)
    (first / "a/b").mkdir(parents=True)
    contents = {name: some_bytes(name, 5000) for name in ("name", "a/name", "a/b/name")}
    for name, data in contents.items():
        (first / name).write_bytes(data)
    (first / "name2").write_bytes(b"twice")
    os.rename(first / "name2", first / "a/renamed")
    (first / "a/empty").touch()
    times = {name: os.lstat(first / name).st_mtime for name in contents}
    first.mounted.end()
    second = Inbox(mount(store), store)
    for name, data in contents.items():
        second.require(second / name, data)
        assert os.lstat(second / name).st_mtime == times[name]
    second.require(second / "a/renamed", b"twice")
    second.require_waiting(second / "a/empty", b"")
    second.mounted.end()
    second.require_sound()


def test_what_is_open_when_the_mount_ends_is_not_lost(mount: Mount, tmp_path: Path) -> None:
    """Accepted files are committed; of others, nothing is made."""
    store = tmp_path / "store"
    run(*ROSSFS, "--store", store, "init")
    first = Inbox(mount(store), store)
    accepted = os.open(first / "accepted", os.O_WRONLY | os.O_CREAT)
    os.write(accepted, b"written and flushed")
    os.close(os.dup(accepted))
    first.mounted.end()
    assert failure(os.close, accepted) in ("ENOTCONN", "ECONNABORTED", "EIO", "")
    second = Inbox(mount(store), store)
    second.require(second / "accepted", b"written and flushed")
    second.mounted.end()
    second.require_sound()
