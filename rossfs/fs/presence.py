"""Whether the server of a mount lives.

A server holds an abstract unix socket named by the minor device number of its mount, and a thread
of its own tells everybody who connects the server's process id.  The connection ends with the
process, so to wait for its end is to wait for the end of the server.

A FUSE connection ends when its server's last descriptor is closed.  A killed server with a thread
that waits in the kernel keeps its descriptors, and everybody who asks the mount waits with it: that
is what `is_gone` finds out.  The socket of such a server can still be connected to, but nobody
answers.
"""

from __future__ import annotations

import contextlib
import glob
import os
import selectors
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from typing import NamedTuple

from rossfs.fs import blocking

ANSWER = 2.0
"""Seconds in which a living server answers; its thread has nothing else to do."""

_AGAIN = 0.05
"""Seconds until a name that another process has is tried again."""

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


def _address(minor: int) -> bytes:
    return b"\0rossfs-mount-%d" % minor


class Presence:
    """Says that this process serves the mount *minor*, until `withdraw` or the end of the process.

    The kernel gives a minor number away again as soon as its mount is gone, which may be before its
    last server has ended: the name is waited for.
    """

    def __init__(self, minor: int) -> None:
        self._address = _address(minor)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._withdrawn, self._withdrawing = socket.socketpair()
        threading.Thread(target=self._serve, name="presence", daemon=True).start()

    def withdraw(self) -> None:
        """Answer nobody any more, because the mount is gone; who asked before still waits for the
        end of the process."""
        self._withdrawing.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._withdrawn, selectors.EVENT_READ)
            while not self._bound():
                if waiting.select(_AGAIN):
                    return
            waiting.register(self._listener, selectors.EVENT_READ)
            self._answer(waiting)

    def _bound(self) -> bool:
        try:
            self._listener.bind(self._address)
        except OSError:
            return False
        self._listener.listen(64)
        return True

    def _answer(self, waiting: selectors.BaseSelector) -> None:
        """Answer each connection once, and keep it: its end is what the other side waits for."""
        while True:
            for key, _ in waiting.select():
                with contextlib.suppress(OSError):
                    if key.fileobj is self._listener:
                        connection, _ = self._listener.accept()
                        connection.setblocking(False)
                        waiting.register(connection, selectors.EVENT_READ)
                        connection.send(str(os.getpid()).encode())
                    elif key.fileobj is self._withdrawn:
                        waiting.unregister(self._withdrawn)
                        waiting.unregister(self._listener)
                        self._listener.close()
                    elif isinstance(key.fileobj, socket.socket):
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()


class Server:
    """The process that serves a mount, as seen by another one."""

    def __init__(self, connection: socket.socket, pid: int, *, answered: bool) -> None:
        self._connection = connection
        self.pid = pid
        self.answered = answered
        """It answered, so it lives."""

    def wait_gone(self, deadline: float) -> bool:
        """Wait until the process has ended, at most *deadline* seconds; returns whether it has."""
        self._connection.settimeout(max(0.001, deadline))
        try:
            while self._connection.recv(64):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        """Stop watching."""
        self._connection.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find(minor: int, deadline: float = ANSWER) -> Server | None:
    """The server of the mount *minor*; None if none is known in this network namespace (abstract
    sockets are not seen from another one)."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(deadline)
    try:
        connection.connect(_address(minor))
        pid, _, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        try:
            answered = bool(connection.recv(64))
        except TimeoutError:
            answered = False
    except OSError:
        connection.close()
        return None
    return Server(connection, pid, answered=answered)


def is_gone(minor: int, deadline: float = ANSWER) -> bool:
    """Whether the server of the mount *minor* has been killed and only its descriptors are left, or
    nothing at all.  False where that cannot be known."""
    server = find(minor, deadline)
    if server is None:
        holders = _holders(minor)
        return holders is not None and all(map(_is_dying, holders))
    with server:
        return not server.answered and _is_dying(server.pid)


def abort(minor: int, deadline: float = blocking.DEADLINE) -> bool:
    """End the FUSE connection *minor*: everybody who waits for its server gets ENOTCONN.  Returns
    whether that was allowed."""
    return blocking.call("abort", str(minor), deadline=deadline) == 0


class _State(NamedTuple):
    letter: str
    pending: int


def _is_dying(pid: int) -> bool:
    """Whether a process is dead, or has been sent SIGKILL and only waits in the kernel."""
    killed = 1 << (signal.SIGKILL - 1)
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with contextlib.suppress(OSError):  # a thread that ended while we looked
            state = _state(path)
            if state.letter not in "ZX" and not state.pending & killed:
                return False
    return True


def _state(path: str) -> _State:
    with open(path) as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    pending = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
    return _State(fields["State"][0], pending)


def _holders(minor: int) -> list[int] | None:
    """The processes with an open /dev/fuse that is, or may be, the connection *minor*; None if not
    all processes can be looked at."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if any(_may_be(path, minor) for path in _fuse_descriptors(pid)):
                found.append(int(pid))
        except PermissionError:
            return None
        except OSError:
            continue  # ended while we looked
    return found


def _fuse_descriptors(pid: str) -> Iterator[str]:
    for number in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/fuse":
            yield f"/proc/{pid}/fdinfo/{number}"


def _may_be(path: str, minor: int) -> bool:
    """Kernels from 6.17 on name the connection in fdinfo."""
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "fuse_connection":
                return int(value) == minor
    return True
