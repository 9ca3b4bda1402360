import errno
import os
import stat
from pathlib import Path

import pytest

from rossfs.errors import ReadOnlyStore, StoreFull
from rossfs.store import durable


class Died(BaseException):
    """Stands for the end of the process."""


def die_at(name: str) -> None:
    def die(step: str) -> None:
        if step == name:
            raise Died

    durable.reached = die


def test_a_file_is_replaced_in_this_order(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "scratch").mkdir()
    durable.replace_file(str(tmp_path / "file"), b"new", str(tmp_path / "scratch"), "tag")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert steps == ["tag: written", "tag: synced", "tag: renamed", "tag: directory synced"]
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize(
    ("step", "expected"),
    [("written", b"old"), ("synced", b"old"), ("renamed", b"new"), ("directory synced", b"new")],
)
def test_dying_at_any_step_leaves_the_old_file_or_the_new(
    tmp_path: Path, steps: list[str], step: str, expected: bytes
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    die_at(f"tag: {step}")
    with pytest.raises(Died):
        durable.replace_file(str(target), b"new", str(tmp_path / "scratch"), "tag")
    assert target.read_bytes() == expected


def test_who_lets_the_disk_begin_hears_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    with (tmp_path / "file").open("rb") as file:
        durable.begin_sync(file.fileno(), 0, 5)
        durable.begin_sync(file.fileno(), 3, 1 << 40)
    for end in os.pipe():
        durable.begin_sync(end, 0, 1)
        os.close(end)
    durable.begin_sync(-1, 0, 1)


def test_missing_directories_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file"
    durable.replace_file(str(target), b"data", str(tmp_path / "x" / "scratch"), "meta")
    assert target.read_bytes() == b"data"


def test_the_mode_of_a_file_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        durable.replace_file(str(tmp_path / "file"), b"", str(tmp_path), "meta", 0o644)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_full_disk_is_told_with_the_name_of_the_file() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(StoreFull, match="no room to write /store/blob"):
            durable.write_all(fd, b"data", "/store/blob")
    finally:
        os.close(fd)


def test_a_read_only_file_system_is_told_with_the_name_of_the_file() -> None:
    with pytest.raises(ReadOnlyStore, match="cannot write /store"), durable.explained("/store"):
        raise OSError(30, "Read-only file system")


def test_a_failed_replacement_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "target" / "full").mkdir(parents=True)
    scratch = tmp_path / "scratch"
    with pytest.raises(IsADirectoryError):
        durable.replace_file(str(tmp_path / "target"), b"data", str(scratch), "meta")
    assert not list(scratch.iterdir())


def test_linking_says_whether_the_name_was_free(tmp_path: Path, steps: list[str]) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"data")
    target = tmp_path / "new" / "target"
    assert durable.link(str(source), str(target), "index link")
    assert not durable.link(str(source), str(target), "index link")
    assert target.stat().st_ino == source.stat().st_ino
    assert steps.count("index link: linked") == 1


def test_linking_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.link(str(tmp_path / "none"), str(tmp_path / "target"), "index link")


def test_publishing_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.publish(str(tmp_path / "none"), str(tmp_path / "target"), "blob")


def test_a_symbolic_link_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    durable.symlink("../blobs/one", str(path), str(tmp_path / "scratch"), "pin")
    durable.symlink("../blobs/two", str(path), str(tmp_path / "scratch"), "pin")
    assert os.readlink(path) == "../blobs/two"
    assert not list((tmp_path / "scratch").iterdir())


def test_removing_says_whether_it_was_there(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "file").touch()
    assert durable.remove(str(tmp_path / "file"), "blob")
    assert not durable.remove(str(tmp_path / "file"), "blob")
    assert steps == ["blob: removed", "blob: directory synced"]


def test_renaming_syncs_both_directories(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").touch()
    durable.rename(str(tmp_path / "a" / "file"), str(tmp_path / "b" / "file"), "tag")
    assert steps == ["tag: renamed", "tag: directory synced", "tag: directory synced"]


def test_making_a_directory_that_exists_is_right(tmp_path: Path, steps: list[str]) -> None:
    durable.make_directory(str(tmp_path / "a" / "b"), "repository")
    durable.make_directory(str(tmp_path / "a" / "b"), "repository")
    assert (tmp_path / "a" / "b").is_dir()
    assert steps.count("repository: made") == 2


def test_a_directory_with_something_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(OSError, match="not empty"):
        durable.remove_directory(str(tmp_path / "a"), "repository")
    durable.remove_directory(str(tmp_path / "a" / "b"), "repository")
    assert not (tmp_path / "a" / "b").exists()


def test_touching_leaves_the_access_time_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.utime(path, ns=(5, 6))
    durable.touch(str(path), 1_700_000_000_123_456_789)
    assert path.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert path.stat().st_atime_ns == 5


def test_files_removed_together_are_synced_once(tmp_path: Path, steps: list[str]) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.touch()
    durable.remove_together([str(tmp_path / "none"), *map(str, paths)], "blob")
    assert not any(path.exists() for path in paths)
    assert steps == ["blob: removed", "blob: removed", "blob: directory synced"]


def test_discarding_never_complains(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    durable.discard(str(tmp_path / "file"))
    durable.discard(str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()


def test_a_file_that_cannot_be_given_its_mode_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError):
        durable.create(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    # mkdir(2) says ENOENT of both, though what is above is there.
    (tmp_path / "link").symlink_to("nowhere")
    for path in (f"{tmp_path}/link/x", "/proc/rossfs-test"):
        with pytest.raises(FileNotFoundError) as caught:
            durable.make_directory(path, "store")
        assert caught.value.filename == path
