"""Names in incoming/: any byte, any length, directories, temporary names, renames, links."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.mount.inbox import Inbox, failure, run, sha256, some_bytes

pytestmark = pytest.mark.fuse

NAMES = [
    b"name",
    b"-rf",
    b" ",
    b"a b\tc",
    b"new\nline",
    b"\x01\x1b[31m\x7f",
    b"not utf-8 \xff\xfe",
    "\u00fcml\u00e4ut \u732b".encode(),
    b"...",
    b".hidden",
    b"..a",
    b"a" * 255,
    b"\xff" * 255,
    b"*?[a]",
    b"$(true)`true`'\"\\",
    b"name.meta",
    b".tmp2",
    b".name.12345",  # one character less than rsync's
    b"name.a1B2c3",
    b"sha256",
    b"blobs",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_any_name_works(inbox: Inbox, name: bytes) -> None:
    data = b"under " + name
    path = inbox / name
    path.write_bytes(data)
    inbox.require(path, data)
    assert os.listdir(os.fsencode(inbox.path)) == [name]
    with open(path, "ab") as file:
        file.write(b" and more")
    inbox.require(path, data + b" and more")
    (inbox / "other").write_bytes(b"other")
    os.rename(inbox / "other", path)
    inbox.require(path, b"other")
    path.unlink()
    assert os.listdir(inbox.path) == []


def test_a_name_of_256_bytes_is_too_long(inbox: Inbox) -> None:
    path = inbox / ("a" * 256)
    assert failure(path.write_bytes, b"data") == "ENAMETOOLONG"
    assert failure(os.mkdir, path) == "ENAMETOOLONG"
    assert failure(os.stat, path) == "ENAMETOOLONG"
    (inbox / "name").write_bytes(b"data")
    assert failure(os.rename, inbox / "name", path) == "ENAMETOOLONG"
    inbox.require(inbox / "name", b"data")


def test_what_rossfs_keeps_there_is_not_shown(inbox: Inbox) -> None:
    with open(inbox / "name", "wb", buffering=0) as file:
        file.write(b"data")
        assert os.listdir(inbox.store / "incoming/.tmp") != []
        assert os.listdir(inbox.path) == ["name"]
        reserved = inbox / ".tmp"
        assert failure(os.stat, reserved) == "ENOENT"
        assert failure(os.listdir, reserved) == "ENOENT"
        assert failure(reserved.write_bytes, b"mine") == "EPERM"
        assert failure(os.mkdir, reserved) == "EPERM"
        assert failure(os.symlink, "../blobs/sha256/" + "0" * 64, reserved) == "EPERM"
        (inbox / "other").write_bytes(b"other")
        assert failure(os.rename, inbox / "other", reserved) == "EPERM"
    inbox.require(inbox / "name", b"data")
    (inbox / "directory").mkdir()
    (inbox / "directory/.tmp").write_bytes(b"only the top is reserved")
    inbox.require(inbox / "directory/.tmp", b"only the top is reserved")


# --- temporary names of rsync ---


def test_a_temporary_name_waits_until_it_is_renamed(inbox: Inbox) -> None:
    temporary, path = inbox / ".name.tar.a1B2c3", inbox / "name.tar"
    data = some_bytes("temporary")
    temporary.write_bytes(data)
    inbox.require_waiting(temporary, data)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW)
    os.close(descriptor)
    os.chmod(temporary, 0o600)
    os.utime(temporary, (3, 4))
    assert (temporary.stat().st_mode & 0o777, temporary.stat().st_mtime) == (0o600, 4)
    inbox.require_waiting(temporary, data)
    os.rename(temporary, path)
    inbox.require(path, data)
    assert os.listdir(inbox.path) == ["name.tar"]


def test_a_temporary_name_can_be_removed_and_made_again(inbox: Inbox) -> None:
    temporary = inbox / ".name.a1B2c3"
    temporary.write_bytes(b"first")
    temporary.unlink()
    temporary.write_bytes(b"second")
    os.rename(temporary, inbox / ".name.d4E5f6")
    inbox.require_waiting(inbox / ".name.d4E5f6", b"second")
    assert not inbox.has(b"first")


@pytest.mark.parametrize("flags", [["-a"], ["-a", "--partial"], ["--fsync", "-a"], ["-aW"], ["-S"]])
def test_rsync_with_its_flags(inbox: Inbox, tmp_path: Path, flags: list[str]) -> None:
    source = tmp_path / "name"
    source.write_bytes(some_bytes(flags) + bytes(200_000))
    run("rsync", *flags, source, f"{inbox.path}/")
    inbox.require(inbox / "name", source.read_bytes())
    source.write_bytes(some_bytes((flags, 2)))
    run("rsync", *flags, source, f"{inbox.path}/")
    inbox.require(inbox / "name", source.read_bytes())
    assert os.listdir(inbox.path) == ["name"]


def test_rsync_into_a_directory_that_it_makes(inbox: Inbox, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_bytes(b"deep down")
    run("rsync", "-a", "--delete", f"{source}/", f"{inbox.path}/tree/")
    inbox.require(inbox / "tree/deep/file", b"deep down")
    (source / "deep/file").unlink()
    run("rsync", "-a", "--delete", f"{source}/", f"{inbox.path}/tree/")
    assert os.listdir(inbox / "tree/deep") == []


# --- directories ---


def test_directories_nest(inbox: Inbox) -> None:
    path = inbox.path
    for depth in range(12):
        path = path / f"d{depth}"
        path.mkdir()
        (path / "name").write_bytes(b"at depth %d" % depth)
        inbox.require(path / "name", b"at depth %d" % depth)
    # The text of the links leads to the blobs when it is followed, on the disk of the store too.
    on_disk = inbox.store / "incoming" / path.relative_to(inbox.path) / "name"
    assert on_disk.read_bytes() == b"at depth 11"
    shutil.rmtree(inbox / "d0")
    assert os.listdir(inbox.path) == []


def test_a_pin_that_is_renamed_to_another_depth_leads_to_its_content(inbox: Inbox) -> None:
    (inbox / "a/b/c").mkdir(parents=True)
    (inbox / "name").write_bytes(b"moved about")
    for place in ("a/name", "a/b/c/name", "a/b/name", "name"):
        (before,) = inbox.path.rglob("name")
        os.rename(before, inbox / place)
        inbox.require(inbox / place, b"moved about")


def test_a_directory_with_all_that_is_in_it_is_renamed(inbox: Inbox) -> None:
    (inbox / "a/b").mkdir(parents=True)
    (inbox / "a/pin").write_bytes(b"a pin")
    (inbox / "a/b/pin").write_bytes(b"another")
    (inbox / "a/b/empty").touch()
    os.rename(inbox / "a", inbox / "z")
    inbox.require(inbox / "z/pin", b"a pin")
    inbox.require(inbox / "z/b/pin", b"another")
    inbox.require_waiting(inbox / "z/b/empty", b"")
    assert failure(os.stat, inbox / "a") == "ENOENT"


def test_directories_answer_as_everywhere(inbox: Inbox) -> None:
    (inbox / "full").mkdir()
    (inbox / "full/pin").write_bytes(b"pin in full")
    (inbox / "empty").mkdir()
    (inbox / "file").write_bytes(b"a file")
    assert failure(os.mkdir, inbox / "full") == "EEXIST"
    assert failure(os.mkdir, inbox / "file") == "EEXIST"
    assert failure(os.rmdir, inbox / "full") == "ENOTEMPTY"
    assert failure(os.rmdir, inbox / "file") == "ENOTDIR"
    assert failure(os.rmdir, inbox / "absent") == "ENOENT"
    assert failure(os.unlink, inbox / "empty") in ("EISDIR", "EPERM")
    assert failure(os.unlink, inbox / "absent") == "ENOENT"
    assert failure(os.rename, inbox / "empty", inbox / "full") == "ENOTEMPTY"
    assert failure(os.rename, inbox / "file", inbox / "empty") == "EISDIR"
    assert failure(os.rename, inbox / "empty", inbox / "file") == "ENOTDIR"
    assert failure(os.rename, inbox / "full", inbox / "full/deeper") == "EINVAL"
    assert failure(os.rename, inbox / "absent", inbox / "other") == "ENOENT"
    os.rename(inbox / "full", inbox / "empty")
    inbox.require(inbox / "empty/pin", b"pin in full")


def test_a_directory_with_a_refused_file_is_removed_with_it(inbox: Inbox) -> None:
    (inbox / "d").mkdir()
    assert failure((inbox / "d" / sha256(b"other")).write_bytes, b"this") == "EBADMSG"
    assert failure(os.rmdir, inbox / "d") == "ENOTEMPTY"
    run("rm", "-r", inbox / "d")
    assert os.listdir(inbox.path) == []


# --- links and other kinds ---


def test_stored_content_is_pinned_by_ln(inbox: Inbox) -> None:
    data = some_bytes("linked")
    (inbox / "name").write_bytes(data)
    digest = sha256(data)
    blob = inbox.mounted.path / "blobs/sha256" / digest
    run("ln", "-s", blob, inbox / "link")
    inbox.require(inbox / "link", data)
    os.symlink(f"anything/sha256/{digest}", inbox / digest)
    inbox.require(inbox / digest, data)
    absent = sha256(b"absent")
    assert failure(os.symlink, f"../blobs/sha256/{absent}", inbox / "absent") == "ENOENT"
    assert failure(os.symlink, f"../blobs/sha256/{digest}", inbox / absent) == "EBADMSG"
    assert failure(os.symlink, "/etc/passwd", inbox / "other") == "EPERM"
    assert failure(os.symlink, f"x/sha256/{digest}", inbox / "name") == "EEXIST"
    run("ln", "-sfn", f"../blobs/sha256/{digest}", inbox / "name")
    inbox.require(inbox / "name", data)


def test_only_files_directories_and_pins_can_be_made(inbox: Inbox) -> None:
    (inbox / "name").write_bytes(b"data")
    assert failure(os.mkfifo, inbox / "fifo") == "EPERM"
    assert failure(os.mknod, inbox / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3)) == "EPERM"
    assert failure(os.link, inbox / "name", inbox / "hard") in ("EPERM", "EXDEV")
    os.mknod(inbox / "plain", stat.S_IFREG | 0o600)
    inbox.require_waiting(inbox / "plain", b"")
    assert sorted(os.listdir(inbox.path)) == ["name", "plain"]


def test_rename_without_replacing(inbox: Inbox) -> None:
    (inbox / "name").write_bytes(b"name")
    (inbox / "target").write_bytes(b"target")
    run("mv", "-n", inbox / "name", inbox / "target")
    inbox.require(inbox / "target", b"target")
    run("mv", "-b", inbox / "name", inbox / "target")
    inbox.require(inbox / "target", b"name")
    inbox.require(inbox / "target~", b"target")


def test_what_is_moved_out_is_moved(inbox: Inbox, tmp_path: Path) -> None:
    data = some_bytes("out")
    (inbox / "name").write_bytes(data)
    run("cp", "-L", inbox / "name", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    (inbox / ".name.a1B2c3").write_bytes(data)
    run("mv", inbox / ".name.a1B2c3", tmp_path / "moved")
    assert (tmp_path / "moved").read_bytes() == data
    assert os.listdir(inbox.path) == ["name"]
