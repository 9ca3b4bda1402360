"""What the tests of writing have in common: the steps of a program that writes a file, one by one,
as the kernel brings them."""

from __future__ import annotations

import os
from collections.abc import Awaitable

from rossfs.errors import RossfsError
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.incoming import IncomingDirectory
from rossfs.tree.incomingnames import IncomingNames
from rossfs.tree.node import Directory, Node, Symlink
from rossfs.tree.numbers import Numbers
from rossfs.tree.staged import Staged
from rossfs.tree.stagedhandle import StagedHandle
from tests.suites.directory_suite import CALLER, find

CREATE = os.O_WRONLY | os.O_CREAT


async def create(
    directory: IncomingNames, name: bytes, flags: int = CREATE
) -> tuple[Staged, StagedHandle]:
    """open(2) of a new name."""
    node, handle = await directory.create(name, 0o644, flags, CALLER)
    assert isinstance(node, Staged)
    assert isinstance(handle, StagedHandle)
    return node, handle


async def close(handle: StagedHandle) -> None:
    """close(2) of the only descriptor."""
    try:
        await handle.flush()
    finally:
        await handle.release()


async def write(directory: IncomingNames, name: bytes, data: bytes) -> Staged:
    """Create a file, write *data* and close it."""
    node, handle = await create(directory, name)
    try:
        if data:
            await handle.write(0, data)
    finally:
        await close(handle)
    return node


async def pinned(directory: Directory, name: bytes) -> Digest:
    """The digest that the link *name* says, after whatever must be waited for."""
    node = await find(directory, name)
    assert isinstance(node, Symlink), node
    *_, blobs, algorithm, encoded = node.target().decode().split("/")
    assert blobs == "blobs"
    return Digest(algorithm, encoded)


async def waiting(directory: Directory, name: bytes) -> Staged:
    """The file that waits under *name*."""
    node = await find(directory, name)
    assert isinstance(node, Staged), node
    return node


async def content(node: Node) -> bytes:
    """What a file that is no content yet holds."""
    assert isinstance(node, Staged)
    handle = await node.open(os.O_RDONLY, CALLER)
    try:
        return bytes(await handle.read(0, 1 << 20))
    finally:
        await close(handle)


def reason(node: Node) -> bytes:
    """user.ross.error of a refused file."""
    return node.xattrs()[b"user.ross.error"]


async def error_of(change: Awaitable[object]) -> BaseException | None:
    """What *change* raises."""
    try:
        await change
    except (OSError, RossfsError) as error:
        return error
    return None


def scratch(store: Store) -> list[str]:
    """What is being written, on disk."""
    try:
        return os.listdir(store.paths.scratch)
    except FileNotFoundError:
        return []


async def published(directory: IncomingDirectory, name: bytes, files: ContentFiles) -> ContentFile:
    """The content that the link *name* leads to."""
    node = files.glance(await pinned(directory, name))
    assert node is not None
    return node


async def write_over(directory: IncomingDirectory, name: bytes, data: bytes) -> Staged:
    """Open a committed name with O_TRUNC as the kernel does, and write it anew."""
    files = ContentFiles(directory.inbox.store.contents, Numbers())
    node = await published(directory, name, files)
    staged = await directory.rewrite(name, node, os.O_WRONLY | os.O_TRUNC, CALLER)
    assert isinstance(staged, Staged)
    handle = await staged.open(os.O_WRONLY | os.O_TRUNC, CALLER)
    await handle.write(0, data)
    await close(handle)
    return staged
