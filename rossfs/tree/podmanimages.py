"""podman/overlay-images/: the images, as containers/storage has them.

    images.json         which images there are
    images.lock         podman locks it, and reads from it whether images.json changed
    <id>/manifest, ...  what an image consists of besides its layers: stored content

Tables are answered from memory.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from hashlib import sha256
from typing import ClassVar

from rossfs.image.imagestore import ImageStore, StoreImage
from rossfs.oci.digest import Digest
from rossfs.store.content import Unproven
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.node import Attr, Directory, Entries, Entry, Listing, Node, Unsettled
from rossfs.tree.podmanview import PodmanView
from rossfs.tree.static import BytesFile

Number = Callable[[bytes], int]
"""Gives inode numbers (Numbers.family)."""


class VersionFile(BytesFile):
    """A file that is another one when its content changes: who has it open reads it to its end."""

    __slots__ = ("_name",)

    ttl: ClassVar[float] = 0.0

    def __init__(self, number: Number, name: bytes, data: bytes, modified_ns: int) -> None:
        super().__init__(number(name + b" " + sha256(data).digest()), data, modified_ns)
        self._name = name


class LockFile(VersionFile):
    """What tells a process that has read a table whether it is to read it again.

    A table itself is never an old one, so this may be, for a second: podman opens it a hundred
    times for each command.
    """

    __slots__ = ()

    ttl: ClassVar[float] = 1.0


def listed(number: Number, name: bytes, data: bytes, modified_ns: int) -> dict[bytes, Node]:
    """<name>.json with *data*, and <name>.lock, which says which version that is: 64 characters, as
    many as containers/storage reads (lockfile.go)."""
    version = sha256(data).hexdigest().encode()
    lock, table = b"%b.lock" % name, b"%b.json" % name
    return {
        lock: LockFile(number, lock, version, modified_ns),
        table: VersionFile(number, table, data, modified_ns),
    }


class ImagesDirectory(Directory):
    """overlay-images/."""

    __slots__ = ("_files", "_number", "_shown", "_view")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, view: PodmanView, files: ContentFiles, number: Number) -> None:
        super().__init__(ino)
        self._view = view
        self._files = files
        self._number = number
        self._shown: tuple[ImageStore, dict[bytes, Node]] | None = None

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._view.images_ns)

    def lookup(self, name: bytes) -> Node | None:
        store = self._view.current()
        node = self._tables(store).get(name)
        if node is None and (image := store.images.get(name.decode("latin-1"))) is not None:
            return self._image(image)
        return node

    def entries(self) -> Listing:
        store = self._view.current()
        entries = [Entry(name, node) for name, node in self._tables(store).items()]
        entries += [Entry(one.id.encode(), self._image(one)) for one in store.images.values()]
        return Entries(entries)

    async def settle(self) -> None:
        await self._view.settle()

    def _image(self, image: StoreImage) -> ImageDataDirectory:
        ino = self._number(b"image " + image.id.encode())
        return ImageDataDirectory(ino, self._view, self._files, image.id)

    def _tables(self, store: ImageStore) -> dict[bytes, Node]:
        if self._shown is None or self._shown[0] is not store:
            made = listed(self._number, b"images", store.images_json, self._view.images_ns)
            self._shown = store, made
        return self._shown[1]


class ImageDataDirectory(Directory):
    """One image: the same files as in blobs/."""

    __slots__ = ("_awaited", "_files", "_view", "id")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, view: PodmanView, files: ContentFiles, image: str) -> None:
        super().__init__(ino)
        self.id = image
        self._view = view
        self._files = files
        self._awaited: set[Digest] = set()

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._view.images_ns)

    def same(self, other: Node) -> bool:
        return isinstance(other, ImageDataDirectory) and other.id == self.id

    def lookup(self, name: bytes) -> Node | None:
        digest = self._data().get(name)
        return None if digest is None else self._file(digest)

    def entries(self) -> Listing:
        found = ((name, self._file(digest)) for name, digest in self._data().items())
        return Entries(Entry(name, node) for name, node in found if node is not None)

    async def settle(self) -> None:
        """Find out about content without .meta; look at the store."""
        while self._awaited:
            await self._files.settle(self._awaited.pop())
        await self._view.settle()

    def _data(self) -> dict[bytes, Digest]:
        """The digests of its files, by name."""
        image = self._view.current().images.get(self.id)
        if image is None:
            return {}
        return {item.file_name.encode(): item.digest for item in image.data}

    def _file(self, digest: Digest) -> Node | None:
        try:
            return self._files.glance(digest)
        except Unproven:
            self._awaited.add(digest)
            raise Unsettled from None
