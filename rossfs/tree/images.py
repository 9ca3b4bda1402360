"""images/sha256/<hex>/: one image or index, by its digest; it never changes.

    manifest.json     the stored bytes; of an index, those of this machine's platform
    config.json       likewise; `config` where it is not JSON (artifacts)
    layers/           the image's layers (layers.py)
    archive/          all of it as one file (archives.py)
    rootfs/           all layers merged (rootfs.py); artifacts have none
    index.json        the stored bytes of an index
    platforms/        all manifests of an index (platforms.py)

A directory is made of the parsed manifest when somebody first looks into it, and rootfs/ is opened
when somebody looks for it: listing an image opens no layer.  Of a damaged manifest
only the name can be seen: everything inside is EIO.  Bytes that are no manifest, which Ross stores
as readily, are shown and nothing else.  What is not stored yet (a config, the platform's manifest)
is absent, and there as soon as it is.
"""

from __future__ import annotations

import contextlib
import logging
import stat
from collections.abc import Mapping

import trio

from rossfs.errors import Damaged, InvalidDocument
from rossfs.image.resolve import Choice, Document, Image, Manifests, choose, read
from rossfs.oci.digest import Digest
from rossfs.oci.index import Index
from rossfs.oci.mediatype import bare
from rossfs.oci.platform import Platform
from rossfs.store.content import Unproven
from rossfs.store.paths import Area
from rossfs.tree.archives import Archives, ArchivesDirectory
from rossfs.tree.contentfile import ContentFiles, content_xattrs
from rossfs.tree.fixed import FixedDirectory
from rossfs.tree.handle import Handle
from rossfs.tree.imagetrees import ImageTrees, Shown
from rossfs.tree.layers import LayersDirectory
from rossfs.tree.node import (
    Caller,
    Entries,
    Entry,
    Listing,
    Node,
    Unsettled,
    read_only,
)
from rossfs.tree.numbers import Numbers
from rossfs.tree.platforms import platforms_directory

ROOTFS = b"rootfs"

_SECOND = 10**9

_DOCUMENTS = (Area.MANIFESTS, Area.INDEXES)

_log = logging.getLogger("rossfs.tree")


class Images:
    """Makes the directories of images, and holds what all of them share."""

    __slots__ = ("_number", "archives", "files", "inside", "platform", "store", "trees")

    def __init__(
        self,
        store: Manifests,
        files: ContentFiles,
        trees: ImageTrees,
        numbers: Numbers,
        platform: Platform,
    ) -> None:
        self.store = store
        self.trees = trees
        self.files = files
        self.platform = platform
        self.archives = Archives(trees, numbers, platform, files.buffer)
        self.inside = numbers.family(b"image inside")
        """Numbers what is in an image directory, by raw digest and path."""
        self._number = numbers.family(b"image")

    def find(self, digest: Digest) -> ImageDirectory | None:
        """The directory of a stored manifest or index, or None; Unproven as `Contents.find`."""
        content = self.files.contents.find(digest)
        if content is None or content.area not in _DOCUMENTS:
            return None
        # The nanoseconds are the store's seal and mean nothing to others.
        modified_ns = content.modified_ns // _SECOND * _SECOND
        return ImageDirectory(self._number(digest.raw), self, digest, modified_ns)

    def describe(self, digest: Digest) -> tuple[Document, Choice] | None:
        """What is stored under *digest* and what that means here; None if it is no document.

        Reads and parses: for a worker thread.  ManifestNotFound, Damaged.
        """
        try:
            document = read(self.store, digest)
        except InvalidDocument as error:
            _log.warning("%s cannot be shown as an image: %s", digest, error)
            return None
        try:
            return document, choose(self.store, document, self.platform)
        except (Damaged, InvalidDocument) as error:
            # The other platforms are as good as before.
            _log.warning("no manifest for %s in %s: %s", self.platform, digest, error)
            return document, Choice(None, None)


