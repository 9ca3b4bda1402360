"""What podman/ shows now: taken anew when the store has changed, whoever changed it.

A question about what may have changed is answered by `current`, which looks for changes first
(store/changes.py) and raises Unsettled if there are some: the caller awaits `settle` and asks
again.  Questions about one layer, whose id says what it is, are answered by what is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from rossfs.image.imagestore import ImageStore
from rossfs.image.imagesurvey import Survey
from rossfs.store.changes import Changes
from rossfs.tree.node import Unsettled

_FRESH = 1.0
"""Seconds for which who waited may fetch what he waited for, should it have changed again."""


class PodmanView:
    """The image store of one mount.  Nothing is looked at before somebody asks."""

    __slots__ = (
        "_changes", "_granted", "_lock", "_now", "_stale", "images_ns", "layers_ns", "survey",
    )  # fmt: skip

    def __init__(self, survey: Survey, now_ns: int) -> None:
        self.survey = survey
        self._changes: Changes | None = None
        self._now = ImageStore((), ())
        self._stale = True
        self._granted: list[float] = []
        self._lock = trio.Lock()
        self.images_ns = now_ns
        """When images.json changed last, as far as anybody looked; never the same for another
        text."""
        self.layers_ns = now_ns

    def known(self) -> ImageStore:
        """What was there when somebody last looked."""
        return self._now

    def current(self) -> ImageStore:
        """What is there now.  Raises Unsettled."""
        if self._changes is not None and not self._stale:
            self._stale = self._changes.happened() or self.survey.arrived()
        # Who waited has his answer now, whatever it is: nobody else is to have what he was granted.
        granted = self._is_granted()
        if self._stale and not granted:
            raise Unsettled
        return self._now

    def find(self, ask: Callable[[ImageStore], bool]) -> ImageStore:
        """What is known if *ask* finds there what it wants, else what is there now."""
        return self._now if ask(self._now) else self.current()

    def outdated(self) -> None:
        """Something was found to be otherwise than it is shown."""
        self._stale = True

    async def settle(self) -> None:
        """Take the store anew if it changed; `current` answers then."""
        async with self._lock:
            if self._stale:
                if self._changes is None:
                    self._changes = Changes()
                self._stale = False
                try:
                    # What was shut down by a cancellation goes on unheard, and hurts nobody.
                    store = await trio.to_thread.run_sync(
                        self.survey.take,
                        self._changes.watch,
                        self._changes.told(),
                        abandon_on_cancel=True,
                    )
                except BaseException:
                    self._stale = True
                    raise
                self._show(store)
        self._granted.append(time.monotonic())

    def _show(self, store: ImageStore) -> None:
        now = time.time_ns()
        if store.images_json != self._now.images_json:
            self.images_ns = max(now, self.images_ns + 1)
        if store.layers_json != self._now.layers_json:
            self.layers_ns = max(now, self.layers_ns + 1)
        self._now = store

    def _is_granted(self) -> bool:
        now = time.monotonic()
        while self._granted:
            if now - self._granted.pop() < _FRESH:
                return True
        return False
