"""`rossfs init`."""

from __future__ import annotations

from pathlib import Path

from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def test_an_empty_store_is_made(rossfs: Rossfs, tmp_path: Path) -> None:
    assert rossfs("init", tmp_path / "new").out == f"made an empty store in {tmp_path}/new\n"
    assert rossfs("--store", tmp_path / "other", "init").out.endswith(f"{tmp_path}/other\n")
    for name in ("new", "other"):
        with Store.open(str(tmp_path / name)) as made:
            assert made.get_store_info()[1:] == (0, 0, 0, 0)


def test_a_store_that_is_there_stays_as_it_is(rossfs: Rossfs, tmp_path: Path) -> None:
    ross = builders.ross_store(tmp_path / "ross")
    builders.image(ross, tag="library/app:v1")
    before = sorted(path for path in ross.root.rglob("*"))
    assert "already" in rossfs("init", ross.root).out
    assert sorted(path for path in ross.root.rglob("*")) == before


def test_a_directory_with_something_else_is_refused(rossfs: Rossfs, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "not empty" in rossfs("init", tmp_path / "full", status=5).err


def test_a_place_that_cannot_be_is_told_in_one_line(rossfs: Rossfs, tmp_path: Path) -> None:
    ended = rossfs("init", "/proc/rossfs-test", status=3)
    assert ended.err == "rossfs: /proc/rossfs-test: No such file or directory\n"
    (tmp_path / "file").touch()
    for name in ("file", "file/x"):
        ended = rossfs("init", tmp_path / name, status=5)
        assert ended.err == f"rossfs: cannot make a store in {tmp_path}/{name}: Not a directory\n"
