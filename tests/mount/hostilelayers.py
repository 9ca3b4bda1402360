"""Layers as some tool wrote them once, or as somebody might who means harm, and what they mean.

Each case is the layers of an image, bottom first, and the paths of its root filesystem.  Where
umoci can unpack them, it must find the same (`umoci` true); the others it refuses, or gets wrong.
Here are whiteouts and links; `hostilepaths` has names and types.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.layers import Layer

DIRECTORY = "directory"

Look = Mapping[str, str | bytes]
"""What is under each path: `DIRECTORY`, "-> target" of a symlink, the content of a file, or the
type of another thing in one letter as ls(1) has it."""


class Case(NamedTuple):
    """Layers and what they mean."""

    layers: tuple[Layer, ...]
    look: Look
    umoci: bool = True


def look(top: Path) -> dict[str, str | bytes]:
    """What there is below *top*."""
    found: dict[str, str | bytes] = {}
    pending = [top]
    while pending:
        with os.scandir(pending.pop()) as listing:
            entries = list(listing)
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            path = os.path.relpath(entry.path, top)
            if stat.S_ISDIR(mode):
                found[path] = DIRECTORY
                pending.append(Path(entry.path))
            elif stat.S_ISLNK(mode):
                found[path] = f"-> {os.readlink(entry.path)}"
            elif stat.S_ISREG(mode):
                found[path] = Path(entry.path).read_bytes()
            else:
                found[path] = stat.filemode(mode)[0]
    return found


def lower() -> Layer:
    """A directory with two files, a file, and a link to the directory."""
    return (
        Layer()
        .directory("./")
        .directory("d")
        .file("d/x", b"lower x")
        .file("d/y", b"lower y")
        .file("f", b"lower f")
        .symlink("l", "d")
    )


LOWER: Look = {"d": DIRECTORY, "d/x": b"lower x", "d/y": b"lower y", "f": b"lower f", "l": "-> d"}


def over(top: Layer, change: Mapping[str, str | bytes | None], *, umoci: bool = True) -> Case:
    """*top* over the lower layer: what it changes there, None for what is gone."""
    after = {**LOWER, **change}
    gone = {path: what for path, what in after.items() if what is not None}
    return Case((lower(), top), gone, umoci)


def alone(layer: Layer, expected: Look, *, umoci: bool = True) -> Case:
    return Case((layer,), expected, umoci)


WHITEOUTS: dict[str, Case] = {
    "a whiteout of a file": over(Layer().whiteout("f"), {"f": None}),
    "a whiteout of a directory": over(Layer().whiteout("d"), {"d": None, "d/x": None, "d/y": None}),
    "a whiteout of a symlink leaves its target": over(Layer().whiteout("l"), {"l": None}),
    "a whiteout that is a hard link": over(
        Layer().file(".wh.none").link(".wh.f", ".wh.none").link("d/.wh.x", ".wh.none"),
        {"f": None, "d/x": None},
    ),
    "a whiteout that is a directory, one that is a symlink": over(
        Layer().directory(".wh.f").symlink("d/.wh.x", "y"), {"f": None, "d/x": None}
    ),
    "a whiteout with content": over(Layer().file(".wh.f", b"content"), {"f": None}),
    "a bare .wh.": over(Layer().file(".wh.").file("d/.wh."), {}, umoci=False),
    "a whiteout of what is not there": over(Layer().whiteout("none").whiteout("d/none"), {}),
    "a whiteout where there was no directory": over(Layer().whiteout("n/none"), {}),
    "a whiteout in the root hides nothing deeper": Case(
        (
            Layer()
            .directory("d")
            .directory("d/d")
            .file("x", b"1")
            .file("d/x", b"2")
            .file("d/d/x", b"3"),
            Layer().whiteout("x"),
        ),
        {"d": DIRECTORY, "d/d": DIRECTORY, "d/x": b"2", "d/d/x": b"3"},
    ),
    "a whiteout and then its name": over(
        Layer().whiteout("f").file("f", b"upper"), {"f": b"upper"}
    ),
    "a name and then its whiteout": over(
        Layer().file("f", b"upper").whiteout("f"), {"f": b"upper"}
    ),
    "a whiteout and then its directory": over(
        Layer().whiteout("d").directory("d").file("d/new", b"n"),
        {"d/x": None, "d/y": None, "d/new": b"n"},
    ),
    "a directory and then its whiteout": over(
        Layer().directory("d").file("d/new", b"n").whiteout("d"),
        {"d/x": None, "d/y": None, "d/new": b"n"},
    ),
    "a whiteout below a whiteout": over(
        Layer().whiteout("d").whiteout("d/x"), {"d": None, "d/x": None, "d/y": None}
    ),
    "a directory replaced by a symlink, as umoci writes it": over(
        Layer().symlink("d", "f").whiteout("d/x"), {"d": "-> f", "d/x": None, "d/y": None}
    ),
    "a symlink that a whiteout replaced by a directory": over(
        Layer().whiteout("l").directory("l").file("l/x", b"mine"),
        {"l": DIRECTORY, "l/x": b"mine"},
    ),
    "a symlink, and whiteouts below it where its target has the same names": Case(
        (
            Layer().directory("d").file("d/x", b"1").directory("e").file("e/x", b"2"),
            Layer().symlink("e", "d").whiteout("e/x"),
        ),
        {"d": DIRECTORY, "d/x": b"1", "e": "-> d"},
        umoci=False,
    ),
    "a child of a directory that a whiteout took": over(
        Layer().whiteout("d").file("d/new", b"n"), {"d/x": None, "d/y": None, "d/new": b"n"}
    ),
    "a child of a file that a whiteout took": over(
        Layer().whiteout("f").file("f/new", b"n"), {"f": DIRECTORY, "f/new": b"n"}
    ),
    "a child, and then a whiteout of its directory": over(
        Layer().file("d/new", b"n").whiteout("d"), {"d/x": None, "d/y": None, "d/new": b"n"}
    ),
    "a child of a symlink that a whiteout took": over(
        Layer().whiteout("l").file("l/new", b"n"), {"l": DIRECTORY, "l/new": b"n"}
    ),
    "the second whiteout is void when the first took the directory": Case(
        (lower(), Layer().whiteout("d"), Layer().directory("d").file("d/z", b"z")),
        {"d": DIRECTORY, "d/z": b"z", "f": b"lower f", "l": "-> d"},
    ),
    "markers of aufs": over(
        Layer()
        .directory(".wh..wh.plnk")
        .file(".wh..wh.plnk/1.2", b"x")
        .file(".wh..wh.aufs")
        .directory(".wh..wh.orph"),
        {},
        umoci=False,
    ),
}

OPAQUE: dict[str, Case] = {
    "opaque first": over(
        Layer().directory("d").opaque("d").file("d/new", b"n"),
        {"d/x": None, "d/y": None, "d/new": b"n"},
    ),
    "opaque last in the archive": over(
        Layer().directory("d").file("d/new", b"n").file("d/x", b"mine").opaque("d"),
        {"d/x": b"mine", "d/y": None, "d/new": b"n"},
    ),
    "opaque before the directory's own entry, as umoci inserts it": over(
        Layer().opaque("d").directory("d", 0o711).file("d/new", b"n"),
        {"d/x": None, "d/y": None, "d/new": b"n"},
    ),
    "opaque without an entry of the directory": over(
        Layer().opaque("d"), {"d/x": None, "d/y": None}
    ),
    "opaque and a whiteout in it": over(
        Layer().directory("d").opaque("d").whiteout("d/x").file("d/new", b"n"),
        {"d/x": None, "d/y": None, "d/new": b"n"},
    ),
    "opaque at the root": Case((lower(), Layer().file("new", b"n").opaque("")), {"new": b"n"}),
    "an opaque directory over a symlink leaves the link's target": over(
        Layer().directory("l").opaque("l").file("l/new", b"n"),
        {"l": DIRECTORY, "l/new": b"n"},
    ),
    "opaque below a symlink leaves the link's target": over(
        Layer().opaque("l").file("l/new", b"n"), {"d/new": b"n"}, umoci=False
    ),
    "opaque in a directory of a directory": Case(
        (
            Layer()
            .directory("a")
            .directory("a/b")
            .directory("a/b/c")
            .file("a/b/c/f", b"1")
            .file("a/f", b"2"),
            Layer().opaque("a/b").directory("a/b/new"),
        ),
        {"a": DIRECTORY, "a/b": DIRECTORY, "a/b/new": DIRECTORY, "a/f": b"2"},
    ),
}

LINKS: dict[str, Case] = {
    "a hard link to a lower layer": over(Layer().link("g", "f"), {"g": b"lower f"}),
    "a hard link to a lower layer, by a path from the root": over(
        Layer().link("g", "/d/x").link("h", "./f"), {"g": b"lower x", "h": b"lower f"}
    ),
    "a hard link to a later entry": alone(
        Layer().link("g", "f").file("f", b"later"), {"f": b"later", "g": b"later"}, umoci=False
    ),
    "a hard link to a symlink": alone(
        Layer().symlink("s", "t").link("h", "s"), {"s": "-> t", "h": "-> t"}
    ),
    "a hard link to a symlink of a lower layer": over(Layer().link("h", "l"), {"h": "-> d"}),
    "a chain of hard links": alone(
        Layer().file("a", b"a").link("b", "a").link("c", "b").link("d", "c"),
        {"a": b"a", "b": b"a", "c": b"a", "d": b"a"},
    ),
    "a chain of hard links over layers": Case(
        (Layer().file("a", b"a"), Layer().link("b", "a"), Layer().link("c", "b")),
        {"a": b"a", "b": b"a", "c": b"a"},
    ),
    "a chain of hard links that begins above": Case(
        (Layer().file("a", b"a"), Layer().link("b", "a").link("c", "b"), Layer().whiteout("a")),
        {"b": b"a", "c": b"a"},
    ),
    "a hard link to itself": over(
        Layer().link("f", "f").link("n", "n"), {"f": b"lower f"}, umoci=False
    ),
    "hard links to one another": alone(
        Layer().file("f", b"f").link("a", "b").link("b", "a"), {"f": b"f"}, umoci=False
    ),
    "a hard link to a directory": over(Layer().link("g", "d"), {}, umoci=False),
    "a hard link to nothing": over(Layer().link("g", "none"), {}, umoci=False),
    "a hard link that escapes": over(
        Layer().link("g", "../../../../../../etc/passwd"), {}, umoci=False
    ),
    "a hard link keeps what its target was": alone(
        Layer().file("a", b"1").link("b", "a").file("a", b"2"), {"a": b"2", "b": b"1"}
    ),
    "a name that is replaced above leaves the other names": Case(
        (Layer().file("a", b"1").link("b", "a"), Layer().file("a", b"2")),
        {"a": b"2", "b": b"1"},
    ),
    "a hard link to a path through a symlink": over(Layer().link("g", "l/x"), {"g": b"lower x"}),
    "a hard link and then a whiteout of its target": over(
        Layer().link("g", "f").whiteout("f"), {"g": b"lower f", "f": None}
    ),
    "a hard link, and then an entry in place of its target": over(
        Layer().link("g", "f").file("f", b"later").link("h", "f"),
        {"g": b"lower f", "f": b"later", "h": b"later"},
    ),
    "a hard link to a symlink, and then a file in its place": over(
        Layer().link("g", "l").file("l", b"later"), {"g": "-> d", "l": b"later"}
    ),
    "a hard link, a whiteout of its target, and then an entry in its place": over(
        Layer().link("g", "f").whiteout("f").file("f", b"later"),
        {"g": b"lower f", "f": b"later"},
    ),
    "a hard link, and then a directory in place of its target": over(
        Layer().link("g", "f").directory("f").file("f/x", b"later"),
        {"g": b"lower f", "f": DIRECTORY, "f/x": b"later"},
    ),
    "a hard link, and then a file in place of its target's directory": over(
        Layer().link("g", "d/x").file("d", b"later"),
        {"g": b"lower x", "d": b"later", "d/x": None, "d/y": None},
    ),
    "a hard link, and then a symlink in place of its target's directory": over(
        Layer().link("g", "d/x").symlink("d", "e").file("e/x", b"later"),
        {"g": b"lower x", "d": "-> e", "d/x": None, "d/y": None, "e": DIRECTORY, "e/x": b"later"},
    ),
    "hard links to one another over a file": over(
        Layer().link("a", "b").link("b", "f").file("f", b"later"),
        {"a": b"lower f", "b": b"lower f", "f": b"later"},
        umoci=False,
    ),
    "a hard link to a file with a whiteout in it": over(
        Layer().whiteout("f/x").link("g", "f").link("h", "f").file("f", b"later"),
        {"g": b"lower f", "h": b"lower f", "f": b"later"},
    ),
    "a hard link to a file, and then a whiteout in it": over(
        Layer().link("g", "f").whiteout("f/b/x").opaque("f"), {"g": b"lower f"}
    ),
}

CASES: dict[str, Case] = {**WHITEOUTS, **OPAQUE, **LINKS}
