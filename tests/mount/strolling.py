"""A program of its own for tests: reads files of a layer at random places, and compares.

    python -m tests.mount.strolling ROOTFS SECONDS NUMBER

Prints one line of JSON: how much it read, and what was wrong.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import sys
import time
from pathlib import Path

FILES = 60


def names() -> list[str]:
    """The files there are."""
    return [f"d{number % 5}/f{number}" for number in range(FILES)]


def content(name: str) -> bytes:
    """What is in a file: up to 400 KB, of which some compress."""
    numbers = random.Random(name)
    noise = numbers.randbytes(numbers.choice([0, 10, 5000, 100_000, 200_000]))
    return noise + name.encode() * numbers.choice([0, 1, 1000, 20_000]) + noise[::-1]


def stroll(top: Path, seconds: float, number: int) -> dict[str, object]:
    """Read until the time is over."""
    numbers = random.Random(number)
    expected = {name: content(name) for name in names()}
    wrong: list[str] = []
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = numbers.choice(list(expected))
        data = expected[name]
        with open(top / name, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != len(data):
                wrong.append(f"{name}: size")
            for _ in range(numbers.randrange(1, 8)):
                offset = numbers.randrange(len(data) + 1)
                length = numbers.choice([1, 100, 4096, 70_000, 1 << 20])
                if os.pread(file.fileno(), length, offset) != data[offset : offset + length]:
                    wrong.append(f"{name}: {length} at {offset}")
                count += 1
            if numbers.randrange(4) == 0:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if data and numbers.randrange(4) == 0:
                with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
                    whole = hashlib.sha256(memory).digest()
                if whole != hashlib.sha256(data).digest():
                    wrong.append(f"{name}: mapped")
    return {"read": count, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(stroll(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
