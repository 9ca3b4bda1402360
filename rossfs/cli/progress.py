"""Progress on a terminal, for what takes longer than a moment."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rossfs.image.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_PATIENCE = 0.5  # seconds before anything is shown; loading rich costs a tenth of one


@contextmanager
def shown() -> Iterator[Progress]:
    """Give a Progress that draws on standard error, or one that does nothing where that is no
    terminal."""
    if not sys.stderr.isatty():
        yield SILENT
        return
    progress = _Drawn()
    try:
        yield progress
    finally:
        progress.close()


class _Drawn(Progress):
    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._sizes: dict[str, int | None] = {}
        self._done: dict[str, int] = {}

    def begin(self, name: str, size: int | None) -> None:
        with self._lock:
            self._sizes[name] = size
            self._done[name] = 0
            self._draw(name)

    def advance(self, name: str, count: int) -> None:
        with self._lock:
            self._done[name] += count
            self._draw(name)

    def end(self, name: str) -> None:
        with self._lock:
            task = self._tasks.pop(name, None)
            if self._bars is not None and task is not None:
                self._bars.remove_task(task)

    def close(self) -> None:
        """Take everything off the screen."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()

    def _draw(self, name: str) -> None:
        if self._bars is None:
            if time.monotonic() - self._started < _PATIENCE:
                return
            self._bars = _bars()
            self._bars.start()
        if name not in self._tasks:
            shown = name if name.isprintable() else ascii(name)
            self._tasks[name] = self._bars.add_task(shown[:26], total=self._sizes[name])
        self._bars.update(self._tasks[name], completed=self._done[name])


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
