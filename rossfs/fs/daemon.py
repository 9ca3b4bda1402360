"""A server that outlives the command that starts it.

The child is forked before anything heavy is imported and leaves the terminal, the working directory
and every inherited descriptor: a lock or a pipe of the caller must not be held for as long as the
mount lasts.  Standard error stays until the server is ready, so that its warnings are seen.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable

from rossfs.errors import RossfsError
from rossfs.fs import readiness
from rossfs.fs.readiness import Readiness

DEADLINE = 60.0
"""Seconds for a server to get ready; it takes a tenth of one."""


def start(serve: Callable[[Readiness], None], deadline: float = DEADLINE) -> None:
    """Run *serve* in a process of its own, and return when that calls `ready`.

    Raises what *serve* raised, or MountFailed; then no process is left.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os._exit(_child(serve, writing))
    os.close(writing)
    try:
        readiness.wait(reading, deadline)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(reading)


def _child(serve: Callable[[Readiness], None], pipe: int) -> int:
    """The server's process; returns its exit status.  Nothing may be raised past this: the frames
    above are the command's."""
    told = Readiness(pipe)
    try:
        os.setsid()
        os.chdir("/")
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        serve(told)
    except BaseException as error:
        if not isinstance(error, RossfsError):
            traceback.print_exc()
        told.failed(error)
        return error.exit_status if isinstance(error, RossfsError) else 1
    finally:
        logging.shutdown()
    return 0


def leave_standard_error() -> None:
    """Let go of the caller's terminal or pipe."""
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)
    os.close(null)
