"""Where a server's log goes.

Three places: a file (option log=), the system's log once the server has left the terminal, standard
error before that and in the foreground.  There WARNING and above are written, everything with the
option debug; `.ross/log` in the mount keeps INFO too.  SIGUSR1 writes the stacks of all threads to
the file, or to standard error.
"""

from __future__ import annotations

import errno
import faulthandler
import logging
import logging.handlers
import os
import signal
import time
from typing import IO

_SYSLOG = "/dev/log"
_FILE_FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"

# sd-daemon(3): a line that begins with <N> has the priority N of syslog(3).
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


class Log:
    """The log of one server.  `close` ends it."""

    def __init__(
        self, buffer: logging.Handler, *, path: str | None, debug: bool, journal: bool
    ) -> None:
        """*buffer* gets what `.ross/log` shows; *journal*: systemd reads our standard error."""
        self._level = logging.DEBUG if debug else logging.WARNING
        self._file: IO[str] | None = None
        if path is None:
            handler: logging.Handler = logging.StreamHandler()
            handler.setFormatter(_JournalFormatter() if journal else _terminal_formatter())
        else:
            handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
            formatter = logging.Formatter(_FILE_FORMAT)
            formatter.converter = time.gmtime  # as in .ross/log
            handler.setFormatter(formatter)
            self._file = open(path, "a")  # noqa: SIM115 - faulthandler writes to it until close
        self._handler = handler
        self._buffer = buffer
        self._use(handler)
        ours = logging.getLogger("rossfs")
        ours.setLevel(logging.DEBUG if debug else logging.INFO)
        ours.addHandler(buffer)
        logging.getLogger("pyfuse3").addFilter(_is_news)
        logging.getLogger().setLevel(self._level)
        if self._file is not None:
            faulthandler.register(signal.SIGUSR1, self._file)
        else:
            faulthandler.register(signal.SIGUSR1)

    def _use(self, handler: logging.Handler) -> None:
        handler.setLevel(self._level)
        root = logging.getLogger()
        root.removeHandler(self._handler)
        root.addHandler(handler)
        self._handler = handler

    def leave_terminal(self) -> None:
        """Standard error is about to go: a log that went there goes to the system's log, if there
        is one."""
        if isinstance(self._handler, logging.FileHandler):
            return
        if os.path.exists(_SYSLOG):
            handler: logging.Handler = logging.handlers.SysLogHandler(
                _SYSLOG, logging.handlers.SysLogHandler.LOG_DAEMON
            )
            handler.setFormatter(logging.Formatter(f"rossfs[{os.getpid()}]: %(message)s"))
        else:
            handler = logging.NullHandler()
        self._use(handler)

    def close(self) -> None:
        """Write no more."""
        faulthandler.unregister(signal.SIGUSR1)
        logging.getLogger().removeHandler(self._handler)
        logging.getLogger("rossfs").removeHandler(self._buffer)
        logging.getLogger("pyfuse3").removeFilter(_is_news)
        self._handler.close()
        if self._file is not None:
            self._file.close()


def _is_news(record: logging.LogRecord) -> bool:
    """False for an answer that the kernel no longer wanted: the mount went while the request was
    under way (ENOENT of fuse_dev_do_write in the kernel).  pyfuse3 calls that an error."""
    return not (
        str(record.msg).endswith("fuse_reply_* failed with %s")
        and record.args == (os.strerror(errno.ENOENT),)
    )


def _terminal_formatter() -> logging.Formatter:
    return logging.Formatter("rossfs: %(levelname)s: %(message)s")


class _JournalFormatter(logging.Formatter):
    """Lines with a priority in front; the journal adds time and process."""

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelno, 2)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())