class ImageDirectory(FixedDirectory):
    """One manifest or index, taken apart."""

    __slots__ = (
        "_awaited",
        "_children",
        "_images",
        "_missing",
        "_rootfs",
        "_rootfs_wanted",
        "digest",
        "loaded",
    )

    def __init__(self, ino: int, images: Images, digest: Digest, modified_ns: int) -> None:
        super().__init__(ino, modified_ns)
        self.digest = digest
        self.loaded = False
        self._images = images
        self._children: dict[bytes, Node] = {}
        self._awaited: dict[bytes, Digest] = {}
        """Files whose content was not stored when last looked at."""
        self._missing: Digest | None = None
        """The manifest that an index chooses, while it is not stored."""
        self._rootfs: Shown | None = None
        """Whose root filesystem this shows."""
        self._rootfs_wanted = False

    def same(self, other: Node) -> bool:
        return isinstance(other, ImageDirectory) and other.digest == self.digest

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.digest, .media_type, .size and .created_at of the manifest or index."""
        try:
            content = self._images.files.contents.find(self.digest)
        except Unproven:
            content = None
        if content is None:
            return {b"user.ross.digest": str(self.digest).encode()}
        return content_xattrs(content)

    async def load(self) -> None:
        """Read and parse the manifest.  ManifestNotFound if it is gone, Damaged."""
        images = self._images
        described = await trio.to_thread.run_sync(
            images.describe, self.digest, limiter=images.files.workers, abandon_on_cancel=True
        )
        # No await from here on: lookup must never see half a directory.
        self._children = {}
        self._awaited = {}
        self._missing = None
        self._rootfs = None
        if described is None:
            self._file(b"manifest.json", self.digest)
        else:
            document, choice = described
            if isinstance(document.value, Index):
                self._show_index(document.value)
            if choice.image is not None:
                self._show_image(choice.image)
            self._children[b"archive"] = ArchivesDirectory(
                images.inside(self.digest.raw + b"/archive"),
                images.archives,
                self.digest,
                self.modified_ns,
            )
            self._missing = choice.missing
        self.loaded = True

    def _show_index(self, index: Index) -> None:
        self._file(b"index.json", self.digest)
        self._children[b"platforms"] = platforms_directory(
            self.digest, index.manifests, self._images.inside, self.modified_ns
        )

    def _show_image(self, image: Image) -> None:
        """What a manifest shows: here also of an index whose manifest it is."""
        self._file(b"manifest.json", image.digest)
        config = image.manifest.config
        is_json = bare(config.media_type).endswith("json")
        self._file(b"config.json" if is_json else b"config", config.digest)
        inside = self._images.inside
        layers = inside(self.digest.raw + b"/layers")
        shown = Shown(self.digest, self.ino, layers, image)
        self._children[b"layers"] = LayersDirectory(
            shown, self._images.trees, inside, self.modified_ns
        )
        if image.manifest.is_image:
            self._rootfs = shown

    def _file(self, name: bytes, digest: Digest) -> None:
        """Show the content of *digest* as *name*, now or once it is stored."""
        self._awaited[name] = digest
        with contextlib.suppress(Unproven):
            self._arrived(name)

    def _arrived(self, name: bytes) -> Node | None:
        """The node of an awaited name if its content is stored by now."""
        node = self._images.files.glance(self._awaited[name])
        if node is not None:
            del self._awaited[name]
            self._children[name] = node
        return node

    def lookup(self, name: bytes) -> Node | None:
        node = self._children.get(name)
        if node is not None:
            return node
        self._look_for_manifest()
        if name == ROOTFS and self._rootfs is not None:
            tree = self._images.trees.rootfs(self._rootfs)
            if tree is None:
                self._rootfs_wanted = True
                raise Unsettled
            return tree.root
        if name not in self._awaited:
            return None
        try:
            return self._arrived(name)
        except Unproven:
            raise Unsettled from None

    def entries(self) -> Listing:
        self._look_for_manifest()
        for name in tuple(self._awaited):
            try:
                self._arrived(name)
            except Unproven:
                raise Unsettled from None
        entries = [Entry(name, node) for name, node in self._children.items()]
        shown, trees = self._rootfs, self._images.trees
        if shown is not None and trees.has_rootfs(shown):
            entries.append(Entry(ROOTFS, None, stat.S_IFDIR, trees.rootfs_ino(shown)))
        return Entries(entries)

    def _look_for_manifest(self) -> None:
        """Raise Unsettled if the manifest that an index chooses has come, or may have."""
        if self._missing is None:
            return
        try:
            if self._images.find(self._missing) is None:
                return
        except Unproven:
            pass
        raise Unsettled

    async def settle(self) -> None:
        """Open the root filesystem if that is what was looked for; find out about content without
        .meta; read the manifest that has come."""
        # No await since lookup: it was this caller that wanted it.
        if self._rootfs_wanted and self._rootfs is not None:
            self._rootfs_wanted = False
            await self._images.trees.open_rootfs(self._rootfs)
            return
        for digest in tuple(self._awaited.values()):
            await self._images.files.settle(digest)
        if self._missing is not None:
            await self.load()

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Node, Handle]:
        """EROFS; the log has the way for those who meant the tag that led here."""
        raise _unchangeable()

    async def symlink(self, name: bytes, target: bytes, caller: Caller) -> Node:
        """EROFS, as `create`."""
        raise _unchangeable()

    def forgotten(self) -> None:
        """Keep nothing of the manifest in memory."""
        self.loaded = False
        self._children = {}
        self._awaited = {}
        self._missing = None
        self._rootfs = None


def _unchangeable() -> OSError:
    # cp, mv and ln follow an existing tag into the image.
    _log.info("an image never changes; ln -sfn, mv -T and cp --remove-destination -T replace a tag")
    return read_only()
