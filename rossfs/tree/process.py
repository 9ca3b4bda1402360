"""Which process makes a request: the kernel tells the thread only."""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """A process, apart from others that had or will have the same number."""

    number: int
    started: int
    """Clock ticks since the machine began (proc(5), starttime)."""


def process_of(thread: int) -> Process | None:
    """The process of the thread that the kernel calls *thread*.

    None for one of another pid namespace, which the kernel calls 0; for one that is gone; and
    where /proc does not tell (hidepid=).
    """
    if thread <= 0:
        return None
    try:
        with open(f"/proc/{thread}/status", "rb") as file:
            number = int(file.read().partition(b"\nTgid:")[2].partition(b"\n")[0])
        with open(f"/proc/{number}/stat", "rb") as file:
            # The name of the program, in parentheses, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        return Process(number, int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def is_alone(process: Process) -> bool:
    """Whether *process* has one thread, or none any more: then what it does has one order."""
    try:
        return os.stat(f"/proc/{process.number}/task").st_nlink <= 3  # "." and ".." count
    except OSError:
        return True
