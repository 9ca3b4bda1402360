"""Reading content through real mounts: every range, every way, many at once."""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import builders
from tests.conftest import Mount
from tests.mount.gallery import BIG, Shown, big_bytes

pytestmark = pytest.mark.fuse

DEADLINE = 60.0


def test_any_range_of_a_blob_is_right(shown: Shown) -> None:
    data = big_bytes()
    numbers = random.Random(2)
    with open(shown.blob(shown.content.big), "rb", buffering=0) as file:
        for _ in range(300):
            offset = int(BIG * numbers.random() ** 2)
            length = int((3 << 20) * numbers.random() ** 3)
            assert os.pread(file.fileno(), length, offset) == data[offset : offset + length]
        for edge in (4096, 1 << 17, 1 << 20, BIG):
            for offset in (edge - 1, edge, edge + 1):
                assert os.pread(file.fileno(), 3, offset) == data[offset : offset + 3]


def test_ranges_are_right_when_the_kernel_keeps_nothing(shown: Shown) -> None:
    """Each read goes to the server: the pages are dropped before."""
    data = big_bytes()
    numbers = random.Random(3)
    with open(shown.blob(shown.content.big), "rb", buffering=0) as file:
        for _ in range(100):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            offset, length = numbers.randrange(BIG), numbers.randrange(1 << 18)
            assert os.pread(file.fileno(), length, offset) == data[offset : offset + length]


def test_the_end_of_a_blob_is_its_end(shown: Shown) -> None:
    data = big_bytes()
    with open(shown.blob(shown.content.big), "rb") as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == data[-5:]
        assert file.read() == b""
        file.seek(BIG + (1 << 30))
        assert file.read(10) == b""


def test_a_blob_is_mapped(shown: Shown) -> None:
    data = big_bytes()
    with (
        open(shown.blob(shown.content.big), "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping,
    ):
        assert len(mapping) == BIG
        assert mapping[-10:] == data[-10:]
        assert mapping[4095:4097] == data[4095:4097]
        assert mapping.find(data[3_000_000:3_000_100]) == 3_000_000


def test_a_private_mapping_changes_nothing(shown: Shown) -> None:
    path = shown.blob(shown.content.big)
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_COPY) as mapping,
    ):
        mapping[:4] = b"else"
    assert path.read_bytes()[:4] == big_bytes()[:4]


def test_readers_at_once_all_read_right(shown: Shown) -> None:
    expected = hashlib.sha256(big_bytes()).hexdigest()
    paths = [shown.blob(shown.content.big)] * 4 + [
        shown.image(shown.content.app.manifest) / "manifest.json"
    ] * 4
    wrong: list[str] = []

    def read(path: Path) -> None:
        for _ in range(5):
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found not in (expected, shown.content.app.manifest.hex):
                wrong.append(found)

    threads = [threading.Thread(target=read, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_many_readers_ask_for_what_was_never_checked(mount: Mount, tmp_path: Path) -> None:
    """Ross wrote it, so it is hashed first: once, while all of them wait."""
    store = builders.ross_store(tmp_path / "store")
    data = random.Random(4).randbytes(24 << 20)
    path = mount(store.root).path / "blobs/sha256" / store.put_blob("application/x", data).hex
    readers = [
        subprocess.Popen([sys.executable, "-c", _HASH, path], stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    printed = [reader.communicate(timeout=DEADLINE)[0].strip() for reader in readers]
    assert printed == [path.name.encode()] * 6


_HASH = """
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    print(hashlib.file_digest(file, "sha256").hexdigest())
"""
