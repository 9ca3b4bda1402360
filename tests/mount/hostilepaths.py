"""Layers with odd names and types, as in `hostilelayers`."""

from __future__ import annotations

from tests.layers import V7, Layer
from tests.mount.hostilelayers import DIRECTORY, LOWER, Case, alone, lower, over

TYPES: dict[str, Case] = {
    "a path twice": alone(Layer().file("a", b"1").file("a", b"22"), {"a": b"22"}),
    "a path of all types": alone(
        Layer().file("a", b"1").directory("a").file("a/x", b"x").symlink("a", "x").file("a", b"2"),
        {"a": b"2"},
    ),
    "a directory, a file, and a directory again": alone(
        Layer().directory("a").file("a/x", b"x").file("a", b"1").directory("a"), {"a": DIRECTORY}
    ),
    "a directory twice keeps its children": alone(
        Layer().directory("a").file("a/x", b"x").directory("a", 0o700),
        {"a": DIRECTORY, "a/x": b"x"},
    ),
    "a file over a directory": over(
        Layer().file("d", b"now"), {"d": b"now", "d/x": None, "d/y": None}
    ),
    "a directory over a file": over(Layer().directory("f"), {"f": DIRECTORY}),
    "a directory over a symlink": over(Layer().directory("l"), {"l": DIRECTORY}),
    "a file over a symlink": over(Layer().file("l", b"now"), {"l": b"now"}),
    "a file, a directory and a file over three layers": Case(
        (Layer().file("a", b"1"), Layer().directory("a").file("a/x", b"x"),
         Layer().file("a", b"3")),
        {"a": b"3"},
    ),
    "a directory again after a file does not bring back its children": Case(
        (Layer().directory("a").file("a/x", b"x"), Layer().file("a", b"1"), Layer().directory("a")),
        {"a": DIRECTORY},
    ),
    "a child of a file": alone(
        Layer().file("a", b"1").file("a/x", b"x"), {"a": b"1"}, umoci=False
    ),
    "a root that is a file": alone(
        Layer().file("./", b"x").file("a", b"1"), {"a": b"1"}, umoci=False
    ),
    "a root that is a symlink": alone(
        Layer().symlink(".", "/etc").file("a", b"1"), {"a": b"1"}, umoci=False
    ),
    "the device that stands for a whiteout": over(
        Layer().device("f", b"3", 0, 0).device("new", b"3", 0, 0), {}, umoci=False
    ),
    "devices and a fifo": alone(
        Layer().device("c", b"3", 1, 3).device("b", b"4", 7, 1).entry("p", b"6"),
        {"c": "c", "b": "b", "p": "p"},
    ),
    "an unknown type": alone(
        Layer().entry("a", b"Z", b"data").file("b", b"1"), {"b": b"1"}, umoci=False
    ),
    "the old type of files, and the reserved one": alone(
        Layer().entry("a", b"\0", b"1").entry("b", b"7", b"2").entry("c", b"0", b"3", magic=V7),
        {"a": b"1", "b": b"2", "c": b"3"},
        umoci=False,
    ),
    "a name that ends in a slash is a directory in old archives": alone(
        Layer().entry("a/", b"\0", magic=V7).file("a/x", b"x"),
        {"a": DIRECTORY, "a/x": b"x"},
    ),
}  # fmt: skip

