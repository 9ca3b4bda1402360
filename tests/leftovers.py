"""Processes and mounts that sessions of tests leave behind, and how they are cleared away.

Every process that a session starts inherits the variable ROSSFS_TEST_SESSION, the process id and
the start time of its pytest.  A process whose session is over is ended; a mount that nobody serves
any more is detached, after its connection was aborted if it hangs.  A mount is never asked anything
but by a process that can be left behind.

`python -m tests.leftovers` clears away what can be found on the whole machine, before a run of CI.
Imports the standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable

from rossfs.fs import blocking, presence
from rossfs.fs.mountinfo import Mount, mounts
from rossfs.fs.mountpoint import Health, health

VARIABLE = "ROSSFS_TEST_SESSION"
MARK_FILE = "session"
"""File in a session's directory with its mark; its mounts are its own business while it runs."""

DEADLINE = 5.0
"""Seconds for a mount to answer before it counts as hanging."""


def mark_of(pid: int) -> str:
    """What identifies the session whose pytest is *pid*."""
    return f"{pid}:{_start_time(pid)}"


def is_over(mark: str) -> bool:
    """Whether the pytest of the session *mark* has ended."""
    pid, _, started = mark.partition(":")
    return not pid.isdecimal() or _start_time(int(pid)) != started


def sessions() -> dict[int, str]:
    """The running processes that a session of tests started, and the marks of those sessions."""
    found = {}
    prefix = f"{VARIABLE}=".encode()
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            for variable in file.read().split(b"\0"):
                if variable.startswith(prefix):
                    found[pid] = os.fsdecode(variable[len(prefix) :])
    return found


def processes(mark: str) -> list[int]:
    """The running processes of the session *mark*, without the caller."""
    return [pid for pid, their in sessions().items() if their == mark and pid != os.getpid()]


def kill(pids: Iterable[int], deadline: float = DEADLINE) -> list[int]:
    """End processes; returns those that are still there after *deadline* seconds."""
    left = list(pids)
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + deadline
    while (left := [pid for pid in left if _runs(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def abort(found: Iterable[Mount]) -> None:
    """End the connections of mounts, so that whoever waits for them goes on."""
    for mount in found:
        say(f"aborting the connection of {mount.path}")
        if not presence.abort(mount.minor):
            say(f"could not abort connection {mount.minor}")


def detach(mount: Mount) -> None:
    """Take a mount out of the tree."""
    call = blocking.call("detach", mount.path)
    if call:
        say(f"cannot detach {mount.path}: {os.strerror(call)}")
    elif call is None:
        say(f"cannot detach {mount.path}: it hangs")


def below(directory: str) -> list[Mount]:
    """The mounts of rossfs below *directory*, uppermost first."""
    found = [mount for mount in mounts() if mount.ours and mount.path.startswith(f"{directory}/")]
    return found[::-1]


def clear(found: Iterable[Mount]) -> None:
    """Detach those of the mounts that nobody serves."""
    for mount in found:
        state = health(mount, DEADLINE)
        if state is Health.HANGS and presence.is_gone(mount.minor):
            abort([mount])
        elif state is not Health.DEAD:
            continue
        say(f"detaching {mount.path}, which nobody serves")
        detach(mount)


def sweep(*, everywhere: bool = False) -> None:
    """Clear away what sessions that are over left: processes, and mounts below the directory for
    temporary files, or *everywhere*."""
    over = [pid for pid, mark in sessions().items() if is_over(mark) and pid != os.getpid()]
    if over:
        say(f"ending processes of earlier sessions: {over}")
        kill(over)
    temporary = os.path.realpath(tempfile.gettempdir())
    found = below("" if everywhere else temporary)
    clear([mount for mount in found if not _belongs_to_a_running_session(mount)])


def _belongs_to_a_running_session(mount: Mount) -> bool:
    directory = os.path.dirname(mount.path)
    while directory != "/":
        with contextlib.suppress(OSError), open(f"{directory}/{MARK_FILE}") as file:
            return not is_over(file.read())
        directory = os.path.dirname(directory)
    return False


def say(text: str) -> None:
    """Print a line at once: what comes next may hang."""
    print(f"tests: {text}", file=sys.stderr, flush=True)


def _start_time(pid: int) -> str:
    """Field 22 of proc_pid_stat(5); the name of the process before it may hold anything."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return fields[19]


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


if __name__ == "__main__":
    sweep(everywhere=True)
