"""Mounts for measuring, ended with a deadline, and the memory that a process holds."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

DEADLINE = 60.0

LIMIT = 900.0
"""Seconds that anything may be mounted."""

ROSSFS = (sys.executable, "-m", "rossfs")


def rss_anon(pid: int) -> float:
    """Anonymous resident memory of a process in MB (proc(5), RssAnon)."""
    with open(f"/proc/{pid}/status") as file:
        found = re.search(r"RssAnon:\s+(\d+) kB", file.read())
    return int(found[1]) / 1000 if found else 0.0


def is_mounted(path: str) -> bool:
    """Whether something is mounted on *path*, asked of the kernel's table and not of the mount."""
    with open("/proc/self/mountinfo") as file:
        return any(line.split()[4] == path for line in file)


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    mountpoint: str,
    read_ahead: int = 2048,
    limit: float = LIMIT,
    output: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command*, a FUSE server in the foreground, until the block ends.

    A server that is to set a read-ahead of *read_ahead* KiB is given a moment for it.  After
    *limit* seconds it is killed, which ends whatever waits for it with an error.  What it prints
    goes to *output* (subprocess.DEVNULL), by default where ours goes.
    """
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    alarm = threading.Timer(limit, server.kill)
    alarm.daemon = True
    alarm.start()
    try:
        deadline = time.monotonic() + DEADLINE
        while not is_mounted(mountpoint):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not mount")
            time.sleep(0.002)
        os.listdir(mountpoint)
        if read_ahead:
            _wait_for_read_ahead(mountpoint, read_ahead)
        yield server
    finally:
        alarm.cancel()
        _end(server, mountpoint)


def _end(server: subprocess.Popen[bytes], mountpoint: str) -> None:
    """Unmount and wait; one that has not come to mount yet is told to end, and may still mount."""
    if is_mounted(mountpoint):
        _unmount(mountpoint)
    else:
        server.terminate()
    try:
        server.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if is_mounted(mountpoint):
        _unmount(mountpoint)


def _unmount(mountpoint: str) -> None:
    subprocess.run(["fusermount3", "-u", "-z", mountpoint], check=False, timeout=DEADLINE)


def _wait_for_read_ahead(mountpoint: str, at_least: int) -> None:
    """Both programs set the mount's read-ahead after they have mounted; give them a moment."""
    minor = os.minor(os.stat(mountpoint).st_dev)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with open(f"/sys/class/bdi/0:{minor}/read_ahead_kb") as file:
            if int(file.read()) >= at_least:
                return
        time.sleep(0.01)


@contextlib.contextmanager
def mounted(store: str, options: str = "") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Mount *store* with rossfs; yields the mount point and the server's process."""
    with tempfile.TemporaryDirectory(prefix="rossfs-bench-") as mountpoint:
        command = [*ROSSFS, "mount", store, mountpoint, "-f"]
        if options:
            command += ["-o", options]
        with serving(command, mountpoint) as server:
            yield mountpoint, server


class PeakMemory:
    """The highest RssAnon of a process while the block runs, in MB, looked at every 10 ms."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = 0.0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            with contextlib.suppress(OSError):
                self.peak = max(self.peak, rss_anon(self._pid))


def drop_caches() -> None:
    """Let the kernel forget pages, dentries and inodes (needs root)."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def drop_names() -> None:
    """Let the kernel forget dentries and inodes, and what of files has no other holder."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("2")
