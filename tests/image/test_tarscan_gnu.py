"""Archives that GNU tar writes, in each of its formats."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from pathlib import Path

import pytest

from rossfs.image.tarscan import HARDLINK, TarEntry
from tests.image.scanning import check, content, scan

FORMATS = ("v7", "oldgnu", "gnu", "ustar", "posix")
LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 120


def tar(directory: Path, *options: str) -> bytes:
    """The archive that GNU tar makes of *directory*, sorted."""
    command = ["tar", "-C", str(directory), "--sort=name", *options, "-c", "."]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def compare(entry: TarEntry, root: Path, archive: bytes, form: str) -> None:
    """Check *entry* against the file below *root* that it was made of."""
    check(entry, len(archive))
    path = root / os.fsdecode(entry.path)
    real = path.lstat()
    assert (entry.mode, entry.uid, entry.gid) == (
        stat.S_IMODE(real.st_mode),
        real.st_uid,
        real.st_gid,
    )
    exact = real.st_mtime_ns if form == "posix" else real.st_mtime_ns // 10**9 * 10**9
    assert entry.mtime_ns == exact
    if entry.kind == HARDLINK:
        assert path.samefile(root / os.fsdecode(entry.linkname))
        return
    assert entry.kind == stat.S_IFMT(real.st_mode)
    if entry.kind == stat.S_IFREG:
        assert entry.size == real.st_size
        assert content(archive, entry) == path.read_bytes()
    elif entry.kind == stat.S_IFLNK:
        assert entry.linkname == os.fsencode(path.readlink())


@pytest.mark.parametrize("form", FORMATS)
def test_a_tree_is_told_as_it_is_on_disk(form: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"some data")
    (tmp_path / "a").chmod(0o4755)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "dir" / "deep").mkdir(parents=True)
    (tmp_path / "dir").chmod(0o1777)
    (tmp_path / "dir" / "caf\udce9\n").write_bytes(b"x" * 5000)
    (tmp_path / "sym").symlink_to("../\udcff somewhere")
    if form != "v7":
        os.mkfifo(tmp_path / "fifo")
    os.utime(tmp_path / "a", ns=(0, 1_600_000_000_123_456_789))
    if form in ("gnu", "oldgnu", "posix"):
        (tmp_path / LONG).parent.mkdir(parents=True)
        (tmp_path / LONG).write_bytes(b"long")
        (tmp_path / "longlink").symlink_to("x" * 300)
        os.utime(tmp_path / "dir" / "deep", (0, -5_000_000_000))
        os.utime(tmp_path / "fifo", (0, 9_000_000_000))
    archive = tar(tmp_path, f"--format={form}")
    found = scan(archive)
    assert found.refusals == []
    on_disk = {os.fsencode(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert set(found.paths) == {b""} | on_disk
    for entry in found.entries:
        compare(entry, tmp_path, archive, form)


@pytest.mark.parametrize("form", ["oldgnu", "gnu", "0.0", "0.1", "1.0"])
@pytest.mark.parametrize("seed", range(3))
def test_sparse_files_are_told_as_they_are_on_disk(form: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for number, pieces in enumerate([0, 1, 3, 4, 5, 24, 25, 26, 47, chance.randrange(60, 200)]):
        with (tmp_path / f"{number}").open("wb") as file:
            for _ in range(pieces):
                file.seek(chance.randrange(8, 20) * 512, os.SEEK_CUR)
                file.write(chance.randbytes(chance.choice([1, 512, 700, 1024])))
            file.truncate(file.tell() + chance.choice([0, 1, 5000]))
    options = (
        [f"--format={form}"] if "." not in form else ["--format=posix", f"--sparse-version={form}"]
    )
    archive = tar(tmp_path, "--sparse", "--hole-detection=raw", *options)
    found = scan(archive, sorted(chance.randrange(len(archive)) for _ in range(50)))
    assert found.refusals == []
    assert sum(entry.sparse is not None for entry in found.entries) >= 9
    for entry in found.entries:
        compare(entry, tmp_path, archive, "posix" if "." in form else form)


def test_the_label_of_a_volume_is_no_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    found = scan(tar(tmp_path, "--format=gnu", "--label=name of the volume"))
    assert (found.paths, found.refusals) == ([b"", b"a"], [])


def test_an_archive_that_grew_holds_all_entries(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    archive = tmp_path / "a.tar"
    for options in (["-c"], ["-r"]):
        subprocess.run(
            ["tar", "-C", tmp_path, *options, "-f", archive, "a"], timeout=60, check=True
        )
    assert scan(archive.read_bytes()).paths == [b"a", b"a"]


def test_attributes_are_told_as_they_are_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    value = bytes(range(256)) * 4
    os.setxattr(tmp_path / "a", "user.binary", value)
    os.setxattr(tmp_path / "a", "user.empty", b"")
    archive = tar(tmp_path, "--format=posix", "--xattrs")
    (entry,) = [entry for entry in scan(archive).entries if entry.path == b"a"]
    assert entry.xattrs == {b"user.binary": value, b"user.empty": b""}
