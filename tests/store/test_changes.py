"""Noticing what changes in directories of a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.store import changes
from rossfs.store.changes import Changes


@pytest.fixture
def watching() -> Iterator[Changes]:
    made = Changes()
    yield made
    made.close()


def write(path: Path) -> None:
    path.write_bytes(b"x")


CHANGES: dict[str, Callable[[Path], object]] = {
    "made": lambda top: write(top / "new"),
    "written in place": lambda top: write(top / "old"),
    "removed": lambda top: (top / "old").unlink(),
    "replaced": lambda top: os.replace(top / "old", top / "other"),
    "directory made": lambda top: (top / "sub").mkdir(),
    "directory removed": lambda top: (top / "empty").rmdir(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_once_and_at_once(tmp_path: Path, watching: Changes, change: str) -> None:
    write(tmp_path / "old")
    (tmp_path / "empty").mkdir()
    watching.watch(str(tmp_path))
    assert not watching.happened()
    CHANGES[change](tmp_path)
    assert watching.happened()
    assert not watching.happened()


def test_reading_is_no_change(tmp_path: Path, watching: Changes) -> None:
    write(tmp_path / "old")
    watching.watch(str(tmp_path))
    os.listdir(tmp_path)
    (tmp_path / "old").read_bytes()
    assert not watching.happened()


def test_many_changes_are_one(tmp_path: Path, watching: Changes) -> None:
    watching.watch(str(tmp_path))
    for number in range(5000):
        write(tmp_path / str(number % 7))
    assert watching.happened()
    assert not watching.happened()


def test_what_is_missing_is_no_error(tmp_path: Path, watching: Changes) -> None:
    watching.watch(str(tmp_path))
    watching.watch(str(tmp_path / "missing"))
    assert not watching.happened()
    (tmp_path / "missing").mkdir()
    assert watching.happened()


def test_what_cannot_be_watched_counts_as_changed_after_a_while(
    tmp_path: Path, watching: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST", 0)
    watching.watch(str(tmp_path))
    assert not watching.happened()
    monkeypatch.setattr(changes, "BLIND", 0.0)
    assert watching.happened()
    assert watching.happened()


def test_it_does_without_inotify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> object:
        raise OSError(24, "too many")

    monkeypatch.setattr(changes, "INotify", refuse)
    blind = Changes()
    blind.watch(str(tmp_path))
    assert not blind.happened()
    monkeypatch.setattr(changes, "BLIND", 0.0)
    assert blind.happened()
    blind.close()


def test_what_changed_is_told_by_name(tmp_path: Path, watching: Changes) -> None:
    (tmp_path / "sub").mkdir()
    assert watching.told() is None, "nobody knows what was before"
    watching.watch(str(tmp_path))
    watching.watch(str(tmp_path / "sub"), quiet=True)
    assert watching.told() == {}
    write(tmp_path / "sub/one")
    assert not watching.happened()
    write(tmp_path / "two")
    assert watching.happened()
    (tmp_path / "two").rename(tmp_path / "three")
    assert watching.told() == {str(tmp_path): {"two", "three"}, str(tmp_path / "sub"): {"one"}}
    assert watching.told() == {}


def test_anything_may_have_changed_where_names_do_not_tell(
    tmp_path: Path, watching: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_MOST_NAMES", 4)
    (tmp_path / "sub").mkdir()
    watching.told()
    watching.watch(str(tmp_path / "sub"))
    for name in "abc":
        write(tmp_path / "sub" / name)
    assert watching.told() is None
    assert watching.told() == {}
    (tmp_path / "sub").rename(tmp_path / "other")
    assert watching.told() is None
    monkeypatch.setattr(changes, "MOST", 1)
    watching.watch(str(tmp_path))
    assert watching.told() is None
