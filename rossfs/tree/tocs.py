"""Layers by the digests of their tables of contents, for als/.

That a blob has such a table is what manifests say, which anybody may have made; so it is looked
into before it is given out under that name (image/tocproof.py).  That is done once for each in a
mount, in a worker thread, and takes as long as reading the layer.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import TypeVar

import trio

from rossfs.errors import InvalidLayer, NotFound, RossfsError, TooManyFiles
from rossfs.image.layers import Layers
from rossfs.image.tocdigests import TocDigests
from rossfs.image.tocproof import prove
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.workers import Workers

K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED = 4096
_FRESH = 1.0
"""Seconds for which whoever waited may still be told what was found."""

_log = logging.getLogger("rossfs.tree")


class Tocs:
    """What is known of them in one mount."""

    __slots__ = ("_index", "_layers", "_looked_for", "_looking", "_proven", "_refused", "_store",
                 "_workers")  # fmt: skip

    def __init__(self, store: Store, layers: Layers) -> None:
        self._store = store
        self._layers = layers
        self._index = TocDigests(store.paths)
        self._workers = Workers()
        self._looked_for: OrderedDict[Digest, float] = OrderedDict()
        self._looking: dict[Digest, trio.Event] = {}
        self._proven: OrderedDict[Digest, Digest] = OrderedDict()
        self._refused: OrderedDict[tuple[Digest, Digest], str] = OrderedDict()

    def known(self, toc: Digest) -> bool:
        """Whether `get` can answer: once after `look_for`, and as long as no manifest came
        since."""
        if toc in self._proven:
            return True
        if self._looked_for and time.monotonic() - self._looked_for.pop(toc, 0.0) < _FRESH:
            return True
        return self._index.is_current() and not self._unproven(toc)

    def get(self, toc: Digest) -> Digest | None:
        """The layer whose table of contents has the digest *toc*."""
        content = self._proven.get(toc)
        if content is not None and self._store.contents.glance(content) is None:
            del self._proven[toc]
            return None
        return content

    async def look_for(self, toc: Digest) -> None:
        """Find the layer with that table, if there is one.  Those who ask at once wait for one."""
        running = self._looking.get(toc)
        if running is not None:
            await running.wait()
            return
        done = self._looking[toc] = trio.Event()
        try:
            content, refused = await self._workers.open(lambda: self._find(toc))
            _remember(self._refused, refused)
            if content is not None:
                _remember(self._proven, {toc: content})
            else:
                _remember(self._looked_for, {toc: time.monotonic()})
        finally:
            del self._looking[toc]
            done.set()

    def _unproven(self, toc: Digest) -> list[Digest]:
        """Layers that are said to have it, and were not looked into."""
        return [one for one in self._index.layers(toc) if (toc, one) not in self._refused]

    def _find(self, toc: Digest) -> tuple[Digest | None, dict[tuple[Digest, Digest], str]]:
        """In a worker thread: the layer, and those that turned out not to have that table."""
        self._index.refresh()
        refused = {}
        for content in self._unproven(toc):
            try:
                prove(self._layers, content, toc)
            except InvalidLayer as error:
                refused[toc, content] = str(error)
                _log.info("%s is not given out as that of table %s: %s", content, toc, error)
            except NotFound:
                continue
            except TooManyFiles:
                raise
            except RossfsError as error:
                # It may be mended, or there may be room next time.
                _log.warning("table %s cannot be looked for in %s: %s", toc, content, error)
            else:
                return content, refused
        return None, refused


def _remember(known: OrderedDict[K, V], more: dict[K, V]) -> None:
    known.update(more)
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
