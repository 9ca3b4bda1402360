"""The opened layers of one process, each opened once however many ask for it.

A layer stays open as long as somebody refers to it; of the others the most recently used are kept.
A table comes from the cache, or is made.  What is no layer is remembered, since its digest says
that it will never be one; every other failure is tried again by the next who asks.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from weakref import WeakValueDictionary

from rossfs.errors import (
    BlobNotFound,
    DiffIdMismatch,
    IndexingFailed,
    InvalidLayer,
    InvalidTable,
)
from rossfs.image.blobindex import IndexingProgress, Indexings
from rossfs.image.cache import Cache
from rossfs.image.layer import Layer
from rossfs.image.layerdata import LayerData
from rossfs.image.spans import SpanCache
from rossfs.image.tables import TOC, Tables
from rossfs.image.toc import Toc
from rossfs.oci.digest import Digest
from rossfs.store import descriptors
from rossfs.store.descriptors import Descriptors
from rossfs.store.store import Store

KEPT = 256
"""Layers that stay open although nobody uses them: those of two images with as many layers as
overlayfs can mount."""

_REMEMBERED = 4096

_log = logging.getLogger("rossfs.image")


class Layers:
    """Opens layers.  Thread safe.

    *told* hears of indexing as it goes on; it may be called by several threads, and must be quick.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        told: Callable[[IndexingProgress], None] | None = None,
        spans: SpanCache | None = None,
        files: Descriptors = descriptors.PROCESS,
    ) -> None:
        self.store = store
        self.cache = cache
        self.files = files
        """What layers keep open is entered there."""
        self._indexings = Indexings(store, cache, told)
        self._spans = spans or SpanCache()
        self._lock = threading.Lock()
        # Held with the lock:
        self._open: WeakValueDictionary[Digest, Layer] = WeakValueDictionary()
        self._kept: OrderedDict[Digest, Layer] = OrderedDict()
        self._opening: dict[Digest, Future[Layer]] = {}
        self._no_layers: dict[Digest, str] = {}

    def open(self, digest: Digest) -> Layer:
        """Open the layer whose blob is *digest*.

        May take long, when its tables must be made: then other threads that ask for it wait too.
        BlobNotFound, Damaged, InvalidLayer, IndexingFailed, CacheFull.
        """
        with self._lock:
            layer = self._open.get(digest)
            if layer is not None:
                self._keep(layer)
                return layer
            if digest in self._no_layers:
                raise InvalidLayer(self._no_layers[digest])
            opening = self._opening.get(digest)
            if opening is None:
                ours = self._opening[digest] = Future()
        if opening is not None:
            return opening.result()
        return self._open_first(digest, ours)

    def opened(self, digest: Digest) -> Layer | None:
        """The layer *digest* if it is open already; never waits."""
        with self._lock:
            layer = self._open.get(digest)
            if layer is not None:
                self._keep(layer)
            return layer

    def check_diff_id(self, layer: Layer, expected: Digest) -> None:
        """DiffIdMismatch unless the uncompressed bytes of *layer* hash to *expected*.

        Decompresses the whole layer if *expected* is of another algorithm than tables have.
        """
        actual = layer.diff_id
        if expected.algorithm != actual.algorithm:
            actual = layer.hash(expected.algorithm)
        if actual != expected:
            raise DiffIdMismatch(
                f"layer {layer.digest} is {actual} when uncompressed; the config says {expected}"
            )

    def progress(self) -> list[IndexingProgress]:
        """The layers whose tables are being made."""
        return self._indexings.progress()

    def close(self) -> None:
        """Let go of all layers that nobody uses."""
        with self._lock:
            self._kept.clear()

    def _open_first(self, digest: Digest, opening: Future[Layer]) -> Layer:
        """Open a layer for all who wait for *opening*."""
        try:
            layer = self._opened_now(digest)
        except BaseException as error:
            with self._lock:
                del self._opening[digest]
                if isinstance(error, InvalidLayer):
                    while len(self._no_layers) >= _REMEMBERED:
                        del self._no_layers[next(iter(self._no_layers))]
                    self._no_layers[digest] = str(error)
            if not isinstance(error, Exception):
                failed = IndexingFailed(f"opening layer {digest} was interrupted")
                opening.set_exception(failed)
            else:
                opening.set_exception(error)
            raise
        with self._lock:
            del self._opening[digest]
            self._open[digest] = layer
            self._keep(layer)
        opening.set_result(layer)
        return layer

    def _keep(self, layer: Layer) -> None:
        """Count *layer* as used now.  Requires the lock."""
        self._kept[layer.digest] = layer
        self._kept.move_to_end(layer.digest)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _opened_now(self, digest: Digest) -> Layer:
        content = self.store.contents.settle(digest)
        if content is None:
            raise BlobNotFound(f"layer {digest} is not stored")
        tables = Tables(self.cache, digest)
        toc = self._table(tables)
        if toc is None:
            tables.put(self._indexings.make(digest))
            toc = self._table(tables)
            if toc is None:
                raise IndexingFailed(f"the table of layer {digest} is gone or damaged at once")
        data = LayerData(
            self.store.contents, tables, toc.length, self.cache, self._spans, self._indexings.make,
            self.files,
        )  # fmt: skip
        return Layer(digest, content.size, toc, data)

    def _table(self, tables: Tables) -> Toc | None:
        fd = tables.open_mapped(TOC)
        if fd is None:
            return None
        try:
            toc = Toc.from_fd(fd)
            if toc.digest != tables.digest:
                toc.close()
                raise InvalidTable(f"the table of layer {tables.digest} is that of {toc.digest}")
        except InvalidTable as error:
            _log.warning("%s; it is made again", error)
            tables.discard(TOC)
            return None
        finally:
            os.close(fd)
        return toc
