"""Looking into image directories, for their tests."""

import os
from collections.abc import Mapping

from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.tree.images import ImageDirectory, Images
from rossfs.tree.node import Directory, File, Node, Symlink
from tests.builders import (
    RossStore,
    image,
    index,
)
from tests.suites.directory_suite import (
    CALLER,
    find,
    listed,
)

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64/v8")


def directory_of(images: Images, digest: Digest) -> ImageDirectory:
    found = images.find(digest)
    assert found is not None
    return found


async def names(directory: Directory) -> list[bytes]:
    """All names in it, as they are listed."""
    return [entry.name for entry in await listed(directory)]


async def children(directory: Directory) -> dict[bytes, Node]:
    """All names in it and what they are, but for what is opened when somebody looks for it."""
    found = {}
    for entry in await listed(directory):
        if entry.node is None:
            continue
        node = await find(directory, entry.name)
        assert node is not None
        found[entry.name] = node
    return found


async def text(node: Node | None) -> bytes:
    assert isinstance(node, File)
    handle = await node.open(os.O_RDONLY, CALLER)
    try:
        return bytes(await handle.read(0, 1 << 20))
    finally:
        await handle.release()


async def links(node: Node | None) -> Mapping[bytes, bytes]:
    """The text of each symbolic link of a directory in which there are no files."""
    assert isinstance(node, Directory)
    found = {}
    for name, link in (await children(node)).items():
        assert isinstance(link, Symlink)
        found[name] = link.target()
    return found


def two_platforms(ross: RossStore) -> tuple[Digest, dict[str, Digest]]:
    """An index of two stored images; the digest of each by architecture."""
    made = {name: image(ross, architecture=name) for name in ("amd64", "arm64")}
    offers = [(one.parts.manifest, f"linux/{name}") for name, one in made.items()]
    return ross.put_index(index(offers)), {name: one.manifest for name, one in made.items()}
