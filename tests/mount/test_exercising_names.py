"""A few names of incoming/ under random operations, beside what they must be."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.mount.inbox import Inbox, failure

pytestmark = pytest.mark.fuse

SEEDS = range(3)
OPERATIONS = 80
NAMES = ("a", "b", "d/a", "d/b")
OPEN = 6
"""Descriptors at once."""


class File:
    """What is written: a file under all eyes, or a rewriter of a pin."""

    def __init__(self, name: str, data: bytes = b"", *, hidden: bool = False) -> None:
        self.name = name
        self.data = data
        self.hidden = hidden
        self.dropped = False
        self.open = 0


class Model:
    """What each name is: a File, or the bytes that it pins."""

    def __init__(self) -> None:
        self.names: dict[str, File | bytes] = {}
        self.rewriters: list[File] = []

    def opened(self, name: str, flags: int) -> File:
        there = self.names.get(name)
        if isinstance(there, bytes):
            file = self._rewriter(name, there, flags)
        elif there is None:
            file = self.names[name] = File(name)
        else:
            file = there
        if flags & os.O_TRUNC:
            file.data = b""
        file.open += 1
        return file

    def _rewriter(self, name: str, before: bytes, flags: int) -> File:
        if not flags & os.O_TRUNC:
            for file in reversed(self.rewriters):
                if file.name == name:
                    return file
        self.rewriters.append(File(name, before, hidden=True))
        return self.rewriters[-1]

    def closed(self, file: File) -> None:
        file.open -= 1
        if file.open or file.dropped:
            return
        if file.hidden:
            self.rewriters.remove(file)
            there = self.names.get(file.name)
            if isinstance(there, File) and there.open:
                # What others write under all eyes still is what the name is.
                return
            file.hidden = False
        self.names[file.name] = file.data or file

    def removed(self, name: str) -> None:
        there = self.names.pop(name, None)
        for file in (*self.rewriters, there):
            if isinstance(file, File) and file.name == name:
                file.dropped = True
        self.rewriters = [file for file in self.rewriters if not file.dropped]

    def renamed(self, name: str, target: str) -> None:
        if name == target:
            return
        self.removed(target)
        there = self.names[target] = self.names.pop(name)
        for file in (*self.rewriters, there):
            if isinstance(file, File) and file.name == name:
                file.name = target


class Exercise:
    """The mount and its model, step by step the same."""

    def __init__(self, inbox: Inbox, seed: int) -> None:
        self.inbox = inbox
        self.numbers = random.Random(f"names {seed}")
        self.model = Model()
        self.descriptors: list[tuple[int, File]] = []
        self.done: list[str] = []
        """What was done, for whoever reads of a failure."""

    def path(self, name: str) -> Path:
        return self.inbox / name

    def step(self) -> None:
        steps = [self.open, self.open, self.write, self.write, self.close, self.close]
        self.numbers.choice([*steps, self.rename, self.unlink, self.copy])()

    def open(self) -> None:
        if len(self.descriptors) >= OPEN:
            return
        name = self.numbers.choice(NAMES)
        flags = os.O_CREAT | self.numbers.choice([os.O_WRONLY, os.O_RDWR])
        flags |= self.numbers.choice([os.O_TRUNC, os.O_APPEND])
        self.done.append(f"open {name} {'empty' if flags & os.O_TRUNC else 'append'}")
        descriptor = os.open(self.path(name), flags, 0o644)
        self.descriptors.append((descriptor, self.model.opened(name, flags)))

    def write(self) -> None:
        if not self.descriptors:
            return
        descriptor, file = self.numbers.choice(self.descriptors)
        data = self.numbers.randbytes(self.numbers.choice([1, 5000]))
        self.done.append(f"write {file.name} {len(data)}")
        assert os.pwrite(descriptor, data, len(file.data)) == len(data)
        file.data += data

    def close(self) -> None:
        if not self.descriptors:
            return
        descriptor, file = self.descriptors.pop(self.numbers.randrange(len(self.descriptors)))
        self.done.append(f"close {file.name}")
        os.close(descriptor)
        self.model.closed(file)

    def copy(self) -> None:
        """Close a copy of a descriptor: that changes nothing."""
        if self.descriptors:
            descriptor, file = self.numbers.choice(self.descriptors)
            self.done.append(f"close a copy of {file.name}")
            os.close(os.dup(descriptor))

    def rename(self) -> None:
        name, target = self.numbers.choice(NAMES), self.numbers.choice(NAMES)
        self.done.append(f"rename {name} {target}")
        result = failure(os.rename, self.path(name), self.path(target))
        assert result == ("" if name in self.model.names else "ENOENT")
        if not result:
            self.model.renamed(name, target)

    def unlink(self) -> None:
        name = self.numbers.choice(NAMES)
        self.done.append(f"unlink {name}")
        assert failure(os.unlink, self.path(name)) == ("" if name in self.model.names else "ENOENT")
        self.model.removed(name)

    def compare(self) -> None:
        listed = {
            str(path.relative_to(self.inbox.path))
            for path in self.inbox.path.rglob("*")
            if path != self.path("d")
        }
        assert listed == set(self.model.names)
        for name, there in self.model.names.items():
            if isinstance(there, bytes):
                self.inbox.require(self.path(name), there)
            else:
                assert self.inbox.pin(self.path(name)) == ""
                assert self.path(name).read_bytes() == there.data
        for descriptor, file in self.descriptors:
            assert os.fstat(descriptor).st_size == len(file.data)


@pytest.mark.parametrize("seed", SEEDS)
def test_names_are_what_was_done_to_them(inbox: Inbox, seed: int) -> None:
    (inbox / "d").mkdir()
    exercise = Exercise(inbox, seed)
    try:
        for _ in range(OPERATIONS):
            exercise.step()
            exercise.compare()
        while exercise.descriptors:
            exercise.close()
            exercise.compare()
    except BaseException:
        print("\n".join(exercise.done))
        raise
    finally:
        for descriptor, _ in exercise.descriptors:
            os.close(descriptor)
