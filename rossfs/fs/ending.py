"""Whether somebody who waits for an answer was asked to end.

Any signal that a waiting program takes makes the kernel say that it gives up (FUSE_INTERRUPT), also
one that is nothing to it: a child ended, a window changed its size.  Few programs expect that a
directory cannot be read for such a reason: shells would take a pattern for a name.
"""

from __future__ import annotations

import signal

_ENDING = 0
for _signal in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM):
    _ENDING |= 1 << _signal - 1  # where /proc/PID/status has it


def asked_to_end(pid: int) -> bool:
    """Whether a signal that asks a program to end waits for the thread *pid*.  A signal that ends
    it without its doing is SIGKILL there.  True if nobody can tell."""
    masks: dict[bytes, int] = {}
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                name, _, value = line.partition(b":")
                if name in (b"SigPnd", b"ShdPnd", b"SigBlk"):
                    masks[name] = int(value, 16)
        pending = masks[b"SigPnd"] | masks[b"ShdPnd"]
        return bool(pending & ~masks[b"SigBlk"] & _ENDING)
    except (OSError, ValueError, KeyError):
        return True
