"""Real mounts for tests: a server in the foreground, ready with a deadline, ended with a deadline.

What the server logs is part of the test: a warning, or a traceback, that the test did not expect
fails it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rossfs.fs import blocking, presence
from rossfs.fs.mountinfo import Mount, mounts_on

ROSSFS = (sys.executable, "-m", "rossfs")
"""The command, whatever is installed."""

ROOT = Path(__file__).parent.parent

READY = 60.0
"""Seconds for a mount to answer, on a machine that does much else."""

ENDED = 60.0
"""Seconds for a server to end after SIGTERM; it gives up by itself after 30."""

_TROUBLE = re.compile(r"WARNING|ERROR|CRITICAL|Traceback|Exception ignored")


def rossfs(
    *arguments: str | Path,
    timeout: float = 60.0,
    stdin: bytes = b"",
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command `rossfs` and return how it ended, with what it printed."""
    return subprocess.run(
        [*ROSSFS, *map(str, arguments)],
        cwd=ROOT,
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=timeout,
        check=False,
    )


class Mounted:
    """A mount of rossfs and the process that serves it."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.path = path
        self.process = process
        self.log = log
        """What the server wrote to standard error."""
        self._expected: list[str] = []

    def expect_log(self, pattern: str) -> None:
        """Lines of the log with *pattern* (a regular expression) in them are no failure."""
        self._expected.append(pattern)

    def in_table(self) -> Mount | None:
        """The mount's line in the kernel's table."""
        there = mounts_on(str(self.path))
        return there[-1] if there else None

    def kill(self) -> None:
        """kill -9 the server; the mount stays, dead."""
        self.process.kill()
        self.process.wait(ENDED)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; AssertionError if the server does not end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(ENDED)
        except subprocess.TimeoutExpired:
            self._force()
            raise AssertionError(f"the server did not end:\n{self.log.read_text()}") from None

    def _force(self) -> None:
        """End a server that hangs: stacks into the log, connection aborted, killed."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(1.0)
        self.process.kill()
        mount = self.in_table()
        if mount is not None:
            presence.abort(mount.minor)
            blocking.call("detach", mount.path)
        self.process.wait(ENDED)

    def clear(self) -> None:
        """End the server if it runs, and take away what is still mounted."""
        try:
            if self.process.poll() is None:
                status = self.end()
                assert status == 0, f"the server ended with {status}:\n{self.log.read_text()}"
        finally:
            while mount := self.in_table():
                if blocking.call("detach", mount.path) != 0:
                    raise AssertionError(f"{mount.path} cannot be unmounted")

    def check_log(self) -> None:
        """AssertionError if the log has trouble in it that was not expected."""
        text = self.log.read_text(errors="replace")
        trouble = [
            line
            for line in text.splitlines()
            if _TROUBLE.search(line) and not any(re.search(p, line) for p in self._expected)
        ]
        assert not trouble, f"the server complained:\n{text}"


def mount_command(store: Path | str, path: Path | str, *options: str) -> list[str]:
    """The command line that serves a mount in the foreground."""
    command = [*ROSSFS, "mount", "-f", str(store), str(path)]
    return [*command, "-o", ",".join(options)] if options else command


def start(store: Path | str, path: Path, log: Path, *options: str) -> Mounted:
    """Mount *store* on *path*, which is made if it is missing; returns when the mount answers."""
    with contextlib.suppress(FileExistsError):  # that may be a dead mount
        path.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(log, "wb") as errors:
        name = f"rossfs-test-{os.getpid()}-{time.monotonic_ns()}"
        notify.bind(f"\0{name}")
        process = subprocess.Popen(
            mount_command(store, path, *options),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env={**os.environ, "NOTIFY_SOCKET": f"@{name}"},
        )
        mounted = Mounted(path, process, log)
        notify.settimeout(0.1)
        end = time.monotonic() + READY
        while True:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in notify.recv(4096):
                    return mounted
            if process.poll() is not None:
                raise AssertionError(f"no mount, status {process.returncode}:\n{log.read_text()}")
            if time.monotonic() > end:
                with contextlib.suppress(AssertionError):
                    mounted.end()
                raise AssertionError(f"the mount did not get ready:\n{log.read_text()}")


@contextlib.contextmanager
def mounted(store: Path | str, path: Path, log: Path, *options: str) -> Iterator[Mounted]:
    """A mount for the length of the block; its log is checked at the end."""
    server = start(store, path, log, *options)
    try:
        yield server
    finally:
        server.clear()
    server.check_log()
