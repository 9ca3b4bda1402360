"""Layers on their way into the store: read for their tables while they are hashed and written.

Nothing that goes wrong here keeps a layer from being stored: its tables are then made when they are
first needed, and what is wrong with the layer itself is a warning.
"""

from __future__ import annotations

import os
import threading
from typing import Self

from rossfs.errors import CacheFull, IndexingFailed, InvalidLayer, InvalidTable
from rossfs.image.cache import Cache
from rossfs.image.indexing import Allowance, Outgrown, Pass
from rossfs.image.tables import TOC, Tables
from rossfs.image.toc import Toc
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCTET_STREAM, Kind, kind_of, layer_from_magic

ALLOWED = Allowance(256 << 20, 30)
"""What a layer may become on its way: tar archives do not shrink like this, bombs do."""

_WARNINGS = 1000


class ArrivingLayers:
    """The layers of one import.  Thread safe."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._lock = threading.Lock()
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each thing that people should know."""
        return tuple(self._warnings)

    def warn(self, text: str) -> None:
        """Tell people something, once."""
        with self._lock:
            if len(self._warnings) < _WARNINGS:
                self._warnings[text] = None

    def diff_id(self, digest: Digest) -> Digest | None:
        """What the layer *digest* hashes to when it is uncompressed, if it has a table that can be
        read."""
        try:
            fd = Tables(self.cache, digest).open_mapped(TOC)
        except CacheFull:
            return None
        if fd is None:
            return None
        try:
            with Toc.from_fd(fd) as toc:
                return toc.diff_id if toc.digest == digest else None
        except InvalidTable:
            return None
        finally:
            os.close(fd)


class ArrivingLayer:
    """One blob, which may turn out to be no layer.  To be used by one thread at a time, and
    closed."""

    def __init__(self, layers: ArrivingLayers | None, media_type: str, algorithm: str) -> None:
        """Without *layers* nothing is made.  *algorithm*: that of the digest that the blob will
        have."""
        self._layers = layers
        self._media_type = media_type
        self._algorithm = algorithm
        self._begun = layers is None
        self._pass: Pass | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._drop()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the blob."""
        if not self._begun:
            self._begun = True
            if self._layers is not None and self._is_layer(data):
                self._pass = Pass(
                    self._layers.cache, self._algorithm, hashing=False, allowed=ALLOWED
                )
        if self._pass is not None:
            try:
                self._pass.feed(data)
            except (Outgrown, IndexingFailed):
                self._drop()

    def stored(self, digest: Digest) -> None:
        """The blob is in the store now, as *digest*: keep its tables."""
        if self._pass is None or self._layers is None:
            return
        try:
            for fd in self._pass.finish(digest).publish(self._layers.cache).values():
                os.close(fd)
        except InvalidLayer as error:
            self._layers.warn(str(error))
        except (CacheFull, IndexingFailed):
            # They will be made when they are needed, where that can be done.
            return

    def _is_layer(self, head: bytes) -> bool:
        if kind_of(self._media_type) is Kind.LAYER:
            return True
        # What an archive calls nothing is known by its first bytes.
        return self._media_type == OCTET_STREAM and layer_from_magic(head) is not None

    def _drop(self) -> None:
        if self._pass is not None:
            self._pass.close()
            self._pass = None
