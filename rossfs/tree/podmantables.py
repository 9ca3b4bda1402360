"""podman/overlay-layers/: what containers/storage knows of layers besides their files.

    layers.json             which layers there are
    layers.lock             as images.lock (podmanimages.py)
    <id>.tar-split.gz       what makes the layer's tar of its files again (image/tarsplit.py)

Tables are answered from memory.  Tar-split data is made when somebody asks for its size or its
bytes, which takes as long as the layer is large, and kept in cache/.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar

import trio

from rossfs.image.imagestore import ImageStore, StoreLayer
from rossfs.image.tarsplits import TarSplit, TarSplits
from rossfs.store.descriptors import Descriptors
from rossfs.tree.fixed import FixedFile
from rossfs.tree.handle import Handle
from rossfs.tree.node import Attr, Directory, Entries, Entry, Listing, Node, Unsettled
from rossfs.tree.podmanimages import listed
from rossfs.tree.podmanlayers import StoreLayers

SUFFIX = ".tar-split.gz"

_KEPT = 64
"""Files that are known although the kernel may have forgotten them."""


class LayerTablesDirectory(Directory):
    """overlay-layers/."""

    __slots__ = ("_layers", "_made", "_shown", "_splits", "_wanted")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, layers: StoreLayers) -> None:
        super().__init__(ino)
        self._layers = layers
        self._splits = TarSplits(layers.inside.layers.cache)
        self._shown: tuple[ImageStore, dict[bytes, Node]] | None = None
        self._made: dict[str, SplitFile] = {}
        self._wanted: StoreLayer | None = None

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._layers.view.layers_ns)

    def lookup(self, name: bytes) -> Node | None:
        text = name.decode("latin-1")
        if text.endswith(SUFFIX):
            return self._split(text.removesuffix(SUFFIX))
        return self._tables(self._layers.view.current()).get(name)

    def entries(self) -> Listing:
        """Tar-split data by name only, but for what is open: it would all have to be made."""
        store = self._layers.view.current()
        entries = [Entry(name, node) for name, node in self._tables(store).items()]
        return Entries([*entries, *map(self._listed, store.layers)])

    async def settle(self) -> None:
        # No await since lookup: it is what this caller wants.
        layer, self._wanted = self._wanted, None
        if layer is None:
            await self._layers.view.settle()
            return
        split = await self._opened(layer)
        while len(self._made) >= _KEPT:
            del self._made[next(iter(self._made))]
        files = self._layers.inside.layers.files
        again = partial(self._opened, layer)
        self._made[layer.id] = SplitFile(self._ino(layer.id), split, files, again)

    async def _opened(self, layer: StoreLayer) -> TarSplit:
        stacked = await self._layers.stacked(layer)
        inodes = stacked.layers[layer.position]
        return await self._layers.inside.run(
            str(inodes.layer.digest),
            lambda: self._splits.open(layer.id, stacked.rootfs, layer.position, inodes.layer),
        )

    def _split(self, layer: str) -> Node | None:
        made = self._made.get(layer)
        if made is not None:
            return made
        store = self._layers.view.find(lambda store: layer in store.layers)
        self._wanted = store.layers.get(layer)
        if self._wanted is not None:
            raise Unsettled
        return None

    def _listed(self, layer: str) -> Entry:
        name = f"{layer}{SUFFIX}".encode()
        return Entry(name, self._made.get(layer), stat.S_IFREG, self._ino(layer))

    def _ino(self, layer: str) -> int:
        return self._layers.number(b"split " + layer.encode())

    def _tables(self, store: ImageStore) -> dict[bytes, Node]:
        if self._shown is None or self._shown[0] is not store:
            view, number = self._layers.view, self._layers.number
            self._shown = store, listed(number, b"layers", store.layers_json, view.layers_ns)
        return self._shown[1]


class SplitFile(FixedFile):
    """The tar-split data of one layer.

    They are kept open while *files* has room for them; *again* opens them anew.
    """

    __slots__ = ("__weakref__", "_again", "_files", "_split", "used")

    def __init__(
        self,
        ino: int,
        split: TarSplit,
        files: Descriptors,
        again: Callable[[], Awaitable[TarSplit]],
    ) -> None:
        super().__init__(ino, split.size)
        self._split: TarSplit | None = split
        self._files = files
        self._again = again
        self.used = 0
        """See Keeper.used."""
        files.opened(self)

    def held(self) -> bool:
        """See Keeper.held: who has it open has the data themselves."""
        return False

    def let_go(self) -> bool:
        """See Keeper.let_go."""
        self._split = None
        return True

    async def opened(self) -> Handle:
        """ESTALE, once, if they had to be made again and have another size, as those have that
        another library compressed."""
        split = self._split
        if split is None:
            split = await self._again()
            before, self.size = self.size, split.size
            self._split = split
            self._files.opened(self)
            if before != split.size:
                raise OSError(errno.ESTALE, "the tar-split data of a layer have another size now")
        else:
            self.used = self._files.now
        return SplitHandle(split)


class SplitHandle(Handle):
    """Tar-split data that somebody reads."""

    __slots__ = ("_split",)

    keep_cache: ClassVar[bool] = True
    passive: ClassVar[bool] = True

    def __init__(self, split: TarSplit) -> None:
        self._split = split

    async def read(self, offset: int, size: int) -> bytes:
        return await trio.to_thread.run_sync(self._split.read, offset, size)
