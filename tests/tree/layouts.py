"""What the tests of oci/ have in common: tools, step by step, as the kernel brings what they do."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Callable
from typing import Any

from rossfs.oci.layout import REF_NAME
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.node import Caller, Directory, File, Node, Published
from rossfs.tree.numbers import Numbers
from rossfs.tree.oci import OciDirectory, oci_directory
from rossfs.tree.process import Process
from rossfs.tree.readings import Readings
from rossfs.tree.room import Limits
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads
from rossfs.tree.workplace import Workplace
from rossfs.tree.workshop import Workshop
from tests.builders import OCI_MANIFEST, ImageParts, compact, descriptor
from tests.suites.directory_suite import find, settled

REWRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

_pids = itertools.count(100)


def numbered(thread: int) -> Process | None:
    """The process of a thread: it has the number of that."""
    return Process(thread, 0) if thread else None


def top_of(
    store: Store,
    numbers: Numbers,
    of: Callable[[int], Process | None] = numbered,
    limits: Limits | None = None,
    *,
    alone: bool = True,
) -> OciDirectory:
    """oci/ of a mount; *alone*: whether processes have one thread."""
    files = ContentFiles(store.contents, numbers, mode=0o644)
    uploads, readings = Uploads(store), Readings(of=of, alone=lambda _: alone)
    return oci_directory(
        Workshop(store, uploads, files, numbers, writable=True, readings=readings, limits=limits)
    )


class Tool:
    """A process that does with the directory *top* what tools do, by paths."""

    def __init__(self, top: Directory, pid: int | None = None) -> None:
        self.top = top
        self.caller = Caller(1000, 1000, next(_pids) if pid is None else pid)

    async def find(self, path: str) -> Node | None:
        """Walk to *path*; None if it leads nowhere."""
        node: Node | None = self.top
        for name in path.encode().split(b"/"):
            assert isinstance(node, Directory)
            directory, node = node, await find(node, name)
            if node is None and directory.notes_absence:
                node = directory.missed(name, self.caller)
            if node is None:
                return None
        return node

    async def directory(self, path: str) -> Workplace:
        """The directory *path*, which must be there."""
        node = await self.find(path) if path else self.top
        assert isinstance(node, Directory), path
        return node  # type: ignore[return-value]  # or BlobsDirectory, which has mkdir too

    async def split(self, path: str) -> tuple[Workplace, bytes]:
        above, _, name = path.rpartition("/")
        return await self.directory(above), name.encode()

    async def mkdir(self, path: str) -> None:
        """mkdir -p."""
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            if await self.find("/".join(parts[:end])) is None:
                directory, name = await self.split("/".join(parts[:end]))
                await directory.mkdir(name, 0o755, self.caller)

    async def read(self, path: str) -> bytes:
        """The bytes of *path*."""
        node = await self.find(path)
        assert isinstance(node, File), path
        handle = await node.open(os.O_RDONLY, self.caller)
        try:
            return bytes(await handle.read(0, 1 << 20))
        finally:
            await handle.flush()
            await handle.release()

    async def index(self, layout: str) -> dict[str, Any]:
        """index.json, parsed."""
        document: dict[str, Any] = json.loads(await self.read(f"{layout}/index.json"))
        return document

    async def tags(self, layout: str) -> dict[str, str]:
        """The tags of a layout."""
        return {
            each["annotations"][REF_NAME]: each["digest"]
            for each in (await self.index(layout))["manifests"]
            if REF_NAME in each.get("annotations", {})
        }

    async def open(self, path: str, flags: int = REWRITE) -> Any:
        """open(2) as the kernel does it: also anew, when what is there is published."""
        node = await self.find(path)
        directory, name = await self.split(path)
        if node is not None and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, path)
        if node is None:
            _, handle = await directory.create(name, 0o644, flags, self.caller)
            return handle
        assert isinstance(node, File)
        try:
            return await node.open(flags & ~os.O_CREAT, self.caller)
        except Published:
            staged = await directory.rewrite(name, node, flags, self.caller)
            assert isinstance(staged, Staged)
            return await staged.open(flags & ~os.O_CREAT, self.caller)

    async def write(self, path: str, data: bytes, flags: int = REWRITE) -> None:
        """Write *path*, in place where it is there."""
        handle = await self.open(path, flags)
        try:
            if data:
                await handle.write(0, data)
            await handle.flush()
        finally:
            await handle.release()

    async def rename(self, path: str, target: str, flags: int = 0) -> None:
        """rename(2)."""
        directory, name = await self.split(path)
        there, target_name = await self.split(target)
        await directory.rename(name, there, target_name, flags, self.caller)

    async def unlink(self, path: str) -> None:
        """unlink(2)."""
        directory, name = await self.split(path)
        await directory.unlink(name, self.caller)

    async def rmdir(self, path: str) -> None:
        """rmdir(2)."""
        directory, name = await self.split(path)
        await directory.rmdir(name, self.caller)

    async def put(self, layout: str, parts: ImageParts) -> None:
        """Write the blobs of an image, and its manifest in place, as skopeo does."""
        await self.mkdir(f"{layout}/blobs/sha256")
        for number, (_, data) in enumerate(parts.blobs()):
            aside = f"{layout}/oci-put-blob{number}{self.caller.pid}"
            await self.write(aside, data)
            await self.rename(aside, blob(layout, data))
        await self.write(blob(layout, parts.manifest), parts.manifest)

    async def publish(self, layout: str, document: dict[str, Any]) -> None:
        """Write oci-layout and index.json in place, as skopeo does."""
        await self.write(f"{layout}/oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        await self.write(f"{layout}/index.json", compact(document))

    async def begin(self, layout: str) -> dict[str, Any]:
        """What skopeo does first: read index.json if there is one."""
        if await self.find(f"{layout}/index.json") is None:
            return {"schemaVersion": 2, "manifests": []}
        return await self.index(layout)

    async def copy(self, layout: str, parts: ImageParts, tag: str) -> None:
        """skopeo copy, from its beginning to its end."""
        document = await self.begin(layout)
        await self.put(layout, parts)
        await self.publish(layout, added(document, parts, tag))


def added(document: dict[str, Any], parts: ImageParts, tag: str) -> dict[str, Any]:
    """*document* with one more tag."""
    kept = [
        each for each in document["manifests"] if each.get("annotations", {}).get(REF_NAME) != tag
    ]
    entry = {**descriptor(parts.manifest, OCI_MANIFEST), "annotations": {REF_NAME: tag}}
    return {**document, "manifests": [*kept, entry]}


def blob(layout: str, data: bytes, algorithm: str = "sha256") -> str:
    """The path of *data* in a layout."""
    import hashlib

    return f"{layout}/blobs/{algorithm}/{hashlib.new(algorithm, data).hexdigest()}"


async def names(directory: Directory) -> set[bytes]:
    """All names in a directory."""
    listing = await settled(directory, directory.entries)
    return {entry.name for entry in listing if entry is not None}  # type: ignore[union-attr]
