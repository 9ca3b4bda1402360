"""images/sha256/<hex>/archive/: the image or index as one file, computed as it is read.

    oci.tar       an archive of an image layout, of an index with all that is stored of it
    docker.tar    what `docker load` takes: of an index the image of this machine's platform

Looking one up tells its size, for which oci.tar needs the manifests only, docker.tar the tables of
all layers.  Nothing is stored, and the bytes are the same each time and in each mount.  One of
which something is not stored is absent until it is; an artifact has no docker.tar.

An index may lack manifests, and a manifest foreign layers.  When one of these comes, oci.tar is
another file: the name is believed for a second only, and who has the old one open reads on in it.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from rossfs.errors import Damaged, InvalidDocument, NotFound
from rossfs.image.computed import Computed, docker_archive, oci_archive
from rossfs.image.ondemand import OnDemand, Recipe
from rossfs.image.resolve import resolve
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.tree.fixed import FixedDirectory, FixedFile
from rossfs.tree.handle import Handle
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.node import Entries, Entry, Listing, Node, Unsettled
from rossfs.tree.numbers import Numbers

OCI = b"oci.tar"
DOCKER = b"docker.tar"

_ALL = b""
"""Instead of a name: the listing."""


class Archives:
    """Computes the archives of one mount."""

    __slots__ = ("buffer", "number", "platform", "trees")

    def __init__(
        self, trees: ImageTrees, numbers: Numbers, platform: Platform, buffer: memoryview
    ) -> None:
        self.trees = trees
        self.platform = platform
        self.buffer = buffer
        """For what is read without waiting: it is on its way to the kernel before another request
        is looked at."""
        self.number = numbers.family(b"archive")

    def computed(self, name: bytes, digest: Digest) -> Computed:
        """The archive *name* of an image or index.  For a worker thread; errors as
        image.computed."""
        if name == OCI:
            return oci_archive(self.trees.store, digest)
        return docker_archive(self.trees.layers, digest, self.platform)

    def names(self, digest: Digest) -> list[bytes]:
        """The archives that can be had.  For a worker thread.

        What cannot be told because something is damaged has its name: looking it up tells more.
        """
        checks: dict[bytes, Callable[[], bool]] = {
            DOCKER: lambda: self._is_loadable(digest),
            OCI: lambda: bool(oci_archive(self.trees.store, digest)),
        }
        names = []
        for name, check in checks.items():
            try:
                if check():
                    names.append(name)
            except NotFound:
                continue
            except (Damaged, InvalidDocument):
                names.append(name)
        return names

    def _is_loadable(self, digest: Digest) -> bool:
        """Whether there is an image, and all of it; opens no layer."""
        manifest = resolve(self.trees.store, digest, self.platform).manifest
        layers = [layer.digest for layer in manifest.layers]
        return manifest.is_image and self.trees.stored(manifest.config.digest, *layers)


class ArchivesDirectory(FixedDirectory):
    """archive/ of one image or index."""

    __slots__ = ("_archives", "_digest", "_files", "_fresh", "_names", "_wanted")

    def __init__(self, ino: int, archives: Archives, digest: Digest, modified_ns: int) -> None:
        super().__init__(ino, modified_ns)
        self._archives = archives
        self._digest = digest
        self._files: dict[bytes, ArchiveFile] = {}
        self._names: list[bytes] | None = None
        self._wanted = _ALL
        self._fresh: dict[bytes, float] = {}
        """When what may change was computed last, until somebody was told."""

    def lookup(self, name: bytes) -> Node | None:
        if name not in (OCI, DOCKER):
            return None
        file = self._files.get(name)
        if file is None or not (file.final or self._is_fresh(name)):
            self._wanted = name
            raise Unsettled
        return file

    def entries(self) -> Listing:
        """By name only: the size of docker.tar is known when all layers are opened."""
        names = self._names
        if names is None or not self._is_fresh(_ALL):
            self._wanted = _ALL
            raise Unsettled
        return Entries(Entry(name, None, stat.S_IFREG) for name in names)

    async def settle(self) -> None:
        """Compute what was looked for; NotFound if something that it needs is not stored."""
        # No await since lookup or entries: it is this caller that wanted it.
        name, archives, digest = self._wanted, self._archives, self._digest
        if name == _ALL:
            work = partial(archives.names, digest)
            self._names = await archives.trees.workers.open(work)
        else:
            computed = await archives.trees.run(
                str(digest), partial(archives.computed, name, digest)
            )
            ino = archives.number(digest.raw + computed.recipe.fingerprint)
            kind = ChangingArchive if computed.absent else ArchiveFile
            self._files[name] = kind(ino, archives, computed.recipe, self.modified_ns)
        self._fresh[name] = time.monotonic()

    def _is_fresh(self, name: bytes) -> bool:
        """Whether what may change was computed for this caller, or for one who asked at the same
        time."""
        computed = self._fresh.pop(name, None)
        return computed is not None and time.monotonic() - computed < ChangingArchive.ttl

    def forgotten(self) -> None:
        """Keep nothing of the manifests in memory."""
        self._files = {}
        self._names = None
        self._fresh = {}


class ArchiveFile(FixedFile):
    """An archive that will always be the same."""

    __slots__ = ("_archives", "_recipe")

    final: ClassVar[bool] = True
    """Nothing that may come would be in it."""

    def __init__(self, ino: int, archives: Archives, recipe: Recipe, modified_ns: int) -> None:
        super().__init__(ino, recipe.size, modified_ns)
        self._archives = archives
        self._recipe = recipe

    def same(self, other: Node) -> bool:
        return (
            isinstance(other, ArchiveFile) and other._recipe.fingerprint == self._recipe.fingerprint
        )

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.size; the digest of the bytes is not known before they are read."""
        return {b"user.ross.size": b"%d" % self.size}

    async def opened(self) -> Handle:
        return ArchiveHandle(self._archives, self._recipe)


class ChangingArchive(ArchiveFile):
    """An archive that lacks what an index or a manifest may lack."""

    __slots__ = ()

    ttl: ClassVar[float] = 1.0  # what it lacks may come at any time
    final: ClassVar[bool] = False


class ArchiveHandle(Handle):
    """An open archive."""

    __slots__ = ("_buffer", "_file", "_workers")

    keep_cache: ClassVar[bool] = True
    passive: ClassVar[bool] = True

    def __init__(self, archives: Archives, recipe: Recipe) -> None:
        self._file = OnDemand(recipe, archives.trees.layers)
        self._workers = archives.trees.workers
        self._buffer = archives.buffer

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        return self._file.read_ready(offset, size, self._buffer)

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        file, workers = self._file, self._workers
        data = self.read_ready(offset, size)
        if data is not None:
            return data
        if not file.prepared(offset, size):
            await workers.open(partial(file.prepare, offset, size))
        return await workers.read(partial(file.read, offset, size))
