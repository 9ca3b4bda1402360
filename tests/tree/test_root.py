import json
import os
import stat
from collections.abc import Iterator

import pytest
import trio

from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from rossfs.tree.node import Directory, File, Node, Symlink
from rossfs.tree.numbers import Fixed
from rossfs.tree.root import build_root
from rossfs.tree.state import LogBuffer
from rossfs.tree.trees import Trees
from rossfs.tree.view import View
from tests.builders import OCTET_STREAM, RossStore, digest_of, image, index
from tests.suites.directory_suite import CALLER, DirectorySuite, find, listed


def root_of(store: Store, *, read_only: bool = False) -> Directory:
    """The root of a mount that keeps tables in memory."""
    view = View(
        platform=Platform.parse("linux/amd64"),
        log=LogBuffer(),
        stats=dict,
        read_only=read_only,
        layers=Layers(store, Cache(None)),
    )
    return build_root(store, view, Trees())


@pytest.fixture
def root(opened: Store) -> Directory:
    return root_of(opened)


class TestRoot(DirectorySuite):
    @pytest.fixture
    def directory(self, root: Directory) -> Directory:
        return root


async def walk(root: Node, path: str) -> Node | None:
    """The node at *path*, symbolic links followed as the kernel does."""
    todo = [name for name in path.split("/") if name]
    above: list[Directory] = []
    node: Node = root
    while todo:
        name = todo.pop(0)
        assert isinstance(node, Directory), f"{name} in what is no directory"
        if name == "..":
            node = above.pop()
            continue
        found = await find(node, name.encode())
        if found is None:
            return None
        if isinstance(found, Symlink):
            todo = found.target().decode().split("/") + todo
        else:
            above.append(node)
            node = found
    return node


async def everything(directory: Directory, path: str = "") -> list[tuple[str, Node]]:
    """All nodes below *directory*, by path."""
    found: list[tuple[str, Node]] = []
    for entry in await listed(directory):
        node = await find(directory, entry.name)
        assert node is not None, entry
        name = f"{path}/{entry.name.decode()}"
        found.append((name, node))
        if isinstance(node, Directory):
            found += await everything(node, name)
    return found


async def text(node: Node | None) -> bytes:
    assert isinstance(node, File)
    handle = await node.open(os.O_RDONLY, CALLER)
    try:
        return bytes(await handle.read(0, 1 << 20))
    finally:
        await handle.release()


async def test_the_places_of_the_mount(root: Directory) -> None:
    names = {entry.name for entry in await listed(root)}
    assert {b"README", b"tags", b"images", b"blobs", b"manifests", b"indexes"} <= names
    assert {b"incoming", b".ross"} <= names
    assert root.ino == Fixed.ROOT


async def test_a_tag_leads_to_its_image_and_to_its_layers(ross: RossStore, root: Directory) -> None:
    stored = image(ross, tag="library/app:latest", layers=2)
    assert await text(await walk(root, "tags/library/app/latest/manifest.json")) == (
        stored.parts.manifest
    )
    first = f"tags/library/app/latest/layers/00-{stored.layers[0].hex[:12]}.tar.gz"
    assert await text(await walk(root, first)) == stored.parts.layers[0]


async def test_a_platform_leads_to_its_image(ross: RossStore, root: Directory) -> None:
    stored = image(ross, architecture="arm64")
    digest = ross.put_index(index([(stored.parts.manifest, "linux/arm64")]))
    ross.set_tag("library/multi", "v1", digest)
    config = "tags/library/multi/v1/platforms/linux-arm64/config.json"
    assert await text(await walk(root, config)) == stored.parts.config


async def test_everything_that_is_stored_hashes_to_its_name(
    ross: RossStore, root: Directory
) -> None:
    stored = image(ross, tag="library/app:latest")
    ross.put_index(index([(stored.parts.manifest, "linux/amd64")]))
    hashed = 0
    for path, node in await everything(root):
        place, _, name = path.rpartition("/")
        if place.endswith("/sha256") and isinstance(node, File):
            assert digest_of(await text(node)).hex == name
            hashed += 1
    assert hashed == 5 + 1 + 1 + 4, "four of them in the layout of the repository, too"


async def test_no_two_places_share_a_number(ross: RossStore, root: Directory) -> None:
    stored = image(ross, tag="library/app:latest")
    digest = ross.put_index(index([(stored.parts.manifest, "linux/amd64")]))
    ross.set_tag("library/app", "multi", digest)
    known: dict[int, tuple[str, Node]] = {root.ino: ("/", root)}
    for path, node in await everything(root):
        before, other = known.setdefault(node.ino, (path, node))
        assert other.same(node), f"{before} and {path} have the same number"


async def test_sha512_has_its_own_directory_where_there_is_some(
    ross: RossStore, root: Directory
) -> None:
    digest = digest_of(b"content", "sha512")
    assert await walk(root, "blobs/sha512") is None
    (ross.root / "blobs" / "sha512").mkdir()
    ross.path(digest).write_bytes(b"content")
    assert await text(await walk(root, f"blobs/sha512/{digest.hex}")) == b"content"
    assert await walk(root, "manifests/sha512") is None


@pytest.mark.usefixtures("expects_warnings")
async def test_damaged_content_is_listed_once_somebody_read_it(
    ross: RossStore, root: Directory
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"content")
    ross.path(digest).write_bytes(b"changed")
    assert await text(await walk(root, ".ross/damaged")) == b""
    blob = await walk(root, f"blobs/sha256/{digest.hex}")
    assert isinstance(blob, File)
    with pytest.raises(Exception, match=digest.hex):
        await blob.open(os.O_RDONLY, CALLER)
    listed_as = json.loads(await text(await walk(root, ".ross/damaged")))
    assert listed_as["digest"] == str(digest)


@pytest.fixture
def read_only(ross: RossStore) -> Iterator[Store]:
    with Store.open(str(ross.root), read_only=True) as store:
        yield store


async def test_where_nothing_can_be_written_no_mode_says_otherwise(
    ross: RossStore, read_only: Store
) -> None:
    image(ross, tag="library/app:latest")
    for path, node in await everything(root_of(read_only, read_only=True)):
        mode = node.attr().mode
        inside = node.remade  # what an image says of its own files is shown as it is
        assert inside or stat.S_ISLNK(mode) or not mode & 0o222, path


async def test_what_can_be_written_can_be_written_by_its_owner(
    ross: RossStore, root: Directory
) -> None:
    digest = image(ross, tag="library/app:latest").config
    for path, mode in (
        ("tags/library/app", 0o755),
        ("blobs/sha256", 0o755),
        (f"blobs/sha256/{digest.hex}", 0o644),
        ("images/sha256", 0o555),
        ("", 0o555),
    ):
        node = await walk(root, path)
        assert node is not None
        assert stat.S_IMODE(node.attr().mode) == mode, path


async def test_looking_writes_nothing(ross: RossStore) -> None:
    image(ross, tag="library/app:latest")

    def state() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in ross.root.rglob("*"))

    before = state()
    with Store.open(str(ross.root), read_only=True) as store:
        for _path, node in await everything(root_of(store, read_only=True)):
            node.attr()
            node.xattrs()
            if isinstance(node, File):
                await text(node)
    assert state() == before


async def test_composing_costs_the_same_however_much_is_stored(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: object) -> None:
        raise AssertionError("the store was read")

    for call in ("listdir", "scandir", "open"):
        monkeypatch.setattr(os, call, never)
    with trio.testing.assert_no_checkpoints():
        root_of(opened)
