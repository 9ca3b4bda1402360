"""What a directory must be to be mounted on; mounts themselves are in tests/mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rossfs.errors import NotFound, RossfsError, UsageError
from rossfs.fs.mountpoint import canonical, prepare
from rossfs.fs.unmount import unmount


def test_a_directory_is_prepared_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert prepare(f"{tmp_path}/link/", "/store") == f"{tmp_path}/real"


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert canonical("a/../b") == f"{tmp_path}/b"


def test_links_on_the_way_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert canonical(f"{tmp_path}/link/deep") == f"{tmp_path}/real/deep"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("missing", NotFound, "does not exist"), ("file", UsageError, "is not a directory")],
)
def test_what_is_no_directory_is_refused(
    tmp_path: Path, name: str, error: type[RossfsError], words: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error, match=words):
        prepare(str(tmp_path / name), "/store")


@pytest.mark.parametrize("store", [".", "store", "link"])
def test_a_store_below_the_mount_point_would_wait_for_itself(tmp_path: Path, store: str) -> None:
    place = tmp_path / "place"
    (place / "store").mkdir(parents=True)
    (place / "link").symlink_to("store")
    with pytest.raises(UsageError, match="lies in the mount point"):
        prepare(str(place), str(place / store))


@pytest.mark.parametrize(
    "name", ["blobs", "blobs/sha256", "manifests", "indexes", "tags", "tags/a", "incoming", "pins"]
)
def test_a_mount_point_that_hides_content_would_wait_for_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / "store" / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("store")
    for store in ("store", "link"):
        with pytest.raises(UsageError, match="belongs to the store"):
            prepare(str(tmp_path / "link" / name), str(tmp_path / store))


def test_a_mount_point_in_the_store_is_fine(tmp_path: Path) -> None:
    (tmp_path / "store" / "mnt").mkdir(parents=True)
    prepare(str(tmp_path / "store" / "mnt"), str(tmp_path / "store"))


def test_a_neighbour_with_a_similar_name_is_fine(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "placebo").mkdir()
    prepare(str(tmp_path / "place"), str(tmp_path / "placebo"))


def test_unmounting_what_is_not_mounted_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing is mounted"):
        unmount(str(tmp_path))


def test_unmounting_what_is_not_ours_is_refused() -> None:
    with pytest.raises(NotFound, match="not rossfs"):
        unmount("/proc")
    assert os.path.exists("/proc/self")
