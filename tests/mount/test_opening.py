"""How files of incoming/ are opened, and what waits: flags of open(2), empty files, holes, maps."""

from __future__ import annotations

import mmap
import os
import stat
import time

import pytest

from tests.mount.inbox import Inbox, failure, sha256, some_bytes

pytestmark = pytest.mark.fuse

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def test_o_excl_refuses_what_is_there(inbox: Inbox) -> None:
    path = inbox / "name"
    descriptor = os.open(path, NEW)
    assert failure(os.open, path, NEW) == "EEXIST"
    os.write(descriptor, b"data")
    assert failure(os.open, path, NEW) == "EEXIST"
    os.close(descriptor)
    assert failure(os.open, path, NEW) == "EEXIST"
    inbox.require(path, b"data")
    (inbox / "empty").touch()
    assert failure(os.open, inbox / "empty", NEW) == "EEXIST"


def test_o_nofollow_and_o_directory_are_obeyed(inbox: Inbox) -> None:
    path = inbox / "name"
    path.write_bytes(b"data")
    assert failure(os.open, path, os.O_RDONLY | os.O_NOFOLLOW) == "ELOOP"
    assert failure(os.open, path, os.O_WRONLY | os.O_NOFOLLOW) == "ELOOP"
    assert failure(os.open, path, os.O_RDONLY | os.O_DIRECTORY) == "ENOTDIR"
    assert failure(os.open, inbox.path, os.O_WRONLY) == "EISDIR"
    inbox.require(path, b"data")


def test_a_committed_name_that_is_truncated_at_opening_is_a_new_content(inbox: Inbox) -> None:
    path = inbox / "name"
    path.write_bytes(b"before")
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    assert os.fstat(descriptor).st_size == 0
    os.write(descriptor, b"after")
    inbox.require(path, b"before")
    os.close(descriptor)
    inbox.require(path, b"after")
    os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))  # Linux truncates for readers too
    assert inbox.pin(path) == ""
    assert path.read_bytes() == b""


def test_a_committed_name_that_is_opened_and_closed_keeps_its_content(inbox: Inbox) -> None:
    path = inbox / "name"
    path.write_bytes(b"content")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREAT):
        os.close(os.open(path, flags))
        inbox.require(path, b"content")


def test_the_blob_itself_cannot_be_written(inbox: Inbox) -> None:
    (inbox / "name").write_bytes(b"content")
    blob = inbox.mounted.path / "blobs/sha256" / sha256(b"content")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        assert failure(os.open, blob, flags) == "EROFS"
    assert failure(os.truncate, blob, 3) == "EROFS"
    inbox.require(inbox / "name", b"content")


def test_descriptors_do_only_what_they_were_opened_for(inbox: Inbox) -> None:
    path = inbox / "name"
    writer = os.open(path, NEW)
    reader = os.open(path, os.O_RDONLY)
    assert failure(os.read, writer, 10) == "EBADF"
    assert failure(os.write, reader, b"x") == "EBADF"
    assert failure(os.ftruncate, reader, 0) == "EINVAL"
    os.write(writer, b"data")
    os.close(writer)
    os.close(reader)
    inbox.require(path, b"data")


# --- empty files, and what is written later ---


def test_an_empty_file_waits_until_it_is_written(inbox: Inbox) -> None:
    path = inbox / "name"
    path.touch()
    inbox.require_waiting(path, b"")
    os.utime(path, (5, 7))
    assert path.stat().st_mtime == 7
    path.chmod(0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with open(path, "ab") as file:
        file.write(b"now")
    inbox.require(path, b"now")


def test_a_file_that_is_emptied_again_waits(inbox: Inbox) -> None:
    path = inbox / "name"
    with open(path, "wb", buffering=0) as file:
        file.write(b"something")
        os.close(os.dup(file.fileno()))
        file.truncate(0)
    inbox.require_waiting(path, b"")
    assert not inbox.has(b"something")


def test_holes_read_as_zeros(inbox: Inbox) -> None:
    path = inbox / "name"
    with open(path, "wb", buffering=0) as file:
        file.seek(1_000_000)
        file.write(b"end")
        file.seek(500_000)
        file.write(b"middle")
    expected = bytearray(1_000_003)
    expected[-3:], expected[500_000:500_006] = b"end", b"middle"
    inbox.require(path, bytes(expected))


def test_what_is_mapped_is_written_when_the_mapping_ends(inbox: Inbox) -> None:
    path = inbox / "name"
    data = some_bytes("mapped", 100_000)
    with open(path, "w+b") as file:
        file.write(bytes(len(data)))
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0)
    mapped[:50_000] = data[:50_000]
    assert inbox.pin(path) == ""
    mapped[50_000:] = data[50_000:]
    mapped.close()
    inbox.require(path, data)


def test_fsync_commits_nothing(inbox: Inbox) -> None:
    path = inbox / "name"
    descriptor = os.open(path, NEW)
    for number in range(3):
        os.write(descriptor, b"part %d," % number)
        os.fsync(descriptor)
        os.fdatasync(descriptor)
        assert inbox.pin(path) == ""
    os.close(descriptor)
    inbox.require(path, b"part 0,part 1,part 2,")


def test_equal_content_under_many_names_is_stored_once(inbox: Inbox) -> None:
    data = some_bytes("many", 50_000)
    for number in range(5):
        (inbox / f"name{number}").write_bytes(data)
    inodes = {os.stat(inbox / f"name{number}").st_ino for number in range(5)}
    assert len(inodes) == 1
    for number in range(5):
        inbox.require(inbox / f"name{number}", data)


def test_the_time_of_a_name_is_when_it_was_committed(inbox: Inbox) -> None:
    path = inbox / "name"
    before = time.time()
    path.write_bytes(b"timed")
    os.utime(path, (5, 5))
    assert before - 2 <= os.lstat(path).st_mtime <= time.time() + 2
