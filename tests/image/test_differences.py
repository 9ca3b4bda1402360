"""Differences of two images, and walking them."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator

import pytest

from rossfs.image.differences import differences
from rossfs.image.layers import Layers
from rossfs.image.opened import OpenedImage, open_rootfs
from rossfs.image.resolve import resolve
from rossfs.image.walk import PairWalk, walk
from rossfs.oci.platform import Platform
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import digest_of
from tests.image.layering import cache_of
from tests.stacking import layer, member, stack

Opened = Callable[..., OpenedImage]


@pytest.fixture
def opened(store: Store) -> Iterator[Opened]:
    """opened(*layers): an image of them."""
    layers = Layers(store, cache_of(store))

    def make(*blobs: bytes) -> OpenedImage:
        image = resolve(store, stack(store, blobs), Platform.host())
        return open_rootfs(store, layers, image)

    yield make
    layers.close()


def directory(name: str, uid: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.DIRTYPE, mode=0o755, uid=uid)


def test_a_walk_goes_down_before_it_goes_on(opened: Opened) -> None:
    image = opened(layer(member("b/y"), member("b/x/1"), member("a"), member("c")))
    found = [path for path, _ in walk(image.rootfs, image.rootfs.root)]
    assert found == [b"a", b"b", b"b/x", b"b/x/1", b"b/y", b"c"]


def test_no_tree_is_too_deep(opened: Opened) -> None:
    depth = 10_000
    deep = "/".join("d" for _ in range(depth))
    image = opened(layer(member(f"{deep}/file")))
    other = opened(layer(member(f"{deep}/other")))
    assert sum(1 for _ in walk(image.rootfs, image.rootfs.root)) == depth + 1
    found = [(each.old is None, each.path[-5:]) for each in differences(image, other)]
    assert found == [(False, b"/file"), (True, b"other")]


def test_pairs_come_in_one_order(opened: Opened) -> None:
    old = opened(layer(member("a/1"), member("b"), member("d/1")))
    new = opened(layer(member("a/1"), member("a/2"), member("c"), member("d")))
    found = [
        (path, before is not None, after is not None)
        for path, before, after in PairWalk(old.rootfs, new.rootfs)
    ]
    assert found == [
        (b"", True, True),
        (b"a", True, True),
        (b"a/1", True, True),
        (b"a/2", False, True),
        (b"b", True, False),
        (b"c", False, True),
        (b"d", True, True),
        (b"d/1", True, False),
    ]


def test_what_is_skipped_is_left_out(opened: Opened) -> None:
    image = opened(layer(member("a/1"), member("a/2"), member("b/1")))
    pairs = PairWalk(image.rootfs, image.rootfs)
    found = []
    for path, _, _ in pairs:
        found.append(path)
        if path == b"a":
            pairs.skip()
    assert found == [b"", b"a", b"b", b"b/1"]


def test_nothing_is_read_of_what_comes_from_one_layer(store: Store, opened: Opened) -> None:
    base = layer(directory("etc"), member("etc/a", b"1" * 5000), member("etc/b", b"2"))
    old, new = opened(base), opened(base, layer(directory("etc"), member("etc/c")))
    store.contents.remove(Area.BLOBS, digest_of(base))
    assert [each.path for each in differences(old, new)] == [b"etc/c"]
    store.put_blob(None, base)


def test_directories_of_the_same_layers_are_not_looked_into(opened: Opened) -> None:
    base = layer(directory("usr"), *(member(f"usr/{number}") for number in range(50)))
    old, new = opened(base), opened(base, layer(directory("opt"), member("opt/x")))
    seen: list[bytes] = []

    class Noting(PairWalk):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for pair in super().__iter__():
                seen.append(pair.path)
                yield pair

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rossfs.image.differences.PairWalk", Noting)
        assert [each.path for each in differences(old, new)] == [b"opt", b"opt/x"]
    assert sorted(seen) == [b"", b"opt", b"opt/x", b"usr"]


def test_attributes_of_directories_count(opened: Opened) -> None:
    old = opened(layer(directory("d"), member("d/x", b"1")))
    new = opened(layer(directory("d", uid=3), member("d/x", b"1")))
    assert [(each.path, each.what) for each in differences(old, new)] == [(b"d", ("owner",))]


def test_an_implied_directory_has_the_attributes_of_the_one_below(opened: Opened) -> None:
    top = layer(member("d/new"))
    old = opened(layer(directory("d", uid=1)), top)
    new = opened(layer(directory("d", uid=2)), top)
    assert [(each.path, each.what) for each in differences(old, new)] == [(b"d", ("owner",))]


def test_a_link_whose_target_comes_later_depends_on_lower_layers(opened: Opened) -> None:
    link = member("d/a", type=tarfile.LNKTYPE, linkname="f")
    top = layer(directory("d"), link, member("f", b"later"))
    old = opened(layer(member("f", b"1")), top)
    new, none = opened(layer(member("f", b"2")), top), opened(top)
    assert [(each.path, each.what) for each in differences(old, new)] == [(b"d/a", ("content",))]
    assert [(each.path, each.what) for each in differences(old, none)] == [(b"d/a", ("size",))]


def test_images_without_layers_differ_in_nothing(opened: Opened) -> None:
    assert list(differences(opened(), opened())) == []
    # A root directory that no archive names is the same as none.
    assert [each.path for each in differences(opened(), opened(layer(member("x"))))] == [b"x"]
