"""What the server tells the kernel without being asked: that a name is not what it was.

The kernel takes the lock of a directory for it, which somebody may hold who waits for an answer of
ours: so a thread of its own says it, and nobody waits for that.
"""

from __future__ import annotations

import logging
import os
import threading
from queue import SimpleQueue

from rossfs.fs import wire

log = logging.getLogger("rossfs.fs")


class Notices:
    """The notices of one mount, in the order in which they were given."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._began = False

    def forget_name(self, parent: int, name: bytes) -> None:
        """Let the kernel forget *name* in the directory *parent*."""
        body = wire.FORGET_NAME.pack(parent, len(name)) + name + b"\0"
        size = wire.OUT + len(body)
        self._waiting.put(wire.OUT_HEADER.pack(size, wire.NOTIFY_FORGET_NAME, 0) + body)

    def begin(self, device: int) -> None:
        """Send what there is from now on, by a copy of the descriptor *device*."""
        self._began = True
        copy = os.dup(device)
        threading.Thread(target=self._send, args=(copy,), name="notices", daemon=True).start()

    def close(self) -> None:
        """Send no more."""
        if self._began:
            self._waiting.put(None)

    def _send(self, device: int) -> None:
        try:
            while (notice := self._waiting.get()) is not None:
                try:
                    os.write(device, notice)
                except FileNotFoundError:
                    pass  # the kernel does not know it
                except OSError as error:
                    log.info("the kernel took no notice: %s", error)
        finally:
            os.close(device)
