"""The process that watches a session of tests, because a test that waits for a mount cannot be
interrupted.

    python -m tests.watchdog PID MARK DIRECTORY

PID is pytest, MARK its session, DIRECTORY where its mounts are.  Standard input brings a line
`SECONDS NAME` when a test begins.  When the next line does not come in that time, the watchdog
prints what all processes do and aborts the connections of the session's mounts: then the test goes
on, and fails.  If that does not help either, it ends the session.  When pytest has ended, however
it did, the watchdog ends what the session left and detaches its mounts.
"""

from __future__ import annotations

import contextlib
import glob
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from rossfs.fs import presence
from rossfs.fs.mountinfo import Mount, mounts
from tests import leftovers
from tests.leftovers import say

SECOND_CHANCE = 60.0
"""Seconds for a test to end after its mounts were aborted."""

ENOUGH = 20.0
"""Seconds for a command that shows processes."""


class Watchdog:
    """Watches the session *mark* of the pytest *pid*."""

    def __init__(self, pid: int, mark: str, directory: str) -> None:
        self._pid = pid
        self._mark = mark
        self._directory = directory
        self._test = "start of the session"
        self._end = time.monotonic() + 240.0
        self._aborted = False

    def watch(self) -> None:
        """Until pytest has ended, or has been ended."""
        pytest = os.pidfd_open(self._pid)
        poll = select.poll()
        poll.register(pytest, select.POLLIN)
        poll.register(0, select.POLLIN)
        while True:
            wait = max(0.0, self._end - time.monotonic())
            events = dict(poll.poll(min(wait, 5.0) * 1000))
            if pytest in events:
                return
            if 0 in events and not self._read():
                poll.unregister(0)
            if time.monotonic() < self._end:
                continue
            if self._aborted:
                say(f"{self._test} is still not over: ending the session")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                return
            self._rescue()

    def _read(self) -> bool:
        lines = os.read(0, 65536).decode("utf-8", "replace").splitlines()
        for line in lines:
            seconds, _, name = line.partition(" ")
            self._test = name
            with contextlib.suppress(ValueError):
                self._end = time.monotonic() + float(seconds)
            self._aborted = False
        return bool(lines)

    def _rescue(self) -> None:
        """Show what hangs, and abort the session's mounts."""
        say(f"{self._test} is not over in time")
        self._show()
        leftovers.abort(self._mounts())
        self._aborted = True
        self._end = time.monotonic() + SECOND_CHANCE

    def _show(self) -> None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            columns = "pid,ppid,stat,wchan:32,etimes,args"
            # All processes but the kernel's own.
            command = ["ps", "-N", "-p", "2", "--ppid", "2", "-wwo", columns, "--forest"]
            shown = subprocess.run(command, capture_output=True, check=False, timeout=ENOUGH)
            for line in shown.stdout.decode("utf-8", "replace").splitlines():
                say(line[:200])
        for pid in [self._pid, *leftovers.processes(self._mark)]:
            for stack in glob.glob(f"/proc/{pid}/task/*/stack"):
                with contextlib.suppress(OSError), open(stack) as file:
                    say(f"{stack}:\n{file.read().rstrip()}")
            if _catches(pid, signal.SIGUSR1):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGUSR1)  # a server writes its stacks to its log
        time.sleep(1.0)
        for log in self._logs():
            with contextlib.suppress(OSError), open(log, errors="replace") as file:
                say(f"end of {log}:\n{file.read()[-8192:]}")

    def _logs(self) -> Iterator[str]:
        """The logs of the session's servers; looks into no mount."""
        mounted = {mount.path for mount in mounts()}
        for directory, names, files in os.walk(self._directory):
            names[:] = [name for name in names if f"{directory}/{name}" not in mounted]
            yield from (f"{directory}/{name}" for name in files if name.endswith(".log"))

    def _mounts(self) -> list[Mount]:
        """The session's mounts: below its directory, or served by one of its processes."""
        found = []
        servers = set(leftovers.processes(self._mark))
        for mount in mounts():
            if not mount.ours:
                continue
            server = presence.find(mount.minor)
            with server or contextlib.nullcontext():
                mine = server is not None and server.pid in servers
            if mine or mount.path.startswith(f"{self._directory}/"):
                found.append(mount)
        return found

    def clear(self) -> None:
        """End what the session left, and detach its mounts."""
        mine = self._mounts()
        if left := leftovers.kill(leftovers.processes(self._mark)):
            say(f"these do not end before their mounts: {left}")
            leftovers.abort(mine)
            leftovers.kill(left)
        leftovers.clear(mine)


def _catches(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def main(pid: str, mark: str, directory: str) -> None:
    """Watch, then clear away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watchdog = Watchdog(int(pid), mark, directory)
    watchdog.watch()
    watchdog.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
