from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.errors import TooManyFiles
from rossfs.oci.digest import Digest
from rossfs.store import descriptors, meta, smallfile
from rossfs.store.descriptors import MOST, Descriptors, again, allowed
from rossfs.store.pins import Pins
from rossfs.store.store import Store
from tests.builders import OCTET_STREAM


class Open:
    """Something that was opened, and whether it still is."""

    def __init__(self, files: Descriptors) -> None:
        self.used = 0
        self.files = files
        self.open = True
        self.leased = self.stubborn = False
        files.opened(self)

    def held(self) -> bool:
        return self.leased

    def let_go(self) -> bool:
        self.open = self.stubborn
        return not self.stubborn

    def use(self) -> None:
        self.used = self.files.now


def are_open(*those: Open) -> list[bool]:
    return [one.open for one in those]


def test_more_than_may_be_open_are_not() -> None:
    files = Descriptors(lambda: 3)
    those = [Open(files) for _ in range(5)]
    assert are_open(*those) == [False, False, True, True, True]
    assert len(files) == 3


def test_what_was_used_least_recently_goes_first() -> None:
    files = Descriptors(lambda: 3)
    first, second, third = (Open(files) for _ in range(3))
    first.use()
    more = Open(files)
    assert are_open(first, second, third, more) == [True, False, True, True]
    third.use()
    more.use()
    one_more = Open(files)
    assert are_open(first, third, more, one_more) == [False, True, True, True]


def test_a_use_between_two_openings_lies_between_them() -> None:
    files = Descriptors(lambda: 3)
    first, second = Open(files), Open(files)
    first.use()
    third = Open(files)
    assert second.used < first.used < third.used


def test_what_is_needed_open_goes_last() -> None:
    files = Descriptors(lambda: 2)
    first, second = Open(files), Open(files)
    first.leased = True
    third = Open(files)
    assert are_open(first, second, third) == [True, False, True]
    third.leased = True
    fourth = Open(files)
    assert are_open(first, third, fourth) == [False, True, True]


def test_what_cannot_be_closed_counts_and_is_asked_again() -> None:
    files = Descriptors(lambda: 2)
    first = Open(files)
    first.stubborn = True
    second, third = Open(files), Open(files)
    assert are_open(first, second, third) == [True, False, True]
    assert len(files) == 2
    first.stubborn = False
    assert are_open(Open(files), first) == [True, False]


def test_some_room_is_made_at_once() -> None:
    files = Descriptors(lambda: 80)
    those = [Open(files) for _ in range(81)]
    assert those[0].open is those[10].open is False
    assert those[11].open
    assert len(files) == 70


def test_what_is_gone_does_not_count() -> None:
    files = Descriptors(lambda: 2)
    kept = Open(files)
    for _ in range(5):
        Open(files)
    gc.collect()
    assert kept.open
    assert len(files) == 1


def test_half_of_the_limit_may_be_kept_open() -> None:
    with limited(400):
        assert allowed() == 100  # of two descriptors each
    with limited(3):
        assert allowed() == 1
    assert allowed() <= MOST


# When no more can be opened


@contextlib.contextmanager
def limited(soft: int) -> Iterator[None]:
    """This process may have *soft* descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def used_up() -> Iterator[None]:
    """This process can open nothing more."""
    fd = os.open("/", os.O_RDONLY)
    os.close(fd)
    with limited(fd):
        yield


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Descriptors:
    """Those of the process, which has nothing open."""
    made = Descriptors()
    monkeypatch.setattr(descriptors, "PROCESS", made)
    return made


class Holding(Open):
    """Something that has a descriptor."""

    def __init__(self, files: Descriptors) -> None:
        self.fd = os.open("/", os.O_RDONLY)
        super().__init__(files)

    def let_go(self) -> bool:
        os.close(self.fd)
        return super().let_go()


def test_what_is_kept_makes_room_for_what_is_needed(files: Descriptors, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    kept = Holding(files)
    kept.leased = True
    with used_up():
        assert smallfile.read(str(tmp_path / "file"), 10) == b"text"
    assert not kept.open


def test_without_anything_to_close_it_is_an_error(files: Descriptors, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    with used_up(), pytest.raises(TooManyFiles, match="file cannot be opened") as caught:
        smallfile.read(str(tmp_path / "file"), 10)
    assert caught.value.errno == errno.EMFILE


def failing(*numbers: int) -> Callable[[], str]:
    """Work that fails with each of these, and then is done."""
    left = list(numbers)

    def work() -> str:
        if left:
            raise OSError(left.pop(0), "failed")
        return "done"

    return work


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_work_is_tried_once_more(files: Descriptors, number: int) -> None:
    kept = [Open(files), Open(files)]
    assert again(failing(number)) == "done"
    assert are_open(*kept) == [False, False]
    kept = [Open(files)]
    with pytest.raises(OSError, match="failed"):
        again(failing(number, number))


def test_another_error_closes_nothing(files: Descriptors) -> None:
    kept = Open(files)
    with pytest.raises(PermissionError):
        again(failing(errno.EACCES))
    assert kept.open


def test_the_whole_machine_may_be_out_of_files(
    files: Descriptors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", lambda *_: failing(errno.ENFILE)())
    with pytest.raises(TooManyFiles) as caught:
        descriptors.open_file("/", os.O_RDONLY)
    assert caught.value.errno == errno.ENFILE


# What cannot be opened is not taken for what is not there


def blob(store: Store) -> Digest:
    return store.put_blob(OCTET_STREAM, b"content")[0]


def test_content_does_not_lose_what_is_known_of_it(files: Descriptors, store: Store) -> None:
    content = store.contents.find(blob(store))
    assert content is not None
    path = Path(content.path + ".meta")
    before = path.read_bytes()
    with used_up(), pytest.raises(TooManyFiles):
        store.contents.settle(content.digest)
    assert path.read_bytes() == before
    assert meta.parse(before).media_type == OCTET_STREAM


def test_pins_that_cannot_be_read_are_no_absent_pins(
    files: Descriptors, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins, digest = Pins(store.access), blob(store)
    with pins.hold(digest):
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", lambda *_: failing(errno.EMFILE)())
            with pytest.raises(TooManyFiles):
                list(pins.live())
        assert list(pins.live()) == [digest]
