"""Directories of a layer over symbolic links of lower layers."""

from __future__ import annotations

import pytest

from rossfs.image.merged import Merged, Place
from rossfs.image.rootfs import Rootfs
from tests.image.merging import paths, picture, rootfs_of
from tests.layers import Layer


def usr_merged() -> Layer:
    """`bin` is a link to `usr/bin`, as in Debian."""
    layer = Layer().directory("usr", 0o711).directory("usr/bin", 0o750)
    return layer.file("usr/bin/sh", b"sh").symlink("bin", "usr/bin")


LOWER = {"usr", "usr/bin", "usr/bin/sh", "bin"}


def over(*layers: Layer) -> Rootfs:
    return rootfs_of(usr_merged(), *layers)


def test_what_a_layer_puts_below_a_link_goes_where_the_link_leads() -> None:
    rootfs = over(Layer().file("bin/tool").file("usr/bin/other"))
    assert paths(rootfs) == LOWER | {"usr/bin/tool", "usr/bin/other"}
    assert picture(rootfs)[b"bin"]["type"] == "symlink"
    assert picture(rootfs)[b"usr/bin"]["mode"] == oct(0o750)


def test_a_directory_with_an_entry_of_its_own_replaces_the_link() -> None:
    rootfs = over(Layer().directory("bin", 0o700).file("bin/tool"))
    assert paths(rootfs) == LOWER | {"bin/tool"}
    assert picture(rootfs)[b"bin"]["mode"] == oct(0o700)


def test_a_link_that_a_whiteout_took_is_replaced() -> None:
    expected = LOWER | {"bin/tool"}
    assert paths(over(Layer().whiteout("bin").file("bin/tool"))) == expected
    assert paths(over(Layer().file("bin/tool").whiteout("bin"))) == expected
    assert paths(over(Layer().whiteout("bin"), Layer().file("bin/tool"))) == expected


def test_a_link_below_an_opaque_directory_is_not_there() -> None:
    rootfs = rootfs_of(Layer().file("d/t/x").symlink("d/l", "t"), Layer().opaque("d").file("d/l/y"))
    assert paths(rootfs) == {"d", "d/l", "d/l/y"}


@pytest.mark.parametrize("target", ["new/dir", "/new/dir", "../../new/dir", "new/x/../dir"])
def test_directories_are_made_where_a_link_leads_to_nothing(target: str) -> None:
    rootfs = rootfs_of(Layer().symlink("l", target), Layer().file("l/x").file("l/s/y"))
    assert paths(rootfs) == {"l", "new", "new/dir", "new/dir/x", "new/dir/s", "new/dir/s/y"}
    for path in (b"new", b"new/dir"):
        found = rootfs.resolve(path)
        assert isinstance(found, Merged)
        assert rootfs.record(found.owner).mode == 0o40755
        again = rootfs.directory(found.key)
        assert again is not None
        assert again.parts == found.parts
        assert rootfs.name(found) == path.rpartition(b"/")[2]


def test_nothing_is_made_for_markers_alone() -> None:
    dangling = Layer().symlink("l", "new/dir").file("f")
    assert paths(rootfs_of(dangling, Layer().whiteout("l/x"))) == {"l", "f"}


def test_whiteouts_below_a_link_act_where_it_leads() -> None:
    assert paths(over(Layer().whiteout("bin/sh"))) == LOWER - {"usr/bin/sh"}
    both = Layer().whiteout("bin/sh").file("bin/tool").file("usr/bin/.wh.none")
    assert paths(over(both)) == LOWER - {"usr/bin/sh"} | {"usr/bin/tool"}


def test_an_opaque_marker_below_a_link_clears_nothing() -> None:
    rootfs = over(Layer().opaque("bin").file("bin/tool"))
    assert paths(rootfs) == LOWER | {"usr/bin/tool"}


def test_a_link_to_the_root() -> None:
    rootfs = rootfs_of(Layer().file("a").symlink("d/r", "/"), Layer().file("d/r/b").file("d/r/d/c"))
    assert paths(rootfs) == {"a", "b", "d", "d/r", "d/c"}
    assert rootfs.parent(rootfs.root).key == rootfs.root.key


