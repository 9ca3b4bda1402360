"""Layers as one tree: whiteouts, directories over directories, attributes, keys."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from rossfs.errors import PathNotFound
from rossfs.image.merged import Merged, Place
from rossfs.image.rootfs import Rootfs
from tests.image.merging import Tabled, paths, picture, rootfs_of
from tests.layers import Layer


def directory(rootfs: Rootfs, path: str) -> Merged:
    found = rootfs.resolve(os.fsencode(path))
    assert isinstance(found, Merged)
    return found


def file(rootfs: Rootfs, path: str) -> Place:
    found = rootfs.resolve(os.fsencode(path), follow_last=False)
    assert isinstance(found, Place)
    return found


# --- what is there ---


def test_an_image_without_layers_is_an_empty_directory() -> None:
    rootfs = rootfs_of()
    assert paths(rootfs) == set()
    assert rootfs.record(rootfs.root.owner).mode == 0o40755
    assert rootfs.lookup(rootfs.root, b"x") is None
    again = rootfs.directory(rootfs.root.key)
    assert again is not None
    assert again.key == rootfs.root.key
    assert rootfs.parent(rootfs.root).key == rootfs.root.key


def test_an_empty_layer_is_an_empty_directory() -> None:
    assert paths(rootfs_of(Layer(), Layer())) == set()


def test_names_of_all_layers_are_in_one_directory() -> None:
    rootfs = rootfs_of(
        Layer().directory("d").file("d/a"), Layer().file("d/b"), Layer().directory("d").file("d/c")
    )
    assert paths(rootfs) == {"d", "d/a", "d/b", "d/c"}
    assert [place.position for place in directory(rootfs, "d").parts] == [2, 1, 0]


def test_the_highest_layer_that_has_a_file_gives_it() -> None:
    rootfs = rootfs_of(*(Layer().file("f", b"%d" % number) for number in range(3)))
    place = file(rootfs, "f")
    assert place.position == 2
    layer = rootfs.layer_of(place)
    assert isinstance(layer, Tabled)
    assert layer.content(place.index) == b"2"


def test_a_whiteout_hides_all_layers_below_it() -> None:
    rootfs = rootfs_of(
        Layer().file("f").file("d/x"),
        Layer().file("f"),
        Layer().whiteout("f").whiteout("d"),
        Layer().file("g"),
    )
    assert paths(rootfs) == {"g"}


def test_a_whiteout_hides_nothing_of_layers_above_it() -> None:
    rootfs = rootfs_of(Layer().file("d/x"), Layer().whiteout("d"), Layer().file("d/y"))
    assert paths(rootfs) == {"d", "d/y"}
    assert directory(rootfs, "d").parts == (Place(2, 1),)


@pytest.mark.parametrize("name", [".wh.f", ".wh.none", ".wh..wh..opq", ".wh."])
def test_names_of_markers_are_never_found(name: str) -> None:
    rootfs = rootfs_of(Layer().file("f"), Layer().whiteout("f").opaque(""))
    assert rootfs.lookup(rootfs.root, name.encode()) is None
    assert len(rootfs.entries(rootfs.root)) == 0


def test_an_opaque_directory_keeps_the_attributes_of_a_lower_one() -> None:
    rootfs = rootfs_of(
        Layer().directory("d", 0o700, uid=7).file("d/x"), Layer().opaque("d").file("d/y")
    )
    assert paths(rootfs) == {"d", "d/y"}
    record = rootfs.record(directory(rootfs, "d").owner)
    assert (record.mode, record.uid) == (0o40700, 7)


def test_an_opaque_directory_over_a_directory_that_a_whiteout_took_has_none_to_keep() -> None:
    rootfs = rootfs_of(
        Layer().directory("d", 0o700), Layer().whiteout("d"), Layer().opaque("d").file("d/y")
    )
    assert rootfs.record(directory(rootfs, "d").owner).mode == 0o40755


def test_implied_directories_have_the_attributes_of_the_highest_entry_below() -> None:
    rootfs = rootfs_of(
        Layer().directory("d", 0o700),
        Layer().directory("d", 0o711, xattrs={"user.a": b"1"}),
        Layer().file("d/x"),
        Layer().file("d/y"),
    )
    found = directory(rootfs, "d")
    assert found.owner.position == 1
    assert found.key.position == 3
    assert picture(rootfs)[b"d"]["xattr user.a"] == b"1"


def test_a_root_without_an_entry_has_the_attributes_of_a_lower_one() -> None:
    rootfs = rootfs_of(Layer().directory("./", 0o711), Layer().file("x"))
    assert rootfs.record(rootfs.root.owner).mode == 0o40711
    without = rootfs_of(Layer().file("x"))
    assert without.record(without.root.owner).mode == 0o40755


def test_directories_that_are_there_for_markers_only_are_not_shown() -> None:
    rootfs = rootfs_of(
        Layer().file("f").directory("d").file("d/x"),
        Layer().whiteout("f/x").whiteout("d/x").whiteout("a/b/c").opaque("a/e").file("new"),
    )
    assert paths(rootfs) == {"f", "d", "new"}
    assert isinstance(rootfs.resolve(b"f"), Place)
    alone = rootfs_of(Layer().whiteout("a/b/c").file("a/d/.wh.e").file("g"))
    assert paths(alone) == {"g"}


# --- hard links to lower layers ---


def test_a_hard_link_to_a_lower_layer_is_the_inode_of_that_layer() -> None:
    rootfs = rootfs_of(
        Layer().file("d/a", b"x", uid=5).link("d/b", "d/a"),
        Layer().link("c", "d/b").link("e", "c"),
        Layer().link("g", "/e").whiteout("d/a"),
    )
    assert paths(rootfs) == {"d", "d/b", "c", "e", "g"}
    assert len({file(rootfs, path) for path in ("d/b", "c", "e", "g")}) == 1
    assert rootfs.record(file(rootfs, "g")).uid == 5


def test_a_hard_link_that_leads_nowhere_is_not_shown() -> None:
    rootfs = rootfs_of(
        Layer().directory("d").file("f").symlink("l", "l"),
        Layer().link("a", "none").link("b", "d").link("c", "f/x").link("e", "l/x").link("g", "f"),
    )
    assert paths(rootfs) == {"d", "f", "l", "g"}
    assert rootfs.lookup(rootfs.root, b"a") is None


def test_a_hard_link_is_to_a_lower_layer_before_it_is_to_a_later_entry() -> None:
    upper = Layer().link("g", "d/f").link("h", "g").file("d/f", b"later", uid=1).link("i", "d/f")
    rootfs = rootfs_of(Layer().file("d/f", b"lower", uid=5), upper)
    assert paths(rootfs) == {"d", "d/f", "g", "h", "i"}
    assert file(rootfs, "g") == file(rootfs, "h") != file(rootfs, "i") == file(rootfs, "d/f")
    assert rootfs.record(file(rootfs, "g")).uid == 5
    assert rootfs.record(file(rootfs, "i")).uid == 1
    for lower in ([], [Layer().directory("d").file("g")], [Layer().directory("d/f")]):
        rootfs = rootfs_of(*lower, upper)
        assert paths(rootfs) == {"d", "d/f", "g", "h", "i"}
        assert len({file(rootfs, path) for path in ("d/f", "g", "h", "i")}) == 1


def test_a_hard_link_to_a_later_entry_of_any_type() -> None:
    layer = Layer().link("a", "s").symlink("s", "text").link("b", "n").entry("n", b"6")
    rootfs = rootfs_of(Layer().file("x"), layer)
    assert file(rootfs, "a") == file(rootfs, "s")
    assert file(rootfs, "b") == file(rootfs, "n")
    with_file = rootfs_of(Layer().file("s").file("n"), layer)
    assert stat.S_ISREG(with_file.record(file(with_file, "a")).mode)
    assert stat.S_ISREG(with_file.record(file(with_file, "b")).mode)


def test_a_chain_of_later_entries_may_be_long() -> None:
    layer = Layer()
    for number in range(100):
        layer.link(f"l{number:03}", f"l{number + 1:03}")
    rootfs = rootfs_of(Layer().file("x"), layer.file("l100"))
    assert len({file(rootfs, f"l{number:03}") for number in range(101)}) == 1


def test_hard_links_over_many_layers_end() -> None:
    # Each layer asks for two names of the layer below: following all would take for ever.
    layers = [Layer().link("a", f"b{n}").link(f"b{n + 1}", f"a{n}") for n in range(60)]
    assert paths(rootfs_of(*layers)) == set()


def test_symlinks_that_waste_time_lead_nowhere() -> None:
    lower = Layer().directory("d").file("d/f").symlink("s20", "d")
    for number in range(20):
        lower.symlink(f"s{number}", "d/../" * 10_000 + f"s{number + 1}")
    rootfs = rootfs_of(lower, Layer().link("h", "s0/f").link("g", "s19/f"))
    assert rootfs.lookup(rootfs.root, b"h") is None
    assert "g" in paths(rootfs)
    assert "h" not in paths(rootfs)
    with pytest.raises(PathNotFound):
        rootfs.resolve(b"s0")


# --- keys and parents ---


def test_a_key_is_the_same_each_time() -> None:
    def made() -> Rootfs:
        return rootfs_of(Layer().file("a/b/x").file("c/x"), Layer().file("a/b/y"))

    one, other = made(), made()
    found = directory(one, "a/b")
    again = other.directory(found.key)
    assert again is not None
    assert again.parts == found.parts
    assert other.name(again) == b"b"
    assert other.parent(again).key == directory(one, "a").key


def test_numbers_that_are_no_key_find_nothing() -> None:
    rootfs = rootfs_of(Layer().file("a/b/x").file("c/x").file("f"), Layer().file("a/b/y"))
    keys = {rootfs.root.key, *(directory(rootfs, path).key for path in ("a", "a/b", "c"))}
    for position in (-1, 0, 1, 2, 1023):
        for index in (*range(12), 1 << 29, (1 << 30) - 1):
            place = Place(position, index)
            found = rootfs.directory(place)
            assert (found is not None) == (place in keys)


def test_a_directory_that_is_hidden_is_not_found_by_its_number() -> None:
    lower = Layer().directory("a").directory("a/b").file("a/b/x")
    hidden = Tabled(lower).toc.find(Tabled(lower).toc.find(0, b"a"), b"b")
    assert rootfs_of(lower).directory(Place(0, hidden)) is not None
    assert rootfs_of(lower, Layer().whiteout("a")).directory(Place(0, hidden)) is None
    assert rootfs_of(lower, Layer().file("a")).directory(Place(0, hidden)) is None


def test_more_directories_than_are_remembered() -> None:
    count = 2000
    layer = Layer()
    for number in range(count):
        layer.file(f"d{number}/sub/x")
    rootfs = rootfs_of(layer)
    keys = {number: directory(rootfs, f"d{number}/sub").key for number in range(count)}
    for number, key in keys.items():
        found = rootfs.directory(key)
        assert found is not None
        assert rootfs.name(rootfs.parent(found)) == f"d{number}".encode()


# --- extremes ---


def test_ten_thousand_levels() -> None:
    deep = "/".join(["d"] * 10_000)
    rootfs = rootfs_of(
        Layer().directory(deep), Layer().file(f"{deep}/x"), Layer().whiteout(f"{deep}/y")
    )
    found = directory(rootfs, deep)
    assert len(found.parts) == 3
    assert rootfs.name(rootfs.parent(found)) == b"d"
    again = rootfs.directory(found.key)
    assert again is not None
    assert again.parts == found.parts
    assert isinstance(rootfs.resolve(f"{deep}/x".encode()), Place)


def test_ten_thousand_levels_of_directories_for_a_marker_only() -> None:
    deep = "/".join(["d"] * 10_000)
    rootfs = rootfs_of(Layer().file("f"), Layer().whiteout(f"{deep}/x"))
    assert paths(rootfs) == {"f"}
    assert rootfs.lookup(rootfs.root, b"d") is None


def test_a_thousand_layers() -> None:
    layers = [Layer().directory("d").file(f"d/{n}").whiteout(f"d/{n - 2}") for n in range(1000)]
    rootfs = rootfs_of(*layers)
    assert paths(rootfs) == {"d", "d/998", "d/999"}
    assert len(directory(rootfs, "d").parts) == 1000


# --- paths ---


@pytest.fixture(scope="module")
def tree() -> Rootfs:
    return rootfs_of(
        Layer()
        .directory("d/e")
        .file("d/f")
        .symlink("abs", "/d")
        .symlink("d/up", "../d/e")
        .symlink("out", "../../../d/f")
        .symlink("loop", "loop"),
        Layer().file("d/e/x").symlink("long", "abs/up/x"),
    )


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("/", ""),
        (".", ""),
        ("..", ""),
        ("//d//e/./", "d/e"),
        ("d/../d/e/..", "d"),
        ("abs", "d"),
        ("abs/", "d"),
        ("d/up", "d/e"),
        ("abs/up/../f", "d/f"),
        ("out", "d/f"),
        ("long", "d/e/x"),
        ("/abs/up/x", "d/e/x"),
    ],
)
def test_a_path_leads_where_it_would_for_a_process(tree: Rootfs, path: str, same: str) -> None:
    found, expected = tree.resolve(path.encode()), tree.resolve(same.encode())
    if isinstance(expected, Merged):
        assert isinstance(found, Merged)
        assert found.key == expected.key
    else:
        assert found == expected


def test_the_last_symlink_need_not_be_followed(tree: Rootfs) -> None:
    place = tree.resolve(b"d/up", follow_last=False)
    assert isinstance(place, Place)
    assert tree.record(place).mode & 0o170000 == 0o120000
    assert isinstance(tree.resolve(b"d/up/", follow_last=False), Merged)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("none", "ENOENT"),
        ("d/none/../f", "ENOENT"),
        ("d/f/x", "ENOTDIR"),
        ("d/f/", "ENOTDIR"),
        ("d/f/..", "ENOTDIR"),
        ("loop", "ELOOP"),
        ("loop/x", "ELOOP"),
        (".wh.d", "ENOENT"),
    ],
)
def test_a_path_that_leads_nowhere_says_why(tree: Rootfs, path: str, error: str) -> None:
    with pytest.raises(PathNotFound) as raised:
        tree.resolve(path.encode())
    assert errno.errorcode[raised.value.errno] == error
    assert path in str(raised.value)
    assert raised.value.exit_status == 3


def test_forty_symlinks_are_followed_and_no_more() -> None:
    layer = Layer().file("l0")
    for number in range(1, 42):
        layer.symlink(f"l{number}", f"l{number - 1}")
    rootfs = rootfs_of(layer)
    assert rootfs.resolve(b"l40") == rootfs.resolve(b"l0")
    with pytest.raises(PathNotFound):
        rootfs.resolve(b"l41")
