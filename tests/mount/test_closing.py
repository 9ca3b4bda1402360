"""When a file of incoming/ is content: descriptors copied, shared and kept open."""

from __future__ import annotations

import mmap
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mount.inbox import DEADLINE, Inbox, failure, run, some_bytes

pytestmark = pytest.mark.fuse

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


# --- copies of a descriptor ---


def test_a_name_turns_when_the_last_copy_of_the_descriptor_is_closed(inbox: Inbox) -> None:
    path = inbox / "name"
    first = os.open(path, NEW)
    second = os.dup(first)
    os.write(first, b"one ")
    os.close(first)
    assert inbox.pin(path) == ""
    assert not inbox.has(b"one ")
    os.write(second, b"two")
    os.close(second)
    inbox.require(path, b"one two")


def test_closing_a_copy_without_another_write_changes_nothing(inbox: Inbox) -> None:
    path = inbox / "name"
    descriptor = os.open(path, NEW)
    os.write(descriptor, b"written once")
    for _ in range(3):
        os.close(os.dup(descriptor))
        assert inbox.pin(path) == ""
    os.close(descriptor)
    inbox.require(path, b"written once")


def test_a_child_keeps_the_file_open(inbox: Inbox) -> None:
    path = inbox / "name"
    with open(path, "wb", buffering=0) as file:
        file.write(b"parent ")
        code = "import sys; sys.stdin.read(); sys.stdout.write('child')"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=file)
    try:
        assert inbox.pin(path) == ""
        assert path.read_bytes() == b"parent "
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(DEADLINE) == 0
    finally:
        child.kill()
        child.wait()
    inbox.require(path, b"parent child")


def test_a_process_that_is_killed_closes_what_it_had_open(inbox: Inbox) -> None:
    path = inbox / "name"
    code = f"import os, time; f = open({str(path)!r}, 'wb', 0); f.write(b'so far'); print(flush=1);"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code} time.sleep({DEADLINE})"], stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"\n"
        assert inbox.pin(path) == ""
    finally:
        child.kill()
        child.communicate()
    inbox.require(path, b"so far")


# --- several at once ---


def test_two_writers_of_one_name_write_one_file(inbox: Inbox) -> None:
    path = inbox / "name"
    first = os.open(path, NEW)
    os.write(first, b"aaaa")
    second = os.open(path, os.O_WRONLY)
    os.pwrite(second, b"bbbb", 4)
    os.close(first)
    assert inbox.pin(path) == ""
    os.pwrite(second, b"cc", 1)
    os.close(second)
    inbox.require(path, b"accabbbb")


def test_two_writers_of_one_committed_name_write_one_new_file(inbox: Inbox) -> None:
    path = inbox / "name"
    path.write_bytes(b"before")
    first = os.open(path, os.O_WRONLY)
    second = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.pwrite(first, b"BE", 0)
    os.write(second, b" and after")
    os.close(second)
    # Whoever looks meanwhile finds the old content, not half of the new one.
    inbox.require(path, b"before")
    os.close(first)
    inbox.require(path, b"BEfore and after")
    assert inbox.has(b"before")


def test_the_last_of_two_who_empty_a_committed_name_is_what_it_is_then(inbox: Inbox) -> None:
    path = inbox / "name"
    path.write_bytes(b"before")
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: os.open(path, os.O_WRONLY | os.O_TRUNC), range(2))
    os.write(first, b"a longer one")
    os.write(second, b"a short one")
    inbox.require(path, b"before")
    os.close(first)
    inbox.require(path, b"a longer one")
    os.close(second)
    inbox.require(path, b"a short one")


def test_appending_descriptors_do_not_overwrite_each_other(inbox: Inbox) -> None:
    path = inbox / "name"
    writers = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(4)]
    expected = b""
    for number in range(100):
        data = b"%d;" % number
        os.write(writers[number % 4], data)
        expected += data
    for descriptor in writers:
        assert inbox.pin(path) == ""
        os.close(descriptor)
    inbox.require(path, expected)


def test_a_reader_sees_what_was_written_so_far(inbox: Inbox) -> None:
    path = inbox / "name"
    with open(path, "wb", buffering=0) as writer:
        writer.write(b"one")
        with open(path, "rb", buffering=0) as reader:
            assert reader.read() == b"one"
            assert reader.read() == b""
            writer.write(b" two")
            assert os.fstat(reader.fileno()).st_size == 7
            assert reader.read() == b" two"
            assert path.stat().st_size == 7
            writer.write(b" three")
            writer.close()
            # Readers do not keep a name from turning, and keep what they opened.
            inbox.require(path, b"one two three")
            assert reader.read() == b" three"
            assert os.pread(reader.fileno(), 100, 0) == b"one two three"


