"""Telling who started a server that it is ready, or why it is not.

`rossfs mount` waits at a pipe; systemd waits at a socket (sd_notify(3)).  The pipe carries the
single line `ready`, or the class and the text of an error; its end without either means that the
server died.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket

from rossfs import errors
from rossfs.errors import MountFailed, RossfsError

_READY = "ready"
_LIMIT = 65536


class Readiness:
    """The server's end."""

    def __init__(self, pipe: int | None = None, notify_socket: str | None = None) -> None:
        self._pipe = pipe
        self._notify_socket = notify_socket

    def ready(self) -> None:
        """The mount answers."""
        self._tell(_READY)
        self._notify("READY=1")

    def failed(self, error: BaseException) -> None:
        """There will be no mount.  After `ready` nobody listens any more."""
        if isinstance(error, RossfsError):
            self._tell(f"{type(error).__name__}\n{error}")
        else:
            self._tell(f"{MountFailed.__name__}\n{type(error).__name__}: {error}")

    def stopping(self) -> None:
        """The mount is being taken down."""
        self._notify("STOPPING=1")

    def _tell(self, text: str) -> None:
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, text.encode("utf-8", "surrogateescape")[:_LIMIT])
            os.close(self._pipe)
            self._pipe = None

    def _notify(self, text: str) -> None:
        if self._notify_socket is None:
            return
        # A name that begins with @ is in the abstract namespace (sd_notify(3)).
        address = self._notify_socket
        address = "\0" + address[1:] if address.startswith("@") else address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), address)


def wait(pipe: int, deadline: float) -> None:
    """The other end: return when the server is ready.

    Raises the server's own error, or MountFailed if it died or said nothing for *deadline* seconds.
    """
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    if not poll.poll(deadline * 1000):
        raise MountFailed(f"the server did not get ready within {deadline:.0f} seconds")
    text = os.read(pipe, _LIMIT).decode("utf-8", "surrogateescape")
    if text == _READY:
        return
    if not text:
        raise MountFailed("the server died before it was ready")
    name, _, message = text.partition("\n")
    kind = getattr(errors, name, MountFailed)
    raise kind(message)
