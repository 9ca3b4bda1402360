"""Tables that a process of its own makes."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import Damaged, IndexingFailed, InvalidLayer, TooManyFiles
from rossfs.image import indexer
from rossfs.image.blobindex import SMALL, IndexingProgress
from rossfs.image.cache import Cache
from rossfs.image.indexer import index_apart
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import OCI_LAYER, RossStore, digest_of
from tests.image.layering import (
    PACKED,
    cache_of,
    cached,
    index_of,
    mixed_files,
    opened,
    put,
    tar_of,
)
from tests.layers import Layer as LayerMaker
from tests.mounts import ROOT

TAR = tar_of(mixed_files())
DEADLINE = 60.0

_ZEROS = gzip.compress(bytes(16 << 20), 6)


def bomb(size: int) -> bytes:
    """A gzip layer of one file of *size* bytes of zeros, in many members."""
    head = LayerMaker().entry("zeros", b"0", size=size).closed()[:512]
    assert size % (16 << 20) == 0
    return gzip.compress(head) + _ZEROS * (size >> 24) + gzip.compress(bytes(1024))


def indexers(parent: int) -> list[int]:
    """The processes that *parent* started to make tables."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if int(stat[1]) == parent and stat[0] not in "ZX" and b"image.indexer" in command:
                found.append(int(pid))
    return found