def test_a_reader_keeps_what_it_opened_when_the_name_is_written_again(inbox: Inbox) -> None:
    path = inbox / "name"
    before, after = some_bytes("before", 300_000), some_bytes("after", 200_000)
    path.write_bytes(before)
    with open(path, "rb") as reader, mmap.mmap(reader.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert reader.read(1000) == before[:1000]
        with open(path, "wb") as writer:
            writer.write(after[:1000])
            writer.flush()
            assert os.fstat(reader.fileno()).st_size == len(before)
            writer.write(after[1000:])
        inbox.require(path, after)
        assert reader.read() == before[1000:]
        assert mapped[:] == before


def test_a_descriptor_for_both_reads_what_it_wrote(inbox: Inbox) -> None:
    path = inbox / "name"
    data = some_bytes("both", 300_000)
    with open(path, "w+b", buffering=0) as file:
        file.write(data)
        file.seek(0)
        assert file.read() == data
        file.seek(150_000)
        file.write(b"middle")
        file.seek(149_990)
        assert file.read(20) == data[149_990:150_000] + b"middle" + data[150_006:150_010]
    inbox.require(path, data[:150_000] + b"middle" + data[150_006:])


# --- names that change while the file is open ---


def test_a_file_that_is_unlinked_while_open_comes_to_nothing(inbox: Inbox) -> None:
    path = inbox / "name"
    with open(path, "w+b", buffering=0) as file:
        file.write(b"written before")
        path.unlink()
        assert os.listdir(inbox.path) == []
        file.write(b", and after")
        file.seek(0)
        assert file.read() == b"written before, and after"
    assert os.listdir(inbox.path) == []
    assert not inbox.has(b"written before, and after")


def test_a_name_is_free_again_when_its_open_file_was_unlinked(inbox: Inbox) -> None:
    path = inbox / "name"
    with open(path, "wb", buffering=0) as old:
        old.write(b"old")
        path.unlink()
        with open(path, "xb", buffering=0) as new:
            new.write(b"new")
            old.write(b" again")
        inbox.require(path, b"new")
    inbox.require(path, b"new")
    assert not inbox.has(b"old again")


def test_a_committed_name_that_is_being_written_again_can_be_unlinked(inbox: Inbox) -> None:
    path = inbox / "name"
    path.write_bytes(b"committed")
    with open(path, "ab", buffering=0) as file:
        file.write(b", more")
        path.unlink()
        assert os.listdir(inbox.path) == []
    assert os.listdir(inbox.path) == []
    assert not inbox.has(b"committed, more")


def test_a_file_that_is_renamed_while_open_is_committed_under_its_new_name(inbox: Inbox) -> None:
    (inbox / "directory").mkdir()
    path, target = inbox / "name", inbox / "directory/target"
    with open(path, "wb", buffering=0) as file:
        file.write(b"one ")
        os.rename(path, target)
        assert failure(os.lstat, path) == "ENOENT"
        file.write(b"two")
        assert target.read_bytes() == b"one two"
    inbox.require(target, b"one two")
    assert os.listdir(inbox.path) == ["directory"]


def test_an_open_file_is_renamed_over_a_committed_name(inbox: Inbox) -> None:
    path, target = inbox / "name", inbox / "target"
    target.write_bytes(b"committed")
    with open(path, "wb", buffering=0) as file:
        file.write(b"open")
        os.rename(path, target)
        assert target.read_bytes() == b"open"
    inbox.require(target, b"open")
    assert os.listdir(inbox.path) == ["target"]


def test_a_committed_name_is_renamed_over_an_open_file(inbox: Inbox) -> None:
    path, target = inbox / "name", inbox / "target"
    path.write_bytes(b"committed")
    with open(target, "wb", buffering=0) as file:
        file.write(b"open")
        os.rename(path, target)
        file.write(b" still")
        inbox.require(target, b"committed")
    inbox.require(target, b"committed")
    assert os.listdir(inbox.path) == ["target"]
    assert not inbox.has(b"open still")


def test_the_directory_of_an_open_file_is_renamed(inbox: Inbox) -> None:
    (inbox / "old/deep").mkdir(parents=True)
    with open(inbox / "old/deep/name", "wb", buffering=0) as file:
        file.write(b"in the old place, ")
        os.rename(inbox / "old", inbox / "new")
        file.write(b"in the new place")
        assert failure(os.rmdir, inbox / "new/deep") == "ENOTEMPTY"
    inbox.require(inbox / "new/deep/name", b"in the old place, in the new place")


# --- who looks when it is closed ---


def test_whatever_is_closed_together_is_there_when_both_are_closed(inbox: Inbox) -> None:
    descriptors = [os.open(inbox / f"name{n}", NEW) for n in range(50)]
    for number, descriptor in enumerate(descriptors):
        os.write(descriptor, b"content %d" % number)
    for number in sorted(range(50), key=lambda n: n * 7 % 50):
        os.close(descriptors[number])
        inbox.require(inbox / f"name{number}", b"content %d" % number)


def test_a_closed_file_is_found_at_once_by_every_kind_of_look(inbox: Inbox) -> None:
    looks: dict[str, Callable[[Path], object]] = {
        "readlink": lambda path: os.readlink(path),
        "lstat": lambda path: stat.S_ISLNK(os.lstat(path).st_mode),
        "stat": lambda path: os.stat(path).st_ino == os.stat(inbox.blob(path)).st_ino,
        "scandir": lambda path: [e.is_symlink() for e in os.scandir(inbox.path)] == [True],
        "open": lambda path: path.read_bytes() == path.name.encode(),
        "ls": lambda path: "-> ../blobs/sha256/" in run("ls", "-l", path),
    }
    for kind, look in looks.items():
        for _ in range(10):
            path = inbox / f"by {kind}"
            path.write_bytes(path.name.encode())
            assert look(path), kind
            path.unlink()
