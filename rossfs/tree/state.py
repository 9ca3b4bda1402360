""".ross/: the state of the mount, as files that are made when they are opened.

Each opening sees one consistent text, however long it is read.  The log is a ring in memory: what
is older than its last 1,000 lines is in the real log, if there is one.
"""

from __future__ import annotations

import json
import logging
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import rossfs
from rossfs.image.blobindex import IndexingProgress
from rossfs.tree.handle import Handle
from rossfs.tree.node import Attr, Caller, File, is_writing, read_only
from rossfs.tree.numbers import Fixed
from rossfs.tree.static import BytesFile, BytesHandle, StaticDirectory

LOG_LINES = 1000


class LogBuffer(logging.Handler):
    """The last 1,000 lines that rossfs logged; add it to the logger "rossfs"."""

    def __init__(self, lines: int = LOG_LINES) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=lines)
        formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.extend(self.format(record).splitlines())
        except Exception:  # as logging.Handler asks: a bad record ends no request
            self.handleError(record)

    def text(self) -> bytes:
        """The lines, oldest first, each ended by a newline."""
        self.acquire()  # worker threads log too
        try:
            lines = list(self._lines)
        finally:
            self.release()
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


class DamagedContent(NamedTuple):
    """Content that was found not to match its digest since the mount began."""

    digest: str
    reason: str


class StateFile(File):
    """A file whose text is made at each opening; nothing of it is cached."""

    __slots__ = ("_make", "_since_ns")

    def __init__(self, ino: int, make: Callable[[], bytes], since_ns: int = 0) -> None:
        super().__init__(ino)
        self._make = make
        self._since_ns = since_ns

    def attr(self) -> Attr:
        # The size is right for now: programs that believe it (tail, wc -c) read what there is.
        now = time.time_ns()
        attr = Attr.dated(stat.S_IFREG | 0o444, now, len(self._make()))
        # tar takes a new ctime for a change while it reads, and fails.
        return attr._replace(ctime_ns=self._since_ns)

    async def open(self, flags: int, caller: Caller) -> Handle:
        """Take the text as it is now; EROFS for writing."""
        if is_writing(flags):
            raise read_only()
        return _StateHandle(self._make())


class _StateHandle(BytesHandle):
    """One opening's text.  Read directly: the kernel would cut it to the size it last heard of."""

    __slots__ = ()

    direct_io = True


def state_directory(
    log: LogBuffer,
    stats: Callable[[], Mapping[str, object]],
    damaged: Callable[[], Iterable[DamagedContent]],
    progress: Callable[[], Iterable[IndexingProgress]],
    modified_ns: int,
) -> StaticDirectory:
    """.ross/: *stats* is shown as JSON, *damaged* and *progress* as one JSON object a line."""
    return StaticDirectory(
        Fixed.STATE,
        {
            b"version": BytesFile(
                Fixed.STATE_VERSION, f"rossfs {rossfs.__version__}\n".encode(), modified_ns
            ),
            b"stats": StateFile(Fixed.STATE_STATS, lambda: _json(stats()), modified_ns),
            b"damaged": StateFile(
                Fixed.STATE_DAMAGED,
                lambda: "".join(f"{json.dumps(item._asdict())}\n" for item in damaged()).encode(),
                modified_ns,
            ),
            b"progress": StateFile(
                Fixed.STATE_PROGRESS,
                lambda: "".join(f"{_progress(item)}\n" for item in progress()).encode(),
                modified_ns,
            ),
            b"log": StateFile(Fixed.STATE_LOG, log.text, modified_ns),
        },
        modified_ns,
    )


def _progress(progress: IndexingProgress) -> str:
    return json.dumps(
        {
            "layer": str(progress.digest),
            "bytes": progress.done,
            "of": progress.total,
            "since": int(progress.since),
        }
    )


def _json(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, indent=2).encode() + b"\n"
