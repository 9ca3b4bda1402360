import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import Conflict, ReadOnlyStore, StoreNotFound, UnknownFormat
from rossfs.store.access import Access
from tests.builders import OCTET_STREAM, ross_store


def tree(root: Path) -> dict[str, bytes | None]:
    """Every file below *root* with its bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


def test_a_store_of_ross_opens_and_is_left_as_it_is(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    ross.put_blob(OCTET_STREAM, b"bytes")
    before = tree(tmp_path)
    access = Access.open(str(tmp_path))
    assert access.writable
    assert tree(tmp_path) == before


def test_the_first_change_says_which_format_the_store_has(tmp_path: Path) -> None:
    ross_store(tmp_path)
    with Access.open(str(tmp_path)).writing():
        assert (tmp_path / "format").is_file()


def test_no_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no such directory"):
        Access.open(str(tmp_path / "none"))


def test_an_empty_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="rossfs init"):
        Access.open(str(tmp_path))


def test_a_new_store_is_empty_and_can_be_opened(tmp_path: Path) -> None:
    root = tmp_path / "a" / "store"
    Access.create(str(root))
    assert Access.open(str(root)).writable
    for area in ("blobs", "manifests", "indexes"):
        assert not list((root / area / "sha256").iterdir())


def test_creating_a_store_that_is_there_changes_nothing(tmp_path: Path) -> None:
    Access.create(str(tmp_path / "store"))
    before = tree(tmp_path)
    Access.create(str(tmp_path / "store"))
    assert tree(tmp_path) == before


def test_a_directory_with_something_else_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Conflict, match="is not empty"):
        Access.create(str(tmp_path))
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_a_store_opened_for_reading_cannot_be_changed(tmp_path: Path) -> None:
    ross_store(tmp_path)
    access = Access.open(str(tmp_path), read_only=True)
    with pytest.raises(ReadOnlyStore, match="for reading only"), access.writing():
        pass
    with pytest.raises(ReadOnlyStore, match="for reading only"), access.sweeping():
        pass
    assert not (tmp_path / "lock").exists()


def test_a_store_of_a_newer_rossfs_is_refused(tmp_path: Path) -> None:
    Access.create(str(tmp_path / "store"))
    (tmp_path / "store" / "format").write_bytes(b"\x81\xa7version\x07")
    with pytest.raises(UnknownFormat, match="version 7"):
        Access.open(str(tmp_path / "store"))


def test_an_oci_layout_is_no_store_though_it_has_blobs(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(StoreNotFound, match="rossfs import"):
        Access.open(str(tmp_path))


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreNotFound, match=r"file: it is not a directory$"):
        Access.open(f"{tmp_path}/file")
    with pytest.raises(StoreNotFound, match=r"file/x: Not a directory$"):
        Access.open(f"{tmp_path}/file/x")
    for path in ("file", "file/x"):
        with pytest.raises(Conflict, match=f"cannot make a store in .*/{path}: Not a directory"):
            Access.create(f"{tmp_path}/{path}")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that other users may enter."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, where we are root: modes mean nothing to root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("closed", ["parent/store", "parent"])
def test_a_store_that_cannot_be_looked_at_is_not_missing(reachable: Path, closed: str) -> None:
    store = f"{reachable}/parent/store"
    Access.create(store)
    (reachable / closed).chmod(0)
    try:
        with unprivileged():
            with pytest.raises(PermissionError, match="Permission denied"):
                Access.open(store)
            with pytest.raises(ReadOnlyStore, match=f"{store}: Permission denied"):
                Access.create(store)
    finally:
        (reachable / closed).chmod(0o755)


def test_a_store_that_may_not_be_made_is_told(reachable: Path) -> None:
    reachable.chmod(0o555)
    with unprivileged(), pytest.raises(ReadOnlyStore, match="new: Permission denied"):
        Access.create(f"{reachable}/new")