def until(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    deadline = time.monotonic() + DEADLINE
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.fixture
def blob(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a gzip layer with the files of TAR."""
    path = tmp_path / "blob"
    path.write_bytes(PACKED["gzip"](TAR))
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def digest_in(fd: int) -> Digest:
    return digest_of(os.pread(fd, os.fstat(fd).st_size, 0))


# What it makes


def test_the_process_makes_the_same_tables(blob: int, tmp_path: Path, store: Store) -> None:
    cache = Cache(str(tmp_path / "apart"))
    made = index_apart(blob, digest_in(blob), cache)
    assert set(made) == {"toc", "points"}
    for fd in made.values():
        os.close(fd)
    with opened(store) as layers:
        layers.open(put(store, PACKED["gzip"](TAR)))
    assert cached(cache) == cached(cache_of(store))
    for name in cached(cache):
        here = Path(store.paths.cache) / name
        assert (tmp_path / "apart" / name).read_bytes() == here.read_bytes()


def test_without_a_cache_its_tables_come_in_memory(blob: int) -> None:
    made = index_apart(blob, digest_in(blob), Cache(None))
    for fd in made.values():
        assert os.fstat(fd).st_nlink == 0
        assert os.fstat(fd).st_size > 1000
        os.close(fd)


def test_a_large_blob_is_read_apart_and_progress_is_told(store: Store) -> None:
    data = os.urandom(SMALL + 5_000_000)
    tar = tar_of({"random": data})
    digest = put(store, tar)
    told: list[IndexingProgress] = []
    started: set[int] = set()

    def tell(progress: IndexingProgress) -> None:
        told.append(progress)
        started.update(indexers(os.getpid()))

    layers = Layers(store, cache_of(store), tell)
    layer = layers.open(digest)
    assert len(started) == 1
    assert not runs(started.pop())
    dones = [progress.done for progress in told]
    assert dones[0] == 0
    assert len(dones) >= 2
    assert dones == sorted(set(dones))
    assert {progress.total for progress in told} == {len(tar)}
    assert len({progress.since for progress in told}) == 1
    assert layer.read(index_of(layer, "random"), 12_000_000, 100) == data[12_000_000:12_000_100]
    assert layer.diff_id == digest_of(tar)


def test_what_grows_large_is_read_apart_too(store: Store) -> None:
    digest = put(store, bomb(64 << 20))
    started: set[int] = set()
    layers = Layers(store, cache_of(store), lambda _: started.update(indexers(os.getpid())))
    layer = layers.open(digest)
    assert layer.toc.record(index_of(layer, "zeros")).size == 64 << 20
    assert layer.read(index_of(layer, "zeros"), 60 << 20, 5000) == bytes(5000)
    assert layer.size < 100_000


def test_the_cache_being_full_is_no_trouble(store: Store) -> None:
    digest = put(store, bomb(48 << 20))
    with opened(store, Cache(None, 0)) as layers:
        layer = layers.open(digest)
        assert layer.read(index_of(layer, "zeros"), 40 << 20, 5000) == bytes(5000)


# What goes wrong


def test_errors_are_those_of_the_process(blob: int, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    with pytest.raises(Damaged, match="hash to"):
        index_apart(blob, digest_of(b"other"), cache)
    path = tmp_path / "no layer"
    path.write_bytes(PACKED["gzip"](TAR)[:-50])
    fd = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(InvalidLayer, match="truncated"):
            index_apart(fd, digest_in(fd), cache)
    finally:
        os.close(fd)
    assert cached(cache) == set()


@pytest.mark.damages_store
def test_a_damaged_blob_is_found_out_apart_and_once(store: Store) -> None:
    ross = RossStore(Path(store.paths.root))
    data = bomb(48 << 20)
    digest = ross.put_blob(OCI_LAYER, data)
    ross.path(digest).write_bytes(data[:-1] + b"\1")
    told: list[IndexingProgress] = []
    layers = Layers(store, cache_of(store), told.append)
    for _ in range(2):
        with pytest.raises(Damaged, match=digest.hex):
            layers.open(digest)
    assert [found for found, _ in store.verifier.damaged()] == [digest]


def test_a_process_that_is_killed_says_so_and_the_next_try_works(store: Store) -> None:
    digest = put(store, bomb(256 << 20))
    layers = Layers(store, cache_of(store))

    def kill() -> None:
        deadline = time.monotonic() + DEADLINE
        while not (found := indexers(os.getpid())) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    watcher = threading.Thread(target=kill)
    watcher.start()
    with pytest.raises(IndexingFailed, match=f"layer {digest} was ended by signal 9"):
        layers.open(digest)
    watcher.join()
    assert cached(cache_of(store)) == set()
    assert layers.progress() == []
    assert layers.open(digest).toc.count == 2


def test_what_a_process_complains_of_is_told(blob: int, tmp_path: Path) -> None:
    with pytest.raises(IndexingFailed, match=r"with status 1: .*Invalid"):
        index_apart(blob, Digest("sha256", "no digest"), Cache(str(tmp_path / "cache")))


def test_it_ends_with_its_parent_and_leaves_nothing(store: Store) -> None:
    digest = put(store, bomb(4 << 30))
    script = """
        import sys
        from rossfs.image.cache import Cache
        from rossfs.image.layers import Layers
        from rossfs.oci.digest import Digest
        from rossfs.store.store import Store

        store = Store.open(sys.argv[1])
        Layers(store, Cache(store.paths.cache)).open(Digest.parse(sys.argv[2]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), store.paths.root, str(digest)]
    parent = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + DEADLINE
        while not (children := indexers(parent.pid)):
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        parent.kill()
        parent.wait(DEADLINE)
    until(children)
    assert cached(cache_of(store)) == set()


def test_nothing_stays_open(blob: int, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    before = sorted(os.listdir("/proc/self/fd"))
    for fd in index_apart(blob, digest_in(blob), cache).values():
        os.close(fd)
    with pytest.raises(Damaged):
        index_apart(blob, digest_of(b"other"), cache)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_nothing_stays_open_when_no_more_can_be_opened(
    blob: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    cache = Cache(str(tmp_path / "cache"))
    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(OSError, match="Too many") as caught:
        index_apart(blob, digest_in(blob), cache)
    assert sorted(os.listdir("/proc/self/fd")) == before
    del caught


def test_an_answer_without_all_its_tables_is_none(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, open(tmp_path / "table", "wb") as table:
        # The kernel leaves out what the receiver has no room for (unix(7), SCM_RIGHTS).
        socket.send_fds(theirs, [b"Dtoc points"], [table.fileno()])
        with pytest.raises(TooManyFiles):
            indexer._answer(ours, None)
    assert sorted(os.listdir("/proc/self/fd")) == before


# Memory


def peak(store: Store, digest: Digest) -> int:
    """MiB that the process needed for a layer."""
    script = """
        import os, resource, sys
        from rossfs.image.cache import Cache
        from rossfs.image.indexer import index_apart
        from rossfs.oci.digest import Digest
        from rossfs.store.store import Store

        store = Store.open(sys.argv[1])
        digest = Digest.parse(sys.argv[2])
        fd = os.open(store.contents.find(digest).path, os.O_RDONLY)
        index_apart(fd, digest, Cache(store.paths.cache))
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), store.paths.root, str(digest)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    return int(done.stdout) >> 10


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_needs_no_more_memory_than_a_small_layer(store: Store, kind: str) -> None:
    if kind == "gzip":
        small, large = bomb(16 << 20), bomb(160 << 20)
    else:
        small, large = (
            PACKED["zstd"](LayerMaker().file("zeros", bytes(size)).closed())
            for size in (16 << 20, 160 << 20)
        )
    before = peak(store, put(store, small))
    assert peak(store, put(store, large)) <= before + 16
