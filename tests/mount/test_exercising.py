"""One file of incoming/ under random operations, beside what it must hold (after fsx)."""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

import pytest

from tests.mount.inbox import Inbox

pytestmark = pytest.mark.fuse

SEEDS = range(4)
OPERATIONS = 400
LIMIT = 300_000


class Exercise:
    """*path*, open in several ways at once, and the bytes that it must have."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.numbers = random.Random(seed)
        self.expected = bytearray()
        self.done: list[str] = []
        """What was done, for whoever reads of a failure."""
        self.open(os.O_CREAT | os.O_EXCL)

    def open(self, flags: int = 0) -> None:
        self.both = os.open(self.path, os.O_RDWR | flags)
        self.writer = os.open(f"/proc/self/fd/{self.both}", os.O_WRONLY)
        self.appender = os.open(f"/proc/self/fd/{self.both}", os.O_WRONLY | os.O_APPEND)
        self.reader = os.open(f"/proc/self/fd/{self.both}", os.O_RDONLY)

    def close(self) -> None:
        descriptors = [self.both, self.writer, self.appender, self.reader]
        self.numbers.shuffle(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def step(self) -> None:
        operation = self.numbers.choice(
            (
                *(self.write, self.write, self.append, self.read, self.read, self.truncate),
                *(self.map_write, self.map_read, self.sync, self.status),
            )
        )
        operation()

    def _range(self) -> tuple[int, int]:
        size = self.numbers.choice([1, 100, 4096, 5000, 70_000, 150_000])
        return self.numbers.randrange(LIMIT), self.numbers.randrange(1, size + 1)

    def _put(self, offset: int, data: bytes) -> None:
        self.expected.extend(bytes(max(0, offset - len(self.expected))))
        self.expected[offset : offset + len(data)] = data

    def write(self) -> None:
        offset, length = self._range()
        descriptor = self.numbers.choice([self.both, self.writer])
        data = self.numbers.randbytes(length)
        self.done.append(f"write {offset} {length} {descriptor == self.both}")
        assert os.pwrite(descriptor, data, offset) == length
        self._put(offset, data)

    def append(self) -> None:
        _, length = self._range()
        data = self.numbers.randbytes(length)
        self.done.append(f"append {length}")
        assert os.write(self.appender, data) == length
        self.expected.extend(data)

    def read(self) -> None:
        offset, length = self._range()
        descriptor = self.numbers.choice([self.both, self.reader])
        self.done.append(f"read {offset} {length} {descriptor == self.both}")
        assert os.pread(descriptor, length, offset) == self.expected[offset : offset + length]

    def truncate(self) -> None:
        size, _ = self._range()
        descriptor = self.numbers.choice([self.both, self.writer])
        self.done.append(f"truncate {size}")
        os.ftruncate(descriptor, size)
        self._put(size, b"")
        del self.expected[size:]

    def map_write(self) -> None:
        if not self.expected:
            return
        offset, length = self._range()
        offset %= len(self.expected)
        data = self.numbers.randbytes(min(length, len(self.expected) - offset))
        self.done.append(f"map_write {offset} {len(data)}")
        with mmap.mmap(self.both, 0) as mapped:
            mapped[offset : offset + len(data)] = data
        self._put(offset, data)

    def map_read(self) -> None:
        if not self.expected:
            return
        self.done.append("map_read")
        with mmap.mmap(self.reader, 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == self.expected

    def sync(self) -> None:
        self.done.append("sync")
        os.fsync(self.numbers.choice([self.both, self.writer]))

    def status(self) -> None:
        self.done.append("status")
        assert os.fstat(self.reader).st_size == len(self.expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_has_what_was_written_whatever_the_order(inbox: Inbox, seed: int) -> None:
    path = inbox / "name"
    exercise = Exercise(path, seed)
    try:
        for number in range(OPERATIONS):
            exercise.step()
            if number % 100 == 99:
                exercise.close()
                if exercise.expected:
                    inbox.require(path, bytes(exercise.expected))
                else:
                    inbox.require_waiting(path, b"")
                exercise.open()
    except AssertionError:
        print("\n".join(exercise.done))
        raise
    finally:
        exercise.close()
    assert path.read_bytes() == exercise.expected
