"""Servers that are killed, and collections beside everything else: what was accepted stays."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests import builders, mounts
from tests.conftest import Mount
from tests.mount import crowd
from tests.suites.mount_suite import everything_hashes_to_its_name, refused

pytestmark = pytest.mark.fuse

DEADLINE = 120.0

WRITERS = 4


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended after the test, whatever became of it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate(timeout=DEADLINE)


def rounds(short: int, long: int, seconds_each: float) -> pytest.MarkDecorator:
    """*short* rounds in every run, *long* ones with --long."""
    return pytest.mark.parametrize(
        "count",
        [
            short,
            pytest.param(
                long,
                marks=[pytest.mark.long, pytest.mark.timeout(60 + long * seconds_each)],
            ),
        ],
    )


@rounds(4, 200, 10.0)
def test_what_close_accepted_survives_kill_9(
    store: Store, tmp_path: Path, started: list[subprocess.Popen[bytes]], count: int
) -> None:
    numbers = random.Random(9)
    place, log = tmp_path / "mnt", tmp_path / "log"
    accepted: Counter[int] = Counter()
    server = mounts.start(store.paths.root, place, log)
    try:
        for number in range(count):
            names = [f"r{number}w{writer}" for writer in range(WRITERS)]
            writers = [crowd.start("write", place, name) for name in names]
            started += writers
            time.sleep(0.1)
            assert writers[0].stdout is not None
            first = writers[0].stdout.readline()  # it takes a while until they begin
            time.sleep(numbers.random() * 0.3)
            server.kill()
            lines = [
                first,
                *b"".join(w.communicate(timeout=DEADLINE)[0] for w in writers).splitlines(),
            ]
            del started[:]
            server = mounts.start(store.paths.root, place, log)  # replaces the dead one
            for line in lines:
                name, name_digest = line.decode().split()
                _require(store, place, name, name_digest)
            accepted[number] = len(lines)
            for entry in os.listdir(place / "incoming"):
                os.unlink(place / "incoming" / entry)
            if number % 10 == 0:
                # Nothing but what was being written; a collection clears that away.
                assert not [finding for finding in store.fsck() if finding.is_damage]
                assert store.garbage_collect().blobs_removed >= len(lines)
                assert list(store.fsck()) == []
    finally:
        server.clear()
    assert accepted.total() >= count, accepted
    server.check_log()
    store.garbage_collect()


def _require(store: Store, place: Path, name: str, expected: str) -> None:
    data = (place / "blobs/sha256" / expected).read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected
    assert store.get_blob(Digest.sha256(expected)) == data
    assert os.readlink(place / "incoming" / name) == f"../blobs/sha256/{expected}"


def test_a_mount_that_is_killed_beside_readers_is_replaced(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    image = builders.image(store, "app", tag="lab/app:v1")
    data = random.Random(10).randbytes(8 << 20)
    digest = store.put_blob(builders.OCTET_STREAM, data)
    server = mount(store.root)
    ended: list[OSError] = []

    def read() -> None:
        try:
            while True:
                with open(server.path / "blobs/sha256" / digest.hex, "rb", buffering=0) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    while file.read(1 << 18):
                        pass
                os.listdir(server.path / "tags/lab/app/v1/layers")
        except OSError as error:
            ended.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    time.sleep(0.3)
    server.kill()
    for reader in readers:
        reader.join(DEADLINE)
    assert len(ended) == len(readers)  # an error each, no hang
    assert refused(os.listdir, server.path) in {"ENOTCONN", "ECONNABORTED"}
    again = mount(store.root, path=server.path)
    assert (again.path / "blobs/sha256" / digest.hex).read_bytes() == data
    assert (again.path / "tags/lab/app/v1/manifest.json").read_bytes() == image.parts.manifest


def test_what_was_not_closed_is_nothing(store: Store, mount: Mount) -> None:
    server = mount(store.paths.root)
    fd = os.open(server.path / "incoming/unfinished", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"half of it")
    server.kill()
    assert refused(os.close, fd) in {"ENOTCONN", "ECONNABORTED", ""}
    again = mount(store.paths.root, path=server.path)
    assert os.listdir(again.path / "incoming") == []
    assert os.listdir(again.path / "blobs/sha256") == []
    store.garbage_collect()
    assert os.listdir(store.paths.scratch) == []


def test_a_refused_file_is_still_there_after_kill_9(store: Store, mount: Mount) -> None:
    server = mount(store.paths.root)
    name = "0" * 64
    fd = os.open(server.path / "incoming" / name, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"other bytes")
    assert refused(os.close, fd) == "EBADMSG"
    assert os.listdir(server.path / "incoming") == [name]
    server.expect_log(name)
    server.kill()
    again = mount(store.paths.root, path=server.path)
    waiting = again.path / "incoming" / name
    assert waiting.read_bytes() == b"other bytes"
    assert name.encode() in os.getxattr(waiting, "user.ross.error")
    os.unlink(waiting)


@rounds(4, 60, 3.0)
def test_a_collection_beside_everything_loses_nothing(
    store: Store, mount: Mount, started: list[subprocess.Popen[bytes]], count: int
) -> None:
    """*count* is in seconds."""
    root, path = store.paths.root, mount(store.paths.root).path
    started += [
        crowd.start("import", root, "a", count),
        crowd.start("import", root, "b", count),
        crowd.start("keep", path, "k", count),
        crowd.start("collect", root, count),
    ]
    done = [process.communicate(timeout=count + DEADLINE)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started)
    assert all(int(number) > 0 for number in done), done
    assert list(store.fsck()) == []
    everything_hashes_to_its_name(path)
    for image in (path / "tags/lab").iterdir():
        for name in ("manifest.json", "config.json"):
            (image / "v1" / name).read_bytes()
        for layer in (image / "v1/layers").glob("*.*"):
            layer.read_bytes()
    store.garbage_collect()
    assert len(os.listdir(path / "incoming")) == min(int(done[2]), crowd.KEPT)
