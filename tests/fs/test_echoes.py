"""What is not told to the kernel, or later: changes that are its own, and names that are in use."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rossfs.fs import notify
from rossfs.fs.notify import Watcher
from tests.fs.watching import (
    Digests,
    Place,
    Told,
    running,
    until,
    watched,
)


async def test_our_own_changes_are_not_told(watcher: Watcher, told: Told, tmp_path: Path) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Place(ino=8, paths=[str(tmp_path)]))
    async with running(watcher):
        with watcher.suppressed(7, b"ours"):
            (tmp_path / "ours").write_text("x")
        (tmp_path / "theirs").write_text("x")
        await until(told, (7, b"theirs"), (8, b"theirs"), (8, b"ours"))


async def test_changes_are_told_again_after_a_while(
    watcher: Watcher, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "ECHO", 0.0)
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    async with running(watcher):
        with watcher.suppressed(7, b"x"):
            pass
        (tmp_path / "x").write_text("x")
        await until(told, (7, b"x"))


async def test_nothing_is_told_while_a_handler_waits(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Place(ino=8, paths=[str(tmp_path)]))
    async with running(watcher):
        with watcher.handling(7), watcher.suppressed(7, b"ours"):
            (tmp_path / "x").write_text("x")
            (tmp_path / "ours").write_text("x")
            await until(told, (8, b"x"), (8, b"ours"))
            await trio.sleep(0.01)
            assert not told
        await until(told, (7, b"x"))


async def test_what_waits_is_dropped_when_the_kernel_forgets(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    place = watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Place(ino=8, paths=[str(tmp_path)]))
    async with running(watcher):
        with watcher.handling(7):
            (tmp_path / "x").write_text("x")
            await until(told, (8, b"x"))
            watcher.vanished(place)
        await wait_all_tasks_blocked()
        assert not told


def test_expected_echoes_do_not_pile_up(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "ECHO", 0.0)
    for number in range(3 * notify._MANY):
        with watcher.suppressed(7, b"%d" % number):
            pass
    assert len(watcher._echoes) <= notify._MANY + 1


async def test_what_a_failed_change_names_is_told(
    watcher: Watcher, told: Told, tmp_path: Path
) -> None:
    for name in ("x", "y"):
        (tmp_path / name).write_text("x")
    watched(watcher, Place(ino=7, paths=[str(tmp_path)]))
    async with running(watcher):
        with suppress(OSError), watcher.suppressed(7, b"x"):
            os.unlink(tmp_path / "y")
            raise OSError(errno.EBUSY, "busy")
        os.unlink(tmp_path / "x")
        await until(told, (7, b"x"), (7, b"y"))


async def test_what_is_cached_for_ever_is_told_late(
    watcher: Watcher, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "ECHO", 0.2)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text("x")
    watched(watcher, Digests(ino=7, paths=[str(tmp_path)]))
    watched(watcher, Place(ino=8, paths=[str(tmp_path)]))
    async with running(watcher):
        begin = time.monotonic()
        for name in ("a", "b"):
            with watcher.suppressed(7, name.encode()), watcher.suppressed(8, name.encode()):
                os.unlink(tmp_path / name)
        os.unlink(tmp_path / "c")
        await until(told, (7, b"c"), (8, b"c"))
        await until(told, (7, b"a"), (7, b"b"))
        assert time.monotonic() - begin >= 0.2
