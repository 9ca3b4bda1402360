import pytest

from rossfs.store.store import Store
from rossfs.tree.numbers import TREE_SHIFT
from rossfs.tree.recent import DIRECTORY, LIMIT, Recent
from rossfs.tree.rootfs import RootfsDirectory, RootfsTree
from tests.layers import Layer
from tests.tree.browsing import Browser, put_stack

ENOUGH = LIMIT // DIRECTORY
"""So many directories without listings fill one half."""


@pytest.fixture
def recent() -> Recent:
    return Recent()


@pytest.fixture
async def shelves(store: Store, browser: Browser) -> list[RootfsDirectory]:
    """Twelve directories of one root filesystem, each with a hundred names."""
    layer = Layer()
    for number in range(12):
        for name in range(100):
            layer.file(f"{number:02}/{name:02}")
    root = await browser.rootfs(put_stack(store, layer))
    found = [root.lookup(b"%02d" % number) for number in range(12)]
    return [directory for directory in found if isinstance(directory, RootfsDirectory)]


async def test_what_was_put_is_found(recent: Recent, shelves: list[RootfsDirectory]) -> None:
    for directory in shelves:
        assert recent.get(directory.ino) is None
        recent.put(directory)
    assert [recent.get(directory.ino) for directory in shelves] == shelves


async def test_what_is_used_stays_and_the_rest_goes(
    recent: Recent, shelves: list[RootfsDirectory]
) -> None:
    used, idle, *_ = shelves
    recent.put(used)
    recent.put(idle)
    for _ in range(5):
        recent.grew(LIMIT + 1)  # the younger half is full
        assert recent.get(used.ino) is used
    assert recent.get(idle.ino) is None


async def test_there_is_an_end_to_what_is_kept(
    recent: Recent, shelves: list[RootfsDirectory]
) -> None:
    idle, other, *_ = shelves
    recent.put(idle)
    for _ in range(ENOUGH // 2):
        recent.put(other)
    assert recent.get(idle.ino) is idle
    for _ in range(2 * ENOUGH):
        recent.put(other)
    assert recent.get(idle.ino) is None
    assert recent.get(other.ino) is other


async def test_names_in_listings_count(recent: Recent, shelves: list[RootfsDirectory]) -> None:
    idle, listed, *_ = shelves
    listed.entries()
    assert (idle.weight, listed.weight) == (0, 100)
    recent.put(idle)
    for _ in range(2 * LIMIT // (DIRECTORY + 100) + 2):
        recent.put(listed)
    assert recent.get(idle.ino) is None


async def test_a_listing_that_is_made_later_counts_too(store: Store, browser: Browser) -> None:
    layer = Layer()
    for name in range(3000):
        layer.file(f"many/{name:04}").file(f"more/{name:04}")
    root = await browser.rootfs(put_stack(store, layer))
    tree = browser.trees.get(root.ino >> TREE_SHIFT)
    assert isinstance(tree, RootfsTree)
    many = root.lookup(b"many")
    assert isinstance(many, RootfsDirectory)
    kept = tree.node(many.ino)
    assert tree.node(many.ino) is kept
    for _ in range(2 * LIMIT // 3000 + 2):
        more = root.lookup(b"more")
        assert isinstance(more, RootfsDirectory)
        more.entries()
    assert tree.node(many.ino) is not kept


async def test_a_forgotten_tree_is_not_kept(
    recent: Recent, shelves: list[RootfsDirectory], store: Store, browser: Browser
) -> None:
    other = await browser.rootfs(put_stack(store))
    old, *young = shelves
    recent.put(old)
    recent.grew(LIMIT + 1)
    for directory in (*young, other):
        recent.put(directory)
    recent.forget(old.ino >> TREE_SHIFT)
    assert not any(recent.get(directory.ino) for directory in shelves)
    assert recent.get(other.ino) is other
    recent.forget(old.ino >> TREE_SHIFT)
