"""Looking into images of a real store as one mount does, and images worth looking into."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.images import ImageDirectory, Images
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.layerinodes import LayerInodes
from rossfs.tree.layerview import LayerDirectory
from rossfs.tree.node import Directory, Node, Rows
from rossfs.tree.numbers import TREE_SHIFT, Numbers
from rossfs.tree.rootfs import RootfsDirectory
from rossfs.tree.trees import Trees
from tests.layers import Layer, image_of
from tests.suites.directory_suite import find, listed, rows_of
from tests.tree.pictures import AMD64


class CountingCache(Cache):
    """A cache that knows what was put into it."""

    published: list[str]

    def publish(self, temporary, name):  # type: ignore[no-untyped-def]
        self.published.append(name)
        return super().publish(temporary, name)

    @classmethod
    def at(cls, directory: str) -> Self:
        made = cls(directory)
        made.published = []
        return made


class Browser:
    """One mount's view of the images of *store*."""

    def __init__(self, store: Store, cache: str) -> None:
        self.store = store
        self.cache = CountingCache.at(cache)
        self.layers = Layers(store, self.cache)
        self.numbers = Numbers(b"a key of these tests")
        self.trees = Trees()
        self.inside = ImageTrees(store, self.layers, self.numbers, self.trees)
        files = ContentFiles(store.contents, self.numbers)
        self.images = Images(store, files, self.inside, self.numbers, AMD64)

    def image(self, digest: Digest) -> ImageDirectory:
        """images/sha256/<digest>/."""
        directory = self.images.find(digest)
        assert directory is not None
        return directory

    async def at(self, digest: Digest, path: bytes) -> Node | None:
        """What is at *path* of an image; no symbolic link is followed."""
        return await walk(self.image(digest), path)

    async def rootfs(self, digest: Digest, path: bytes = b"") -> RootfsDirectory:
        """A directory of the root filesystem of an image."""
        directory = await self.at(digest, b"rootfs/" + path)
        assert isinstance(directory, RootfsDirectory)
        return directory

    async def layer(self, digest: Digest, position: int, path: bytes = b"") -> LayerDirectory:
        """A directory of one layer of an image."""
        layers = await self.at(digest, b"layers")
        assert isinstance(layers, Directory)
        names = [entry.name for entry in await listed(layers) if entry.kind == stat.S_IFDIR]
        top = await find(layers, names[position])
        assert isinstance(top, LayerDirectory)
        directory = await walk(top, path)
        assert isinstance(directory, LayerDirectory)
        return directory

    def inodes(self, node: Node) -> LayerInodes:
        """The tree that a file belongs to."""
        tree = self.trees.get(node.ino >> TREE_SHIFT)
        assert isinstance(tree, LayerInodes)
        return tree


async def walk(directory: Node, path: bytes) -> Node | None:
    """What is at *path* below *directory*."""
    node: Node | None = directory
    for name in filter(None, path.split(b"/")):
        assert isinstance(node, Directory), name
        node = await find(node, name)
    return node


def directories(top: Directory, path: bytes = b"") -> Iterator[tuple[bytes, Directory]]:
    """All directories of a tree, with their paths from *top*."""
    yield path, top
    listing = top.entries()
    assert isinstance(listing, Rows)
    for row in rows_of(listing):
        node = top.lookup(row.name)
        if isinstance(node, Directory):
            yield from directories(node, path + b"/" + row.name if path else row.name)


def bottom() -> Layer:
    """A layer with one of each kind of entry in it, for `middle` and `top` to lie on."""
    return (
        Layer()
        .directory("./", 0o711)
        .directory("etc", uid=7, gid=8, mtime=1_500_000_000)
        .file("etc/passwd", b"root:x:0:0\n", 0o640, uid=0, gid=42, mtime=1_400_000_000)
        .file("etc/motd", b"old\n")
        .symlink("etc/mtab", "../proc/mounts")
        .directory("usr", xattrs={"user.colour": b"blue", "trusted.x": b"\0\xff"})
        .directory("usr/lib")
        .file("usr/lib/libc.so", bytes(range(256)) * 20, 0o755)
        .link("usr/lib/libc.so.6", "usr/lib/libc.so")
        .file("usr/lib/sparse", b"")
        .gnu_sparse("usr/lib/holes", [(0, b"begin"), (100_000, b"end")], 200_000)
        .symlink("lib", "usr/lib")
        .directory("dev", 0o1777)
        .device("dev/null", b"3", 1, 3, 0o666)
        .device("dev/sda", b"4", 8, 0)
        .entry("dev/pipe", b"6")
        .file("dev/cap", b"x", xattrs={"user.one": b"1", "security.capability": b"\1\0\0\2"})
        .directory("kept")
        .file("kept/hidden", b"hidden")
        .file("gone", b"gone")
        .directory("gone-too")
        .file("gone-too/deep", b"deep")
        .file("becomes-directory", b"file")
        .directory("becomes-file")
        .file("becomes-file/deep", b"deep")
        .directory("empty", 0o700)
        .file(b"\xff\xfd", b"no text")
        .file("n" * 255, b"long")
    )


def middle() -> Layer:
    """What changes in the layer above `bottom`."""
    return (
        Layer()
        .directory("etc", 0o700, uid=1000, gid=1000, mtime=1_600_000_000)
        .file("etc/motd", b"new, and longer\n")
        .link("etc/passwd-", "etc/passwd")
        .whiteout("gone")
        .whiteout("gone-too")
        .opaque("kept")
        .file("kept/shown", b"shown")
        .directory("becomes-directory")
        .file("becomes-directory/deep", b"deep")
        .file("becomes-file", b"file")
        .file("lib/grafted.so", b"by way of a symbolic link")
        .file("usr/lib/middle.so", b"middle")
    )


def top() -> Layer:
    """What changes in the layer above `middle`."""
    return (
        Layer()
        .whiteout("etc/mtab")
        .link("etc/passwd--", "etc/passwd-")
        .file("usr/lib/top.so", b"top")
        .directory("usr/lib/deep/er")
        .file("usr/lib/deep/er/file", b"deep")
    )


def put_stack(
    store: Store, *layers: Layer, tag: str | None = None, packing: str = "gzip"
) -> Digest:
    """Store an image of *layers*, or of the three above; the digest of its manifest."""
    return image_of(*(layers or (bottom(), middle(), top())), packing=packing).put(store, tag)


def lose(store: Store, *blobs: Digest) -> None:
    """Remove blobs behind the back of the store, their .meta too."""
    for blob in blobs:
        _path(store, blob).unlink()
        Path(store.paths.meta(Area.BLOBS, blob)).unlink(missing_ok=True)


def harm(store: Store, blob: Digest, at: int | None = None) -> None:
    """Change one byte of a blob behind the back of the store."""
    path = _path(store, blob)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def mend(store: Store, blob: Digest, data: bytes) -> None:
    """Write the bytes of a blob that was changed."""
    _path(store, blob).write_bytes(data)


def _path(store: Store, blob: Digest) -> Path:
    return Path(store.paths.content(Area.BLOBS, blob))
