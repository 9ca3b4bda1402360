"""The first use of a large layer that was never imported takes a while: for nobody else."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.builders import RossStore
from tests.conftest import Mount
from tests.layers import Layer, block, packed_image
from tests.mount.hostilelayers import look
from tests.mount.lab import GOOD
from tests.mount.waiting import eventually
from tests.mounts import Mounted

pytestmark = pytest.mark.fuse

MIB = 1 << 20
NOISE = 10 * MIB
"""Bytes that do not compress: so many that the table is made by a process of its own."""

ZEROS = 512 * MIB

DEADLINE = 60.0


@pytest.fixture(scope="module")
def large() -> tuple[bytes, str]:
    """A packed layer and its diff ID: noise/f0 to f9, and a file of zeros."""
    numbers = random.Random(1)
    layer = Layer()
    for number in range(10):
        layer.file(f"noise/f{number}", numbers.randbytes(NOISE // 10))
    parts = [bytes(layer) + block(b"zeros", b"0", size=ZEROS), Layer().file("last").closed()]
    hasher = hashlib.sha256(parts[0])
    for _ in range(ZEROS // MIB):
        hasher.update(bytes(MIB))
    hasher.update(parts[1])
    first, last = (gzip.compress(part, 1, mtime=0) for part in parts)
    zeros = gzip.compress(bytes(16 * MIB), mtime=0)
    return first + zeros * (ZEROS // (16 * MIB)) + last, f"sha256:{hasher.hexdigest()}"


@pytest.fixture
def filled(tmp_path: Path, large: tuple[bytes, str]) -> RossStore:
    """A store with it, and a small image."""
    blob, diff_id = large
    store = builders.ross_store(tmp_path / "store")
    GOOD.put(store, "lab/good:v1")
    packed_image([blob], [diff_id], [builders.OCI_LAYER_GZIP]).put(store, "lab/large:v1")
    return store


def progress(mounted: Mounted) -> list[dict[str, object]]:
    lines = (mounted.path / ".ross/progress").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


@contextlib.contextmanager
def listing(mounted: Mounted) -> Iterator[subprocess.Popen[bytes]]:
    """ls, which waits for the table; the block begins when it is being made."""
    rootfs = mounted.path / "tags/lab/large/v1/rootfs"
    command = ["env", "--default-signal", "ls", str(rootfs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ls:
        try:
            eventually(lambda: progress(mounted) or ls.poll() is not None)
            yield ls
        finally:
            ls.kill()


def workers(mounted: Mounted, ls: subprocess.Popen[bytes]) -> list[int]:
    """The processes in which the server makes tables, once there are any; none if it is done."""
    pid = mounted.process.pid
    found: list[int] = []

    def look_for_them() -> bool:
        found.clear()
        for task in os.listdir(f"/proc/{pid}/task"):  # each has those that it started
            with contextlib.suppress(OSError):
                found.extend(
                    map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
                )
        return bool(found) or ls.poll() is not None

    eventually(look_for_them)
    return found


def test_others_are_served_while_a_table_is_made(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        seen = progress(mounted)
        served = 0
        while ls.poll() is None and served < 200:
            assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}
            assert sorted(os.listdir(mounted.path / "tags/lab")) == ["good", "large"]
            served += 1
        printed, told = ls.communicate(timeout=DEADLINE)
    assert (printed, told) == (b"last\nnoise\nzeros\n", b"")
    assert served > 1
    if seen:
        [item] = seen
        [digest] = {path.name for path in (filled.root / "blobs/sha256").iterdir()
                    if path.suffix == "" and path.stat().st_size > NOISE}  # fmt: skip
        assert item["layer"] == f"sha256:{digest}"
        assert isinstance(item["bytes"], int)
        assert isinstance(item["of"], int)
        assert 0 <= item["bytes"] <= item["of"]
    assert progress(mounted) == []


def test_a_reader_that_is_killed_holds_up_nobody(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        ls.kill()
        ls.wait(DEADLINE)
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}
    rootfs = mounted.path / "tags/lab/large/v1/rootfs"
    assert sorted(os.listdir(rootfs)) == ["last", "noise", "zeros"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_can_be_interrupted(
    mount: Mount, filled: RossStore, number: signal.Signals
) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        ls.send_signal(number)
        assert ls.wait(DEADLINE) == -number
        assert progress(mounted), "it was made before the signal was taken"
    rootfs = mounted.path / "tags/lab/large/v1/rootfs"
    assert sorted(os.listdir(rootfs)) == ["last", "noise", "zeros"]


def test_who_took_another_signal_before_can_be_killed(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        ls.send_signal(signal.SIGSTOP)
        ls.send_signal(signal.SIGCONT)
        ls.kill()
        assert ls.wait(DEADLINE) == -signal.SIGKILL
        assert progress(mounted), "it was made before the signal was taken"


def test_a_signal_that_ends_nobody_interrupts_nobody(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        for _ in range(3):
            ls.send_signal(signal.SIGWINCH)
        printed, told = ls.communicate(timeout=DEADLINE)
    assert (printed, told) == (b"last\nnoise\nzeros\n", b"")


def test_the_process_that_makes_a_table_is_killed(mount: Mount, filled: RossStore) -> None:
    """Whoever waits gets an answer, and the next one gets the table."""
    mounted = mount(filled.root)
    mounted.expect_log("WARNING|ERROR")
    with listing(mounted) as ls:
        for pid in workers(mounted, ls):
            os.kill(pid, signal.SIGKILL)
        ls.communicate(timeout=DEADLINE)
    assert b"Traceback" not in mounted.log.read_bytes()
    rootfs = mounted.path / "tags/lab/large/v1/rootfs"
    assert sorted(os.listdir(rootfs)) == ["last", "noise", "zeros"]
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}


def test_a_server_that_is_killed_takes_its_process_with_it(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        started = workers(mounted, ls)
        mounted.kill()
        ls.communicate(timeout=DEADLINE)
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started))
    mounted.clear()
    again = mount(filled.root)
    rootfs = again.path / "tags/lab/large/v1/rootfs"
    assert sorted(os.listdir(rootfs)) == ["last", "noise", "zeros"]
    assert (rootfs / "noise/f3").stat().st_size == NOISE // 10
    names = os.listdir(filled.root / "cache")
    assert not [name for name in names if name.startswith(".")], names


def test_a_mount_ends_while_a_table_is_made(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    with listing(mounted) as ls:
        started = workers(mounted, ls)
        assert mounted.end() == 0
        ls.communicate(timeout=DEADLINE)
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started))


def test_many_readers_wait_for_one_table(mount: Mount, filled: RossStore) -> None:
    mounted = mount(filled.root)
    rootfs = mounted.path / "tags/lab/large/v1/rootfs"
    readers = [
        subprocess.Popen(["ls", rootfs / "noise"], stdout=subprocess.PIPE) for _ in range(12)
    ]
    try:
        most = 0
        while any(reader.poll() is None for reader in readers):
            most = max(most, len(progress(mounted)))
        printed = {reader.communicate(timeout=DEADLINE)[0] for reader in readers}
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
    assert printed == {b"".join(b"f%d\n" % number for number in range(10))}
    assert most <= 1
