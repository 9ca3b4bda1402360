"""What holds of every mount, tried on mounts of everything and of nothing, for changes or not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import mounts
from tests.mount.gallery import Shown, gallery
from tests.suites.mount_suite import CHECKS, REFUSALS, Check, name_of, refused, walk

pytestmark = pytest.mark.fuse


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The same, mounted with ro."""
    top = tmp_path_factory.mktemp("read-only")
    content = gallery(top / "store")
    with mounts.mounted(content.store.root, top / "mnt", top / "log", "ro") as it:
        yield Shown(content, it)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A mount of a store with nothing in it."""
    top = tmp_path_factory.mktemp("empty")
    (top / "store").mkdir()
    assert mounts.rossfs("--store", top / "store", "init").returncode == 0
    with mounts.mounted(top / "store", top / "mnt", top / "log") as it:
        yield Shown(gallery(top / "other"), it)


@pytest.mark.parametrize("check", [*CHECKS, *REFUSALS], ids=name_of)
def test_a_mount_of_everything(check: Check, shown: Shown) -> None:
    check(shown.path)


@pytest.mark.parametrize("check", [*CHECKS, *REFUSALS], ids=name_of)
def test_a_read_only_mount(check: Check, read_only: Shown) -> None:
    check(read_only.path)


@pytest.mark.parametrize("check", [*CHECKS, *REFUSALS], ids=name_of)
def test_a_mount_of_an_empty_store(check: Check, empty: Shown) -> None:
    check(empty.path)


def test_nothing_at_all_changes_through_a_mount_with_ro(read_only: Shown) -> None:
    path, app = read_only.path, read_only.content.app
    tag = path / "tags/library/app/latest"
    before = _native(read_only)
    assert refused(os.unlink, tag) == "EROFS"
    assert refused(os.rename, tag, path / "tags/library/app/other") == "EROFS"
    assert refused(os.symlink, f"/x/sha256/{app.manifest.hex}", path / "tags/a/b") in {
        "EROFS",
        "ENOENT",
    }
    assert refused(os.mkdir, path / "tags/new") == "EROFS"
    assert refused(os.rmdir, path / "tags/library") == "EROFS"
    assert refused(os.unlink, read_only.blob(read_only.content.empty)) == "EROFS"
    assert refused(os.mkdir, path / "incoming/new") == "EROFS"
    assert refused(os.open, path / "incoming/new", os.O_WRONLY | os.O_CREAT) == "EROFS"
    assert refused(os.chmod, read_only.blob(read_only.content.empty), 0o600) == "EROFS"
    assert refused(os.utime, tag) == "EROFS"
    after = _native(read_only)
    assert before == after


def test_a_mount_with_ro_writes_nothing_to_the_store(read_only: Shown) -> None:
    """Not even what it found out about content that has no .meta."""
    assert read_only.blob(read_only.content.unfinished).read_bytes() == b"no meta"
    assert not read_only.content.store.meta_path(read_only.content.unfinished).exists()
    assert "format" not in os.listdir(read_only.content.store.root)


def _native(shown: Shown) -> dict[str, int]:
    return {entry.path: status.st_mtime_ns for entry, status in walk(shown.content.store.root)}
