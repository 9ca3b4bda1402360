"""Programs of their own for tests: many that write names of incoming/ at once, and read them.

    python -m tests.mount.competing rewrite|append|look DIRECTORY NUMBER TIMES

Each prints one line of JSON: what it did, and what was wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = 3
"""The names are name0, name1..."""

_HEAD = 32


class Competitor:
    """One of these programs, running."""

    def __init__(self, task: str, directory: Path, number: int, times: int) -> None:
        command = [sys.executable, "-m", __name__, task, str(directory), str(number), str(times)]
        top = Path(__file__).parent.parent.parent
        self._process = subprocess.Popen(
            command, cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def result(self, deadline: float) -> dict[str, object]:
        """What it printed, when it has ended; one that looks until it is told is told so."""
        printed, _ = self._process.communicate(timeout=deadline)
        assert self._process.returncode == 0
        result: dict[str, object] = json.loads(printed)
        return result

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def competing(*competitors: Competitor) -> Iterator[tuple[Competitor, ...]]:
    """All run for the length of the block at most."""
    try:
        yield competitors
    finally:
        for competitor in competitors:
            competitor.kill()


def content(seed: object) -> bytes:
    """Bytes of some length that say themselves whether they are whole."""
    numbers = random.Random(str(seed))
    body = numbers.randbytes(numbers.choice([1, 700, 5000, 70_000, 200_000]))
    return hashlib.sha256(body).digest() + body


def is_whole(data: bytes) -> bool:
    """Whether *data* is what `content` made."""
    return hashlib.sha256(data[_HEAD:]).digest() == data[:_HEAD]


def rewrite(directory: Path, number: int, times: int) -> dict[str, object]:
    """Write random names anew."""
    numbers = random.Random(number)
    for turn in range(times):
        data = content((number, turn))
        path = directory / f"name{numbers.randrange(NAMES)}"
        flags = os.O_WRONLY | os.O_TRUNC | numbers.choice([0, os.O_CREAT])
        descriptor = os.open(path, flags, 0o644)
        try:
            half = numbers.choice([0, len(data) // 2])
            os.write(descriptor, data[:half])
            os.write(descriptor, data[half:])
        finally:
            os.close(descriptor)
    return {"written": times}


def append(directory: Path, number: int, times: int) -> dict[str, object]:
    """Append lines to one name."""
    for turn in range(times):
        with open(directory / "name0", "ab", buffering=0) as file:
            file.write(b"%d %d\n" % (number, turn))
    return {"written": times}


def look(directory: Path, number: int, times: int) -> dict[str, object]:
    """Read random names until standard input ends."""
    numbers = random.Random(number)
    wrong = []
    count = 0
    while not select.select([0], [], [], 0.002)[0]:  # readable when it ends
        path = directory / f"name{numbers.randrange(NAMES)}"
        data = path.read_bytes()
        count += 1
        if not is_whole(data):
            wrong.append(f"{path.name}: {len(data)} bytes")
    return {"read": count, "wrong": wrong}


if __name__ == "__main__":
    tasks = {task.__name__: task for task in (rewrite, append, look)}
    print(json.dumps(tasks[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
