"""The process that makes the tables of one large blob.

    python -c ... DIGEST CACHE LIMIT MODE PARENT

Standard input is the blob, standard output a socket of packets: `P` and the bytes read so far, `D`
and the kinds of tables with their descriptors, `E` and the name and the text of an error.  The
process is killed when the thread that started it ends, and dies of the closed socket should that
fail; it leaves nothing but a temporary file of the cache, which the cache removes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from rossfs import errors
from rossfs.errors import IndexingFailed, RossfsError, TooManyFiles
from rossfs.image.cache import Cache
from rossfs.image.indexing import index_file
from rossfs.oci.digest import Digest

_PROCESSES = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
"""Held by each: one takes 250 MB for a million entries, and more would not be faster."""

_PACKET = 8192
_MOST_TABLES = 8
_NICE = 2
_INTERVAL = 0.1  # seconds between two words on how far it is
_COUNT = struct.Struct("<Q")
_PR_SET_PDEATHSIG = 1

# The parent's path, whatever made it, and nothing from the environment or the working directory: so
# that Python need not find it out again (-S) takes a quarter off the start of the process.
_START = (
    "import sys; sys.path[:] = sys.argv.pop(1).split(chr(10)); "
    "from rossfs.image.indexer import main; sys.exit(main(sys.argv[1:]))"
)
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def index_apart(
    fd: int,
    digest: Digest,
    cache: Cache,
    *,
    told: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """As `index_file`, in a process of its own, after others if there are as many as processors.
    IndexingFailed if it does not live to answer."""
    with _PROCESSES:
        return _index_apart(fd, digest, cache, told)


def _index_apart(
    fd: int, digest: Digest, cache: Cache, told: Callable[[int], None] | None
) -> dict[str, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, open(os.memfd_create("complaints"), "w+b") as complaints:
        process = subprocess.Popen(
            _command(digest, cache),
            stdin=fd,
            stdout=theirs.fileno(),
            stderr=complaints,
        )
        theirs.close()
        try:
            made = _answer(ours, told)
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
        if made is None:
            complaints.seek(0)
            raise IndexingFailed(_reason(digest, status, complaints.read()))
        return made


def _command(digest: Digest, cache: Cache) -> list[str]:
    path = "\n".join([*(entry for entry in sys.path if entry and "\n" not in entry), _ROOT])
    return [
        sys.executable,
        *("-I", "-S", "-c", _START, path),
        str(digest),
        cache.directory or "",
        str(cache.limit),
        str(cache.mode),
        str(os.getpid()),
    ]


def _answer(ours: socket.socket, told: Callable[[int], None] | None) -> dict[str, int] | None:
    """What the process found out; None if it ended without saying."""
    while True:
        packet, fds, _, _ = socket.recv_fds(ours, _PACKET, _MOST_TABLES, socket.MSG_CMSG_CLOEXEC)
        kind, text = packet[:1], packet[1:]
        if kind == b"P":
            if told is not None:
                told(*_COUNT.unpack(text))
        elif kind == b"D":
            kinds = text.decode().split()
            if len(fds) < len(kinds):
                # The kernel leaves out those for which this process has no descriptors left.
                for fd in fds:
                    os.close(fd)
                raise TooManyFiles("the tables of a layer cannot be opened")
            return dict(zip(kinds, fds, strict=True))
        elif kind == b"E":
            name, _, reason = text.decode("utf-8", "surrogateescape").partition("\n")
            error = getattr(errors, name, RossfsError)
            raise error(reason)
        else:
            return None


def _reason(digest: Digest, status: int, complaints: bytes) -> str:
    how = f"with status {status}"
    if status < 0:
        how = f"by signal {-status} ({signal.strsignal(-status) or 'unknown'})"
    last = complaints.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"the process that reads layer {digest} was ended {how}{': ' if last else ''}{last}"


def main(arguments: list[str]) -> int:
    """The process: index standard input, answer on standard output."""
    digest, directory, limit, mode, parent = arguments
    _die_with(int(parent))
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    name = Digest.parse(digest)
    cache = Cache(directory or None, int(limit), mode=int(mode))
    with socket.socket(fileno=os.dup(1)) as answer:
        due = 0.0

        def tell(done: int) -> None:
            nonlocal due
            now = time.monotonic()
            if now >= due:
                due = now + _INTERVAL
                answer.send(b"P" + _COUNT.pack(done))

        try:
            made = index_file(0, name, cache, told=tell)
        except RossfsError as error:
            text = f"{type(error).__name__}\n{error}".encode("utf-8", "surrogateescape")
            answer.send(b"E" + text[: _PACKET - 1])
        else:
            socket.send_fds(answer, [b"D" + " ".join(made).encode()], list(made.values()))
    return 0


def _die_with(parent: int) -> None:
    """Be killed when the thread that started this process ends (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before that was asked for.
        os.kill(os.getpid(), signal.SIGKILL)