PARENTS: dict[str, Case] = {
    "./ and / before names": alone(
        Layer().file("./a", b"1").file("/b", b"2").file(".//c//d", b"3").directory("//e/./"),
        {"a": b"1", "b": b"2", "c": DIRECTORY, "c/d": b"3", "e": DIRECTORY},
    ),
    "names that escape": alone(
        Layer().file("../a", b"1").file("x/../../b", b"2").file("/../c", b"3").directory("..")
        .file("d", b"4"),
        {"d": b"4"},
        umoci=False,
    ),
    "a name with .. that stays inside": alone(
        Layer().directory("x").file("x/../a", b"1"), {"x": DIRECTORY, "a": b"1"}
    ),
    "parents that nobody wrote": alone(
        Layer().file("a/b/c/d", b"1"),
        {"a": DIRECTORY, "a/b": DIRECTORY, "a/b/c": DIRECTORY, "a/b/c/d": b"1"},
    ),
    "a parent that is a symlink of the layer": alone(
        Layer().directory("t").symlink("s", "t").file("s/x", b"1"),
        {"t": DIRECTORY, "t/x": b"1", "s": "-> t"},
    ),
    "a parent that is a symlink to a path from the root": alone(
        Layer().directory("t").symlink("s", "/t").file("s/x", b"1"),
        {"t": DIRECTORY, "t/x": b"1", "s": "-> /t"},
    ),
    "a parent that is a symlink out of the root": alone(
        Layer().directory("t").symlink("s", "../../../t").file("s/x", b"1"),
        {"t": DIRECTORY, "t/x": b"1", "s": "-> ../../../t"},
    ),
    "a parent that is a symlink to itself": alone(
        Layer().symlink("s", "s").file("s/x", b"1").file("a", b"2"),
        {"s": "-> s", "a": b"2"},
        umoci=False,
    ),
    "a child of a file of a lower layer": over(
        Layer().file("f/x", b"1"), {"f": DIRECTORY, "f/x": b"1"}, umoci=False
    ),
}  # fmt: skip

GRAFTS: dict[str, Case] = {
    "a parent that is a symlink of a lower layer": over(
        Layer().file("l/new", b"n"), {"d/new": b"n"}
    ),
    "a directory below a symlink of a lower layer": over(
        Layer().directory("l/sub").file("l/sub/n", b"n"), {"d/sub": DIRECTORY, "d/sub/n": b"n"}
    ),
    "whiteouts below a symlink of a lower layer": over(
        Layer().whiteout("l/x").file("new", b"n"), {"d/x": None, "new": b"n"}
    ),
    "a child of a symlink whose directory a whiteout took": over(
        Layer().whiteout("d").file("l/new", b"n"), {"d/x": None, "d/y": None, "d/new": b"n"}
    ),
    "a child of a symlink that a later whiteout takes": over(
        Layer().file("l/new", b"n").whiteout("l"),
        {"l": DIRECTORY, "l/new": b"n"},
        umoci=False,  # whiteouts come first, wherever they stand (layer.md)
    ),
    "a child of a symlink, and a whiteout of it above": Case(
        (lower(), Layer().file("l/new", b"n"), Layer().whiteout("d/new")), LOWER
    ),
    "a child of a symlink that leads elsewhere by then": Case(
        (
            lower(),
            Layer().directory("other").symlink("l", "other"),
            Layer().file("l/new", b"n"),
        ),
        {**LOWER, "l": "-> other", "other": DIRECTORY, "other/new": b"n"},
    ),
    "a child of a symlink from the root": Case(
        (
            Layer().directory("usr").directory("usr/lib").symlink("lib", "/usr/lib"),
            Layer().file("lib/n", b"1"),
        ),
        {"usr": DIRECTORY, "usr/lib": DIRECTORY, "usr/lib/n": b"1", "lib": "-> /usr/lib"},
    ),
    "a child of a symlink to nothing": Case(
        (Layer().symlink("lib", "/usr/lib"), Layer().file("lib/n", b"1")),
        {"usr": DIRECTORY, "usr/lib": DIRECTORY, "usr/lib/n": b"1", "lib": "-> /usr/lib"},
    ),
    "a child of a symlink through symlinks": Case(
        (
            Layer().symlink("a", "b/c").directory("b").symlink("b/c", "../d").directory("d"),
            Layer().file("a/n", b"1"),
        ),
        {"a": "-> b/c", "b": DIRECTORY, "b/c": "-> ../d", "d": DIRECTORY, "d/n": b"1"},
    ),
    "a child of symlinks to one another": Case(
        (Layer().symlink("a", "b").symlink("b", "a"), Layer().file("a/n", b"1").file("c", b"2")),
        {"a": "-> b", "b": "-> a", "c": b"2"},
        umoci=False,
    ),
    "a hard link below a symlink of a lower layer": over(
        Layer().link("l/n", "f"), {"d/n": b"lower f"}
    ),
}

CASES: dict[str, Case] = {**TYPES, **PARENTS, **GRAFTS}
