from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from rossfs.fs import notify
from rossfs.fs.attributes import Attributes
from rossfs.fs.inodes import Inodes
from rossfs.fs.notify import Watcher
from rossfs.tree.node import Directory
from tests.fs.memory import Memory
from tests.fs.watching import (
    Closed,
    Digests,
    Place,
    Suffixed,
    Told,
    becomes,
    running,
    until,
    watched,
)


async def test_changes_by_others_are_told(watcher: Watcher, told: Told, tmp_path: Path) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    async with running(watcher):
        (tmp_path / "new").write_text("created, then written and closed")
        await until(told, (7, b"new"))
        os.rename(tmp_path / "new", tmp_path / "moved")
        await until(told, (7, b"new"), (7, b"moved"))
        os.unlink(tmp_path / "moved")
        await until(told, (7, b"moved"))


async def test_names_are_bytes_of_any_kind(watcher: Watcher, told: Told, tmp_path: Path) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    name = b"\xff\n x"
    async with running(watcher):
        (tmp_path / os.fsdecode(name)).write_text("x")
        await until(told, (7, name))


async def test_a_name_is_told_once_for_a_burst(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    for _ in range(100):
        (tmp_path / "busy").write_text("x")
        (tmp_path / "busy").unlink()
    async with running(watcher):
        await until(told, (7, b"busy"))


async def test_a_new_name_is_news_only_if_absence_is_cached(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Closed(ino=8, paths=[str(tmp_path)]))
    async with running(watcher):
        os.mkdir(tmp_path / "directory")  # no file: nothing is written in it afterwards
        await until(told, (8, b"directory"))


async def test_a_digest_is_news_only_when_it_goes(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    watched(watcher, Digests(ino=7, paths=[str(tmp_path)]))
    async with running(watcher):
        (tmp_path / ".tmp").write_text("x")
        os.rename(tmp_path / ".tmp", tmp_path / "digest")
        await until(told, (7, b".tmp"))
        os.unlink(tmp_path / "digest")
        await until(told, (7, b"digest"))


async def test_the_directory_says_which_names_a_change_shows_as(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    watched(watcher, Suffixed(ino=7, paths=[str(tmp_path)]))
    async with running(watcher):
        (tmp_path / "ignored").write_text("x")
        (tmp_path / "tag.json").write_text("x")
        await until(told, (7, b"tag"))


async def test_one_path_can_be_shown_in_two_places(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Place(ino=8, paths=[str(tmp_path)]))
    assert len(watcher) == 1
    async with running(watcher):
        (tmp_path / "x").write_text("x")
        await until(told, (7, b"x"), (8, b"x"))


async def test_one_place_can_show_two_paths(watcher: Watcher, told: Told, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    watched(watcher, Place(ino=7, paths=[str(tmp_path / "a"), str(tmp_path / "b")]))
    async with running(watcher):
        (tmp_path / "a" / "x").write_text("x")
        (tmp_path / "b" / "y").write_text("x")
        await until(told, (7, b"x"), (7, b"y"))


# Which directories are watched


async def test_only_what_the_kernel_knows_is_watched(watcher: Watcher, tmp_path: Path) -> None:
    inodes = Inodes(Memory(ino=1), Attributes(0, 0), watcher.appeared, watcher.vanished)
    watcher.unwatched.clear()
    places = [Place(paths=[str(tmp_path)]) for _ in range(3)]
    for place in places:
        inodes.remember(place, 1)
    assert watcher.unwatched == {place.ino for place in places}
    assert len(watcher) == 0
    for place in places:
        watcher.watch(place)
    assert not watcher.unwatched
    assert len(watcher) == 1
    inodes.forget([(place.ino, 1) for place in places[1:]])
    assert len(watcher) == 1
    inodes.forget([(places[0].ino, 1)])
    assert len(watcher) == 0


def test_what_shows_no_path_is_never_asked_for(watcher: Watcher) -> None:
    class Still(Directory):
        def lookup(self, name: bytes) -> None:
            return None

        def entries(self) -> Sequence[None]:
            return ()

    watcher.appeared(Still(9))
    assert not watcher.unwatched


async def test_a_path_that_is_not_there_yet_is_tried_again(
    watcher: Watcher, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "RETRY", 0.0)
    place = watched(watcher, Place(ino=7, paths=[str(tmp_path / "later")]))
    assert watcher.unwatched == {7}
    (tmp_path / "later").mkdir()
    watcher.watch(place)
    assert not watcher.unwatched
    async with running(watcher):
        (tmp_path / "later" / "x").write_text("x")
        await until(told, (7, b"x"))


async def test_a_path_that_was_removed_is_watched_again(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    path = tmp_path / "repository"
    path.mkdir()
    place = watched(watcher, Place(ino=7, paths=[str(path)]))
    async with running(watcher):
        path.rmdir()
        await becomes(lambda: 7 in watcher.unwatched)
        path.mkdir()
        watcher.watch(place)
        (path / "x").write_text("x")
        await until(told, (7, b"x"))
    assert len(watcher) == 1


async def test_a_path_that_was_moved_away_is_not_believed(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    watched(watcher, Place(ino=7, paths=[str(path)]))
    async with running(watcher):
        os.rename(path, tmp_path / "away")
        await until(told, (1, b"tags"), (1, b"blobs"))
        assert watcher.unwatched == {7}
        (tmp_path / "away" / "x").write_text("x")
        await trio.sleep(0.05)
        assert not told


async def test_what_lies_below_a_moved_directory_is_watched_anew(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Place(ino=8, paths=[str(deep)]))
    watched(watcher, Place(ino=9, paths=[str(tmp_path / "ab")]))
    async with running(watcher):
        os.rename(tmp_path / "a", tmp_path / "c")
        await until(told, (7, b"a"), (7, b"c"))
    assert watcher.unwatched == {8}


@pytest.mark.expects_warnings
async def test_without_watches_the_mount_goes_on(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "RETRY", 0.0)
    place = Place(paths=["/proc/self/mem/nothing", "/" + "x" * 300])
    for _ in range(3):
        watched(watcher, place)
    assert len(watcher) == 0
    assert len(caplog.records) == 1, "one line for one kind of failure"


class Remembering(Place):
    """A directory that counts how often it was told to forget."""

    __slots__ = ("forgot",)

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(paths=paths)
        self.forgot: list[bytes | None] = []

    def changed_by_others(self, name: bytes | None) -> None:
        self.forgot.append(name)


@pytest.mark.expects_warnings
async def test_a_directory_that_cannot_be_watched_remembers_nothing(watcher: Watcher) -> None:
    place = Remembering(["/" + "x" * 300])
    for times in (1, 2, 3):
        watched(watcher, place)
        assert place.forgot == [None] * times


async def test_a_directory_forgets_before_the_kernel_does(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    place = Remembering([str(tmp_path)])
    watched(watcher, place)
    async with running(watcher):
        (tmp_path / "x").write_text("x")
        await until(told, (place.ino, b"x"))
    assert place.forgot == [b"x"]


# Lost events


def max_queued_events() -> int:
    """How many events wait until the next is lost (inotify(7))."""
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.mark.expects_warnings
async def test_lost_events_end_everything_that_is_cached(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    place = watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    (tmp_path / "b").write_text("x")
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    for _ in range(max_queued_events() // 2 + 100):
        here, there = there, here
        os.rename(here, there)  # two events
    async with running(watcher):
        await becomes(lambda: (1, b"tags") in told)
        assert {name for parent, name in told if parent == 1} == {b"tags", b"blobs"}
        assert watcher.unwatched == {7}
        told.clear()
        watcher.watch(place)
        (tmp_path / "x").write_text("x")
        await until(told, (7, b"x"))


@pytest.mark.expects_warnings
async def test_a_bug_in_a_directory_does_not_end_watching(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    class Buggy(Place):
        def shown_as(self, name: bytes) -> Sequence[bytes]:
            if name == b"bug":
                raise ZeroDivisionError
            return (name,)

    watched(watcher, Buggy(ino=7, paths=[str(tmp_path)]))
    async with running(watcher):
        (tmp_path / "bug").write_text("x")
        (tmp_path / "x").write_text("x")
        await until(told, (7, b"x"))
