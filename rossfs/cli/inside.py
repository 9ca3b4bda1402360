"""Looking into images: their layers opened, with progress where tables must be made first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rossfs.cli import progress
from rossfs.cli.layercache import layer_cache
from rossfs.cli.platform import image_named
from rossfs.image.layers import Layers
from rossfs.image.opened import OpenedImage, open_rootfs
from rossfs.image.progress import SILENT, Progress
from rossfs.oci.platform import Platform
from rossfs.store.store import Store

if TYPE_CHECKING:
    from rossfs.image.blobindex import IndexingProgress

Opener = Callable[[str, Platform | None], OpenedImage]
"""What `looking_inside` gives: from the name of an image and a platform to what is in it."""


@contextmanager
def looking_inside(store: Store) -> Iterator[Opener]:
    """Give a function that opens images of *store*; afterwards nothing of them may be used.

    It raises the errors of `image_named` and `open_rootfs`.
    """
    told = _Told()
    layers = Layers(store, layer_cache(store), told)

    def opened(name: str, platform: Platform | None) -> OpenedImage:
        image = image_named(store, name, platform)
        with progress.shown() as drawn, told.to(drawn):
            return open_rootfs(store, layers, image)

    try:
        yield opened
    finally:
        layers.close()


class _Told:
    """Turns what is told of the making of tables into steps of a Progress.  Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._drawn: Progress = SILENT

    @contextmanager
    def to(self, drawn: Progress) -> Iterator[None]:
        """Draw with *drawn* until this is left."""
        with self._lock:
            self._drawn = drawn
            self._done.clear()
        yield
        with self._lock:
            self._drawn = SILENT

    def __call__(self, made: IndexingProgress) -> None:
        name = f"layer {made.digest.short}"
        with self._lock:
            if name not in self._done:
                self._done[name] = 0
                self._drawn.begin(name, made.total)
            self._drawn.advance(name, made.done - self._done[name])
            self._done[name] = made.done
            if made.done >= made.total:
                self._drawn.end(name)
