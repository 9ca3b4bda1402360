"""What a directory of a root filesystem lists."""

from __future__ import annotations

import pytest

from rossfs.image.merged import Merged, Place
from tests.image.merging import rootfs_of
from tests.layers import Layer


def names(*layers: Layer) -> list[bytes]:
    rootfs = rootfs_of(*layers)
    return [name for name, _ in rootfs.entries(rootfs.root)]


def test_names_come_in_order_and_once() -> None:
    lower = Layer().file("b").file("a").file("\xff").file("d/x")
    upper = Layer().file("c").file("b").file("A\n").file("d/y")
    assert names(lower, upper) == [b"A\n", b"a", b"b", b"c", b"d", "\xff".encode()]


def test_a_directory_of_one_layer_is_listed_without_a_copy() -> None:
    rootfs = rootfs_of(*(Layer().file(f"d{number}/x") for number in range(2)))
    directory = rootfs.lookup(rootfs.root, b"d0")
    assert isinstance(directory, Merged)
    listing = rootfs.entries(directory)
    assert listing.plain is not None
    assert list(listing) == [(b"x", Place(0, listing.plain[1].start))]
    assert rootfs.entries(rootfs.root).plain is None


def test_a_whiteout_and_its_name_in_one_layer() -> None:
    lower = Layer().file("a").file("b").file("c")
    assert names(lower, Layer().whiteout("a").file("a").whiteout("b")) == [b"a", b"c"]
    assert names(Layer().whiteout("a").file("a").whiteout("b")) == [b"a"]


def test_what_means_nothing_is_not_counted() -> None:
    layer = Layer().whiteout("d/x").link("l", "none").file("f")
    assert names(layer) == [b"f"]
    assert names(Layer().file("d"), layer) == [b"d", b"f"]
    assert names(Layer().file("d").file("none"), layer) == [b"d", b"f", b"l", b"none"]


def test_a_link_whose_target_comes_later_is_what_lookup_finds() -> None:
    layer = Layer().directory("d").link("d/a", "d/b").file("d/b", b"later")
    for lower, same in ((Layer(), True), (Layer().directory("d").file("d/b"), False)):
        rootfs = rootfs_of(lower, layer)
        directory = rootfs.lookup(rootfs.root, b"d")
        assert isinstance(directory, Merged)
        listing = rootfs.entries(directory)
        assert listing.plain is None
        [(_, a), (_, b)] = listing
        assert (a == b) is same
        assert [a, b] == [rootfs.lookup(directory, name) for name in (b"a", b"b")]


@pytest.mark.parametrize("count", [0, 1, 300, 3000])
def test_every_entry_is_what_lookup_finds(count: int) -> None:
    lower, upper = Layer(), Layer()
    for number in range(count):
        (lower if number % 3 else upper).file(f"n{number}")
        if number % 7 == 0:
            upper.whiteout(f"n{number}")
    rootfs = rootfs_of(lower, upper)
    listing = rootfs.entries(rootfs.root)
    gone = {b"n%d" % number for number in range(count) if number % 7 == 0 and number % 3}
    assert {name for name, _ in listing} == {b"n%d" % n for n in range(count)} - gone
    assert all(rootfs.lookup(rootfs.root, name) == found for name, found in listing)
    assert list(listing.places()) == [found for _, found in listing]
