"""als/: an additional layer store, in which podman finds the layers of images that it pulls.

    als/<digest>/diff/      the layer in overlay form
    als/<digest>/info       what containers/storage wants to know of it (image/layerinfo.py)
    als/<digest>/blob       the layer as it is stored
    als/<base64 of the reference>  -> .     for a store configured with `:ref`: a layer is the same
                                            whatever image it is of

The digest is that of the layer as it is compressed (podman 4.0 to 5.0) or that of its table of
contents (podman 5.1 and later; tocs.py).  Whatever is stored is found; what is listed is in use.

Podman keeps a path into here for as long as it has the layer.  It says so by making `use` in the
layer's directory, which never exists, and takes it back by removing that directory: both are done,
on disk (store/uses.py), and answered with ENOENT, which podman takes for a yes (containers/storage,
drivers/overlay/overlay.go, notifyUseAdditionalLayer and notifyReleaseAdditionalLayer).  So
`rossfs gc` keeps the layer, mounted or not, until podman has removed it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import trio

from rossfs.errors import BlobNotFound, Damaged, InvalidDigest
from rossfs.image.compression import HEAD
from rossfs.image.layerinfo import layer_info
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.content import Unproven
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.store.uses import UNKNOWN
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.handle import Handle
from rossfs.tree.node import Attr, Caller, Directory, Entries, Entry, Listing, Node, Unsettled
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.snapshots import Absences, Commits
from rossfs.tree.static import BytesFile, FixedSymlink
from rossfs.tree.tocs import Tocs

T = TypeVar("T")

USE = b"use"

_REFERENCE = re.compile(rb"[\x21-\x7e]+")
"""What a reference may consist of; its form does not matter here."""

_log = logging.getLogger("rossfs.tree")


class LayerStore:
    """What the directories of als/ share."""

    __slots__ = ("commits", "files", "number", "overlays", "store", "tocs", "writable")

    def __init__(
        self,
        store: Store,
        files: ContentFiles,
        layers: Layers,
        overlays: OverlayTrees,
        commits: Commits,
        numbers: Numbers,
        *,
        writable: bool,
    ) -> None:
        self.store = store
        self.files = files
        self.overlays = overlays
        self.commits = commits
        self.tocs = Tocs(store, layers)
        self.writable = writable
        self.number = numbers.family(b"als")

    @property
    def mode(self) -> int:
        """Of directories in which podman tells what it uses."""
        return stat.S_IFDIR | (0o755 if self.writable else 0o555)

    def stored(self, digest: Digest) -> bool:
        """Whether *digest* is a stored blob; Unproven if `files.settle` has to tell."""
        return self.files.find(Area.BLOBS, digest) is not None

    async def change(self, work: Callable[[], T]) -> T:
        """Do *work*, which writes to the disk and is seen through."""
        with self.telling():
            return await trio.to_thread.run_sync(work)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Log what goes wrong in the block, for podman hardly looks at it."""
        try:
            yield
        except Exception as error:
            _log.warning("what podman uses could not be noted: %s", error)
            raise


