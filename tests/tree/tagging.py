"""Ways through tags/ for its tests."""

from rossfs.oci.digest import Digest
from rossfs.tree.node import Directory, Node, Symlink
from rossfs.tree.tags import TagsDirectory
from tests.suites.directory_suite import find


async def walk(top: Directory, path: str) -> Node | None:
    """The node at a path of tags/."""
    node: Node | None = top
    for name in path.split("/"):
        assert isinstance(node, Directory), f"{path}: no directory above {name}"
        node = await find(node, name.encode())
    return node


async def repository(top: Directory, path: str) -> TagsDirectory:
    node = await walk(top, path)
    assert isinstance(node, TagsDirectory)
    return node


async def target(top: Directory, path: str) -> bytes:
    node = await walk(top, path)
    assert isinstance(node, Symlink), f"{path} is no link"
    return node.target()


def anything(digest: Digest) -> bytes:
    return f"../anything/{digest.algorithm}/{digest.hex}".encode()