def test_links_below_links() -> None:
    rootfs = rootfs_of(
        Layer().file("t/u/x").symlink("a", "t").symlink("t/b", "u").file("v/x"),
        Layer().file("a/b/y").file("a/c/z").directory("t/c", 0o700).symlink("t/u/w", "/v"),
        Layer().file("a/b/w/q"),
    )
    assert paths(rootfs) == {
        "a", "t", "t/b", "t/u", "t/u/x", "t/u/y", "t/u/w", "t/c", "t/c/z", "v", "v/x", "v/q",
    }  # fmt: skip
    assert picture(rootfs)[b"t/c"]["mode"] == oct(0o700)


def test_directories_that_come_together_have_the_attributes_of_an_entry() -> None:
    rootfs = rootfs_of(
        Layer().directory("t").symlink("a", "t").symlink("b", "t").symlink("c", "t"),
        Layer().file("a/s/1").directory("b/s", 0o700).file("b/s/2").file("c/s/3").file("t/s/4"),
    )
    assert paths(rootfs) == {"t", "t/s", "t/s/1", "t/s/2", "t/s/3", "t/s/4", "a", "b", "c"}
    assert picture(rootfs)[b"t/s"]["mode"] == oct(0o700)


def test_a_link_that_its_own_layer_changes() -> None:
    rootfs = rootfs_of(
        Layer().file("one/x").file("two/x").symlink("l", "one"),
        Layer().symlink("l", "two").file("l/y"),
    )
    assert paths(rootfs) == {"one", "one/x", "two", "two/x", "two/y", "l"}


@pytest.mark.parametrize("target", ["l", "f", "f/x", "other", "l/x"])
def test_a_link_that_leads_to_no_directory_stays(target: str) -> None:
    lower = Layer().file("f").symlink("l", target).symlink("other", "l")
    rootfs = rootfs_of(lower, Layer().file("l/x").file("l/d/y").file("g"))
    assert paths(rootfs) == {"f", "l", "other", "g"}
    assert isinstance(rootfs.lookup(rootfs.root, b"l"), Place)


def test_layers_above_and_below_share_what_was_moved() -> None:
    rootfs = over(Layer().file("bin/tool", b"1"), Layer().file("usr/bin/tool", b"22"),
                  Layer().link("bin/again", "bin/tool"), Layer().whiteout("bin/sh"))  # fmt: skip
    assert paths(rootfs) == LOWER - {"usr/bin/sh"} | {"usr/bin/tool", "usr/bin/again"}
    assert picture(rootfs)[b"usr/bin/again"]["size"] == 2
    assert picture(rootfs)[b"usr/bin/tool"]["links"] == (b"usr/bin/again", b"usr/bin/tool")


def test_a_hard_link_to_what_its_own_layer_moved() -> None:
    rootfs = over(Layer().file("bin/tool").link("one", "usr/bin/tool").link("two", "bin/tool"))
    groups = picture(rootfs)
    assert groups[b"one"]["links"] == (b"one", b"two", b"usr/bin/tool")


def test_keys_do_not_depend_on_what_was_asked_before() -> None:
    def made() -> Rootfs:
        return rootfs_of(Layer().symlink("l", "new/dir"), Layer().file("l/s/y").file("new/z"))

    one, other = made(), made()
    found = one.resolve(b"new/dir/s")
    assert isinstance(found, Merged)
    again = other.directory(found.key)
    assert again is not None
    assert other.name(other.parent(other.parent(again))) == b"new"


def test_many_implied_directories() -> None:
    lower, upper = Layer(), Layer()
    for number in range(3000):
        lower.directory(f"d{number % 10}/s{number}")
        upper.file(f"d{number % 10}/s{number}/x").file(f"n{number}/a/b")
    rootfs = rootfs_of(lower, upper)
    assert len(rootfs.entries(rootfs.root)) == 3010


def test_many_links_are_followed() -> None:
    lower, upper = Layer().directory("t"), Layer()
    for number in range(500):
        lower.symlink(f"l{number}", f"t/{number % 50}")
        upper.file(f"l{number}/x{number}")
    rootfs = rootfs_of(lower, upper)
    found = rootfs.resolve(b"t/7")
    assert isinstance(found, Merged)
    assert [name for name, _ in rootfs.entries(found)] == sorted(
        b"x%d" % number for number in range(7, 500, 50)
    )