class AdditionalLayers(Directory):
    """als/ itself."""

    __slots__ = ("_absences", "_layers", "_modified_ns", "_unproven", "_wanted")

    def __init__(self, layers: LayerStore) -> None:
        super().__init__(Fixed.ALS)
        self._layers = layers
        self._absences = Absences(layers.commits)
        self._modified_ns = time.time_ns()
        self._unproven: set[Digest] = set()
        self._wanted: set[Digest] = set()
        """Digests that may be those of tables of contents."""

    def attr(self) -> Attr:
        return Attr.dated(self._layers.mode, self._modified_ns)

    def lookup(self, name: bytes) -> Node | None:
        asked = _digest(name)
        if asked is None:
            is_reference = _is_reference(name)
            return FixedSymlink(self._layers.number(name), b".") if is_reference else None
        layers = self._layers
        try:
            if layers.stored(asked):
                return LayerPlace(layers, asked, asked)
        except Unproven:
            self._unproven.add(asked)
            raise Unsettled from None
        content = self._elsewhere(asked)
        if content is not None:
            return LayerPlace(layers, asked, content)
        if not self._absences.is_final(name):
            raise Unsettled
        return None

    def _elsewhere(self, asked: Digest) -> Digest | None:
        """The layer that *asked* means if it is no layer itself: what it was when podman began to
        use it, or the one with that table of contents."""
        try:
            use = self._layers.store.uses.get(asked)
        except Damaged:
            use = None  # fsck tells
        if use is not None:
            return use.content
        if not self._layers.tocs.known(asked):
            self._wanted.add(asked)
            raise Unsettled
        return self._layers.tocs.get(asked)

    async def settle(self) -> None:
        """Find out about content without .meta, look for tables of contents, wait for commits."""
        for digest in tuple(self._unproven):
            try:
                await self._layers.files.settle(digest)
            finally:
                self._unproven.discard(digest)
        wanted, self._wanted = self._wanted, set()
        for digest in wanted:
            await self._layers.tocs.look_for(digest)
        await self._absences.settle()

    def entries(self) -> Listing:
        """What is in use."""
        names = sorted(str(asked).encode() for asked in self._layers.store.uses.asked())
        return Entries(Entry(name, None, stat.S_IFDIR) for name in names)

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Podman needs a layer no longer: noted, and always ENOENT, but for what cannot be noted.

        EROFS where nothing can be written; StoreFull.
        """
        asked = _digest(name)
        if asked is not None:
            if not self._layers.writable:
                return await super().rmdir(name, caller)
            await self._layers.change(lambda: self._layers.store.uses.end(asked))
        raise _yes()


class LayerPlace(Directory):
    """als/<digest>/: the layer *content*, which podman asked for as *asked*."""

    __slots__ = ("_info", "_layers", "asked", "content")

    def __init__(self, layers: LayerStore, asked: Digest, content: Digest) -> None:
        super().__init__(layers.number(asked.raw))
        self._layers = layers
        self._info: BytesFile | None = None
        self.asked = asked
        self.content = content

    def attr(self) -> Attr:
        return Attr.dated(self._layers.mode, 0)

    def same(self, other: Node) -> bool:
        return (
            isinstance(other, LayerPlace)
            and other.asked == self.asked
            and other.content == self.content
        )

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.digest of the layer as it is stored, and user.ross.uses: how often podman said
        that it uses it."""
        try:
            use = self._layers.store.uses.get(self.asked)
        except Damaged:
            return {b"user.ross.digest": str(self.content).encode()}
        times = 0 if use is None else use.times
        text = b"unknown" if times == UNKNOWN else b"%d" % times
        return {b"user.ross.digest": str(self.content).encode(), b"user.ross.uses": text}

    @property
    def _place(self) -> bytes:
        return b"als" + self.asked.raw

    def lookup(self, name: bytes) -> Node | None:
        if name == b"blob":
            return self._blob()
        if name == b"diff":
            tree = self._layers.overlays.get(self._place)
            if tree is None:
                raise Unsettled
            return tree.root
        if name == b"info":
            if self._info is None:
                raise Unsettled
            return self._info
        return None

    def _blob(self) -> Node | None:
        try:
            return self._layers.files.glance(self.content)
        except Unproven:
            raise Unsettled from None

    def entries(self) -> Listing:
        """Without opening the layer."""
        entries = [Entry(b"diff", None, stat.S_IFDIR), Entry(b"info", None)]
        if self._blob() is None:
            return Entries(())
        return Entries([Entry(b"blob", None), *entries])

    async def settle(self) -> None:
        """Open the layer.  InvalidLayer, Damaged, BlobNotFound: podman then pulls it instead."""
        layers = self._layers
        # Its tables may be from before it was damaged.
        await layers.files.verified(self.content)
        tree = await layers.overlays.open_alone(self._place, self.content, self.ino)
        if self._info is None:
            layer = tree.files.layer
            toc = self.asked if self.asked != self.content else None
            head = await trio.to_thread.run_sync(
                lambda: layers.store.get_blob(self.content, 0, HEAD), abandon_on_cancel=True
            )
            data = layer_info(layer, head, toc)
            number = layers.number(b"info" + self.asked.raw)
            self._info = BytesFile(number, data)

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Node, Handle]:
        """`use`: podman uses the layer from now on.  Noted, and ENOENT; else EROFS, or what is
        wrong with the layer."""
        if not self._is_use(name):
            return await super().create(name, mode, flags, caller)
        await self._begin()
        raise _yes()

    async def mknod(self, name: bytes, mode: int, rdev: int, caller: Caller) -> Node:
        """As `create`."""
        if not self._is_use(name):
            return await super().mknod(name, mode, rdev, caller)
        await self._begin()
        raise _yes()

    def _is_use(self, name: bytes) -> bool:
        return name == USE and self._layers.writable

    async def _begin(self) -> None:
        layers, uses = self._layers, self._layers.store.uses
        with layers.telling():
            await self.settle()

        def begin() -> None:
            uses.begin(self.asked, self.content)
            # From here on nobody removes it; it may have been removed before.
            if layers.store.stat_blob(self.content) is None:
                uses.end(self.asked)
                raise BlobNotFound(f"layer {self.content} is no longer stored")

        await layers.change(begin)


def _digest(name: bytes) -> Digest | None:
    try:
        digest = Digest.parse(name)
    except InvalidDigest:
        return None
    return digest if digest.is_stored else None


def _is_reference(name: bytes) -> bool:
    """Whether *name* is the base64 of a reference, as Go's base64.StdEncoding writes it."""
    try:
        text = base64.b64decode(name, validate=True)
    except binascii.Error:
        return False
    # Every reference that podman asks for is complete: host/repository:tag.
    is_whole = _REFERENCE.fullmatch(text) is not None and b"/" in text
    return is_whole and (b":" in text or b"@" in text) and base64.b64encode(text) == name


def _yes() -> OSError:
    return OSError(errno.ENOENT, os.strerror(errno.ENOENT))
