"""The cache directory: bounded, shared, deleted at will, and never a way in for somebody else."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rossfs.errors import CacheFull
from rossfs.image.cache import Cache
from rossfs.image.temporary import MEMORY_LIMIT, Temporary
from tests.mounts import ROOT
from tests.requirements import require_root

NAMES = [f"{digit * 64}.toc" for digit in "abcdef"]
NAME = NAMES[0]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(directory: Path) -> Cache:
    return Cache(str(directory))


def put(cache: Cache, name: str, data: bytes) -> None:
    with cache.create() as file:
        file.write(data)
        os.close(cache.publish(file, name))


def get(cache: Cache, name: str) -> bytes | None:
    fd = cache.open(name)
    if fd is None:
        return None
    with open(fd, "rb") as file:
        return file.read()


def read_all(fd: int) -> bytes:
    try:
        return os.pread(fd, os.fstat(fd).st_size + 1, 0)
    finally:
        os.close(fd)


# --- files ---


def test_what_is_published_is_there(cache: Cache, directory: Path) -> None:
    assert get(cache, NAME) is None
    put(cache, NAME, b"one")
    assert get(cache, NAME) == b"one"
    assert os.listdir(directory) == [NAME]


def test_a_file_replaces_the_one_before(cache: Cache) -> None:
    put(cache, NAME, b"one")
    old = cache.open(NAME)
    assert old is not None
    put(cache, NAME, b"two")
    assert get(cache, NAME) == b"two"
    assert read_all(old) == b"one"


def test_publishing_gives_a_descriptor_of_the_file(cache: Cache) -> None:
    file = cache.create()
    file.write(b"data")
    fd = cache.publish(file, NAME)
    assert file.closed
    cache.discard(NAME)
    assert read_all(fd) == b"data"


def test_a_file_that_is_closed_is_gone(cache: Cache, directory: Path) -> None:
    with cache.create() as file:
        file.write(b"data")
        assert len(os.listdir(directory)) == 1
    assert os.listdir(directory) == []


def test_a_file_can_be_written_anywhere_and_read(cache: Cache) -> None:
    with cache.create() as file:
        assert file.write(bytes(10)) == 10
        file.seek(2)
        assert file.write(memoryview(b"abcd")[::1]) == 4
        file.seek(0)
        assert file.read() == b"\0\0abcd\0\0\0\0"
        file.truncate(3)
        assert read_all(cache.publish(file, NAME)) == b"\0\0a"


def test_discarding_what_is_not_there_is_right(cache: Cache) -> None:
    cache.discard(NAME)
    put(cache, NAME, b"x")
    cache.discard(NAME)
    assert get(cache, NAME) is None


@pytest.mark.parametrize("name", ["", "x.toc", "../" + NAME, NAME + "/x", "a" * 64, NAME + "\n"])
def test_other_names_are_an_error(cache: Cache, name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        cache.open(name)
    with pytest.raises(ValueError, match="not the name"), cache.create() as file:
        cache.publish(file, name)


@pytest.mark.parametrize(("mode", "bits"), [(0o700, 0o600), (0o755, 0o644)])
def test_who_may_read_is_told_by_the_directory(directory: Path, mode: int, bits: int) -> None:
    cache = Cache(str(directory / "deep" / "er"), mode=mode)
    before = os.umask(0o077)
    try:
        put(cache, NAME, b"x")
    finally:
        os.umask(before)
    path = directory / "deep" / "er" / NAME
    assert stat.S_IMODE(path.stat().st_mode) == bits


# --- the limit ---


def test_the_least_recently_used_goes_first(directory: Path) -> None:
    cache = Cache(str(directory), limit=35)
    for age, name in enumerate(NAMES[:3]):
        put(cache, name, bytes(10))
        os.utime(directory / name, (1000 + age, 1000 + age))
    assert cache.size() == 30
    # Used, so it is the youngest.
    assert get(cache, NAMES[0]) is not None
    put(cache, NAMES[3], bytes(10))
    assert sorted(os.listdir(directory)) == [NAMES[0], NAMES[2], NAMES[3]]
    put(cache, NAMES[4], bytes(30))
    assert os.listdir(directory) == [NAMES[4]]
    assert cache.size() == 30


def test_what_was_just_published_stays(directory: Path) -> None:
    cache = Cache(str(directory), limit=10)
    put(cache, NAMES[0], bytes(10))
    put(cache, NAMES[1], bytes(10))
    assert os.listdir(directory) == [NAMES[1]]


def test_a_file_larger_than_the_limit_is_used_but_not_kept(directory: Path) -> None:
    cache = Cache(str(directory), limit=10)
    put(cache, NAMES[0], bytes(5))
    with cache.create() as file:
        file.write(bytes(11))
        fd = cache.publish(file, NAMES[1])
    assert os.listdir(directory) == [NAMES[0]]
    assert read_all(fd) == bytes(11)


def test_a_limit_of_nothing_keeps_nothing(directory: Path) -> None:
    put(Cache(str(directory), limit=0), NAME, b"x")
    assert os.listdir(directory) == []


def test_using_a_file_again_at_once_does_not_touch_it(cache: Cache, directory: Path) -> None:
    put(cache, NAME, b"x")
    now = time.time()
    os.utime(directory / NAME, (now - 30, now - 30))
    before = (directory / NAME).stat().st_mtime_ns
    get(cache, NAME)
    assert (directory / NAME).stat().st_mtime_ns == before
    os.utime(directory / NAME, (now - 100, now - 100))
    get(cache, NAME)
    assert (directory / NAME).stat().st_mtime >= now - 1


def test_files_of_others_are_neither_counted_nor_removed(directory: Path) -> None:
    """Somebody may name a directory as the cache that is full of other things."""
    directory.mkdir()
    others = ["thesis.tex", "a" * 64, "A" * 64 + ".toc", ".rossfs-mine", "x" + NAME]
    for name in others:
        (directory / name).write_bytes(bytes(100))
    cache = Cache(str(directory), limit=10)
    put(cache, NAME, bytes(10))
    assert cache.size() == 10
    assert sorted(os.listdir(directory)) == sorted([*others, NAME])


def test_a_file_may_have_a_limit_of_its_own(cache: Cache, directory: Path) -> None:
    with cache.create(limit=10) as file:
        file.write(bytes(8))
        with pytest.raises(CacheFull):
            file.write(bytes(3))
        file.seek(0)
        file.write(bytes(10))
    assert os.listdir(directory) == []


# --- no room ---


def test_without_a_directory_files_are_in_memory() -> None:
    cache = Cache(None)
    assert not cache.writable()
    assert cache.open(NAME) is None
    with cache.create() as file:
        assert file.path is None
        file.write(b"data")
        fd = cache.publish(file, NAME)
    assert read_all(fd) == b"data"
    assert cache.open(NAME) is None
    assert cache.size() == 0
    cache.discard(NAME)


def test_memory_has_a_limit() -> None:
    with Cache(None).create() as file:
        file.seek(MEMORY_LIMIT - 10)
        file.write(bytes(10))
        with pytest.raises(CacheFull) as caught:
            file.write(b"x")
    assert (caught.value.errno, caught.value.exit_status) == (errno.ENOSPC, 7)


def test_without_spilling_no_directory_is_an_error() -> None:
    with pytest.raises(CacheFull):
        Cache(None).create(spill=False)


def test_a_file_where_the_directory_should_be_is_no_directory(directory: Path) -> None:
    directory.write_bytes(b"a file")
    cache = Cache(str(directory))
    put(cache, NAME, b"x")
    assert cache.open(NAME) is None
    assert directory.read_bytes() == b"a file"
    assert not cache.writable()


def test_a_limit_of_the_process_is_told(cache: Cache, directory: Path) -> None:
    """RLIMIT_FSIZE counts for files in memory, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with cache.create() as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        try:
            with pytest.raises(CacheFull, match="no room in the cache"):
                file.write(bytes(20_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(directory) == []


FILLING = "tests.image.cachefilling"


@pytest.mark.timeout(60)
def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = [unshare, "-rm", sys.executable, "-W", "error", "-m", FILLING, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    moved, kept, live, copied = map(int, run.stdout.split())
    assert min(moved, kept, live, copied) > 0


# --- deleted, shared, abandoned ---


def test_a_directory_that_was_deleted_is_made_again(cache: Cache, directory: Path) -> None:
    put(cache, NAME, b"x")
    shutil.rmtree(directory)
    assert cache.open(NAME) is None
    assert cache.size() == 0
    put(cache, NAME, b"y")
    assert get(cache, NAME) == b"y"


def test_a_directory_deleted_while_a_file_is_written_does_not_matter(
    cache: Cache, directory: Path
) -> None:
    with cache.create() as file:
        file.write(b"half, ")
        shutil.rmtree(directory)
        file.write(b"whole")
        assert read_all(cache.publish(file, NAME)) == b"half, whole"
    assert cache.open(NAME) is None


def test_a_file_that_a_dead_process_left_is_removed(cache: Cache, directory: Path) -> None:
    directory.mkdir()
    left = directory / f".rossfs-{'1' * 32}"
    left.write_bytes(b"half")
    with cache.create() as alive:
        put(cache, NAME, b"x")
        assert alive.path is not None
        assert sorted(os.listdir(directory)) == sorted([os.path.basename(alive.path), NAME])
        assert read_all(cache.publish(alive, NAMES[1])) == b""


def test_a_file_tidied_up_before_it_was_locked_is_made_again(
    cache: Cache, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    tidied: list[str] = []

    def tidy_first(fd: int, operation: int) -> None:
        if not tidied and operation == fcntl.LOCK_EX:
            tidied.extend(os.listdir(directory))
            assert cache.size() == 0
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", tidy_first)
    with cache.create() as file:
        assert file.path is not None
        assert os.path.basename(file.path) not in tidied
        assert len(tidied) == 1
        assert os.listdir(directory) == [os.path.basename(file.path)]


WRITER = """
import os, sys
from rossfs.image.cache import Cache
directory, seed = sys.argv[1], int(sys.argv[2])
cache = Cache(directory, limit=40_000)
for number in range(150):
    digit = "0123456789abcdef"[(number * 7 + seed) % 16]
    name = f"{digit * 64}.toc"
    with cache.create() as file:
        file.write(digit.encode() * 5000)
        os.close(cache.publish(file, name))
    other = "0123456789abcdef"[(number * 5 + seed) % 16]
    fd = cache.open(f"{other * 64}.toc")
    if fd is not None:
        assert os.read(fd, 6000) == other.encode() * 5000
        os.close(fd)
    if number % 40 == seed:
        cache.discard(name)
"""


def test_several_processes_share_a_directory(directory: Path) -> None:
    """Each reads whole files only, and the limit holds."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, directory, str(seed)], cwd=ROOT
        )
        for seed in range(4)
    ]
    assert [process.wait(50) for process in processes] == [0] * 4
    assert Cache(str(directory)).size() <= 40_000
    assert not [name for name in os.listdir(directory) if name.startswith(".")]


# --- what somebody else put there ---


def test_a_planted_symlink_is_not_followed(cache: Cache, directory: Path, tmp_path: Path) -> None:
    directory.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (directory / NAME).symlink_to(secret)
    assert cache.open(NAME) is None
    put(cache, NAME, b"ours")
    assert secret.read_bytes() == b"secret"
    assert get(cache, NAME) == b"ours"
    assert not (directory / NAME).is_symlink()


def test_a_planted_fifo_or_directory_is_not_opened(cache: Cache, directory: Path) -> None:
    directory.mkdir()
    os.mkfifo(directory / NAME)
    (directory / NAMES[1]).mkdir()
    (directory / f".rossfs-{'0' * 32}").symlink_to("/etc/passwd")
    os.mkfifo(directory / f".rossfs-{'1' * 32}")
    assert cache.open(NAME) is None
    assert cache.open(NAMES[1]) is None
    put(cache, NAME, b"ours")
    assert get(cache, NAME) == b"ours"
    # It cannot be replaced, so it is done without.
    put(cache, NAMES[1], b"ours")
    assert cache.open(NAMES[1]) is None


@pytest.mark.parametrize("bits", [0o666, 0o620, 0o602])
def test_a_file_that_others_may_write_is_not_used(cache: Cache, directory: Path, bits: int) -> None:
    put(cache, NAME, b"ours")
    (directory / NAME).chmod(bits)
    assert cache.open(NAME) is None


def test_a_file_of_another_user_is_not_used(cache: Cache, directory: Path) -> None:
    require_root("give a file to somebody else")
    put(cache, NAME, b"ours")
    os.chown(directory / NAME, 12345, 12345)
    assert cache.open(NAME) is None
    put(cache, NAME, b"again")
    assert get(cache, NAME) == b"again"


def test_a_temporary_that_is_dropped_is_closed(cache: Cache, directory: Path) -> None:
    file: Temporary = cache.create()
    file.close()
    file.close()
    assert os.listdir(directory) == []
