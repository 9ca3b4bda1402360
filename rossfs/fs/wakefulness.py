"""Asking the kernel not to put processors to sleep while requests follow one another.

Who asks for something waits for the answer, and its processor has nothing to do meanwhile.  To wake
it again takes longer than most answers, in virtual machines twice as long.  So for the time of a
rush this process asks for a latency of 0 (Documentation/power/pm_qos_interface.rst): idle
processors wait without sleeping.  Only root may; for others nothing is different.
"""

from __future__ import annotations

import contextlib
import os
import struct

DEVICE = "/dev/cpu_dma_latency"

MANY = 16
"""Requests in a row, with no pause between them, that make a rush."""

_AWAKE = struct.pack("=i", 0)
_AS_USUAL = struct.pack("=i", -1)
"""Microseconds; the second is PM_QOS_DEFAULT_VALUE (linux/pm_qos.h)."""


class Wakefulness:
    """What this process asks for."""

    __slots__ = ("_count", "_fd")

    def __init__(self, wanted: bool = True, device: str = DEVICE) -> None:
        self._fd = -1
        self._count = 0
        if wanted:
            with contextlib.suppress(OSError):  # not root, or a kernel without it
                self._fd = os.open(device, os.O_WRONLY | os.O_CLOEXEC)

    def served(self) -> None:
        """A request was served."""
        self._count += 1
        if self._count == MANY and self._fd >= 0:
            self._ask(_AWAKE)

    def pause(self) -> None:
        """No further one came."""
        if self._count >= MANY and self._fd >= 0:
            self._ask(_AS_USUAL)
        self._count = 0

    def close(self) -> None:
        """Ask for nothing any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _ask(self, latency: bytes) -> None:
        try:
            os.write(self._fd, latency)
        except OSError:
            self.close()
