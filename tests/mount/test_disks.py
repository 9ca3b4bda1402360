"""Stores on disks that are full or cannot be written.

Each test is a script in a mount namespace of its own, which ends with it, whatever happens.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.mounts import ROOT

pytestmark = pytest.mark.fuse

BEFORE = """
import os, subprocess, sys, time
from pathlib import Path
from tests import builders, mounts
from tests.builders import digest_of
from tests.mount.waiting import eventually, leads_to, text_of
from tests.suites.mount_suite import everything_hashes_to_its_name, refused

top = Path(sys.argv[1])
disk = top / "disk"
disk.mkdir()

def disk_of(size):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)

def remount(how):
    # A file that was closed is let go of by its RELEASE, for which close(2) does not wait.
    deadline = time.monotonic() + 20
    while (done := run("mount", "-o", f"remount,{how}", disk)).returncode:
        assert "busy" in done.stderr and time.monotonic() < deadline, done.stderr
        time.sleep(0.05)

def run(*command):
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

def mounted(*options):
    return mounts.mounted(disk / "store", top / "mnt", top / "log", *options)

def fill(leaving=0):
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (1 << 16, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
        file.truncate(max(0, file.tell() - leaving))
"""


def run_alone(script: str, tmp_path: Path) -> None:
    """Run a script with mounts of its own; it must succeed."""
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", BEFORE + textwrap.dedent(script), str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    log = tmp_path / "log"
    told = log.read_text(errors="replace") if log.exists() else ""
    assert done.returncode == 0, f"{done.stderr}\n{told}"


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    run_alone(
        """
        disk_of("4m")
        store = builders.ross_store(disk / "store")
        image = builders.image(store, "app", tag="lab/app:v1")
        (top / "large").write_bytes(os.urandom(6 << 20))
        with mounted() as server:
            server.expect_log("no room|No space|full")
            path = server.path
            (path / "incoming/before").write_bytes(b"before")
            done = run("cp", top / "large", path / "incoming/large")
            assert done.returncode != 0, done
            assert "No space left on device" in done.stderr, done
            assert text_of(path / "incoming/before") != ""

            # A part of a file is no content, whatever becomes of it.
            part = path / "incoming/large"
            for name in ("incoming/large", "incoming/other"):
                part = part.rename(path / name)
                assert part.is_file() and not part.is_symlink()
                assert b"No space left on device" in os.getxattr(part, "user.ross.error")
                assert refused(os.utime, part) == ""
                assert refused(os.close, os.open(part, os.O_WRONLY | os.O_APPEND)) == "ENOSPC"
            assert len(os.listdir(path / "blobs/sha256")) == 5
            remount("size=16m")
            assert run("cp", top / "large", part).returncode == 0
            assert part.read_bytes() == (top / "large").read_bytes()
            assert part.is_symlink()
            os.unlink(part)
            assert mounts.rossfs("--store", disk / "store", "gc", "--grace", "0").returncode == 0
            remount("size=4m")
            (path / "incoming/after").write_bytes(b"after")  # there is room again
            assert (path / "incoming/after").read_bytes() == b"after"

            fill()
            tag = f"/sha256/{image.manifest.hex}"
            answers = {
                refused(os.symlink, tag, path / "tags/lab/app/v2"),
                refused(os.mkdir, path / "incoming/directory"),
                refused((path / "incoming/full").write_bytes, b"x" * 100_000),
            }
            assert answers <= {"ENOSPC", ""}, answers
            assert "ENOSPC" in answers
            everything_hashes_to_its_name(path)
            assert (path / "tags/lab/app/v1/manifest.json").read_bytes() == image.parts.manifest
            assert leads_to(path / "tags/lab/app/v1", image.manifest)

            os.unlink(disk / "filler")
            for name in os.listdir(path / "incoming"):
                if not (path / "incoming" / name).is_symlink():
                    entry = path / "incoming" / name
                    entry.rmdir() if entry.is_dir() else entry.unlink()
            data = os.urandom(500_000)
            (path / "incoming/again").write_bytes(data)
            assert (path / "incoming/again").read_bytes() == data
            assert (path / "incoming/before").read_bytes() == b"before"
        from rossfs.store.store import Store
        with Store.open(str(disk / "store")) as opened:
            opened.garbage_collect()
            assert not [finding for finding in opened.fsck() if finding.is_damage]
            assert opened.get_blob(digest_of(b"before")) == b"before"
        """,
        tmp_path,
    )


@pytest.mark.parametrize("leaving", [0, 4096, 8192, 16384, 40960])
def test_a_disk_that_becomes_full_during_a_commit(tmp_path: Path, leaving: int) -> None:
    """At each of its steps: the file is stored, or close(2) says that it is not."""
    run_alone(
        f"""
        disk_of("3m")
        builders.ross_store(disk / "store")
        with mounted() as server:
            server.expect_log("no room|No space|full|not committed")
            path = server.path
            (path / "incoming/first").write_bytes(b"first")
            fill({leaving})
            for number in range(6):
                data = b"%d " % number * 1000
                answer = refused((path / f"incoming/n{{number}}").write_bytes, data)
                assert answer in ("", "ENOSPC"), answer
                if not answer:
                    assert (path / f"incoming/n{{number}}").read_bytes() == data
            os.unlink(disk / "filler")
            for number in range(6):
                name = path / f"incoming/n{{number}}"
                if os.path.lexists(name) and not name.is_symlink():
                    name.unlink()
            (path / "incoming/last").write_bytes(b"last")
            assert (path / "incoming/last").read_bytes() == b"last"
            assert (path / "incoming/first").read_bytes() == b"first"
            everything_hashes_to_its_name(path)
        from rossfs.store.store import Store
        with Store.open(str(disk / "store")) as opened:
            opened.garbage_collect()
            assert not [finding for finding in opened.fsck() if finding.is_damage]
        """,
        tmp_path,
    )


def test_a_store_on_a_read_only_disk_is_a_read_only_mount(tmp_path: Path) -> None:
    run_alone(
        """
        disk_of("4m")
        store = builders.ross_store(disk / "store")
        image = builders.image(store, "app", tag="lab/app:v1")
        bare = store.put_blob(builders.OCTET_STREAM, b"no meta", meta=False)
        remount("ro")
        with mounted() as server:
            path = server.path
            assert "ro" in server.in_table().options.split(",")
            everything_hashes_to_its_name(path)
            assert (path / "blobs/sha256" / bare.hex).read_bytes() == b"no meta"
            assert refused(os.mkdir, path / "tags/new") == "EROFS"
            assert refused((path / "incoming/x").write_bytes, b"x") == "EROFS"
            assert refused(os.unlink, path / "tags/lab/app/v1") == "EROFS"
            assert leads_to(path / "tags/lab/app/v1", image.manifest)
        for command in (["tag", "app", "x"], ["gc"], ["put", str(top / "log")], ["rm", str(bare)]):
            done = mounts.rossfs("--store", disk / "store", *command)
            assert done.returncode != 0 and done.stderr.count(b"\\n") == 1, done
        """,
        tmp_path,
    )


def test_a_disk_that_becomes_read_only_below_a_live_mount(tmp_path: Path) -> None:
    run_alone(
        """
        disk_of("4m")
        store = builders.ross_store(disk / "store")
        image = builders.image(store, "app", tag="lab/app:v1")
        with mounted() as server:
            server.expect_log("ead-only")
            path = server.path
            (path / "incoming/before").write_bytes(b"before")
            remount("ro")
            everything_hashes_to_its_name(path)
            assert refused((path / "incoming/x").write_bytes, b"x") == "EROFS"
            assert refused(os.unlink, path / "incoming/before") == "EROFS"
            assert refused(os.mkdir, path / "tags/new") == "EROFS"
            assert refused(os.unlink, path / "tags/lab/app/v1") == "EROFS"
            link = f"/sha256/{image.manifest.hex}"
            assert refused(os.symlink, link, path / "tags/lab/app/v2") == "EROFS"
            assert leads_to(path / "tags/lab/app/v1", image.manifest)
            remount("rw")
            (path / "incoming/after").write_bytes(b"after")
            assert (path / "incoming/after").read_bytes() == b"after"
            assert (path / "incoming/before").read_bytes() == b"before"
        """,
        tmp_path,
    )


def test_a_store_that_this_user_may_not_write(tmp_path: Path) -> None:
    """Bound read-only: root may write what modes forbid."""
    run_alone(
        """
        store = builders.ross_store(disk / "store")
        builders.image(store, "app", tag="lab/app:v1")
        subprocess.run(["mount", "--bind", disk / "store", disk / "store"], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", disk / "store"], check=True)
        with mounted() as server:
            everything_hashes_to_its_name(server.path)
            assert refused((server.path / "incoming/x").write_bytes, b"x") == "EROFS"
        """,
        tmp_path,
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x81\xa7version\x63", "99"),
        (b"\x82\xa7version\x01\xacincompatible\x91\xa6future", "future"),
        (b"not msgpack", "format"),
        (b"", "format"),
    ],
)
def test_a_store_of_an_unknown_format(tmp_path: Path, content: bytes, reason: str) -> None:
    run_alone(
        f"""
        store = builders.ross_store(disk / "store")
        (store.root / "format").write_bytes({content!r})
        for command in (["mount", store.root, disk], ["--store", store.root, "info"]):
            done = mounts.rossfs(*command)
            assert done.returncode == 6, done
            assert done.stderr.count(b"\\n") == 1, done
            assert str(disk).encode() in done.stderr
            assert {reason!r}.encode() in done.stderr, done
        """,
        tmp_path,
    )
