"""Random layers over one another, of so few names that everything meets everything.

What specification and umoci leave to the order of entries is kept out by `tidy`; the cases that it
drops are in tables of their own, with what is expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from tests.builders import CREATED
from tests.layers import Layer

Path = tuple[str, ...]


class Made(NamedTuple):
    """One entry of a layer."""

    kind: str  # file, directory, symlink, link, whiteout, opaque, or a typeflag
    path: Path
    target: str = ""
    data: bytes = b""
    form: str = ""  # what stands before the path
    fields: tuple[tuple[str, object], ...] = ()

    @property
    def is_marker(self) -> bool:
        return self.kind in ("whiteout", "opaque")

    @property
    def parents(self) -> list[Path]:
        """The paths of the directories that it is in, but for the root."""
        end = len(self.path) + (self.kind == "opaque")
        return [self.path[:length] for length in range(1, end)]


def layer_of(entries: Iterable[Made]) -> Layer:
    """The archive that has these entries."""
    layer = Layer()
    for made in entries:
        path = made.form + "/".join(made.path)
        fields = dict(made.fields)
        if made.kind == "file":
            layer.file(path, made.data, **fields)  # type: ignore[arg-type]
        elif made.kind == "directory":
            layer.directory(path or "./", **fields)  # type: ignore[arg-type]
        elif made.kind == "symlink":
            layer.symlink(path, made.target)
        elif made.kind == "link":
            layer.link(path, made.target)
        elif made.kind == "whiteout":
            layer.whiteout(path)
        elif made.kind == "opaque":
            layer.opaque(path)
        else:
            layer.entry(path, made.kind.encode(), device=(4, 7) if made.kind in "34" else (0, 0))
    return layer


_names = st.sampled_from("abcd")
_paths = st.one_of(
    st.tuples(_names),
    st.tuples(_names, _names),
    st.tuples(_names, _names, _names),
)
_forms = st.sampled_from(["", "", "./", "/"])


_fields = st.builds(
    lambda uid, gid, mtime, more: (("uid", uid), ("gid", gid), ("mtime", mtime), *more),
    st.sampled_from([0, 3, 70_000]),
    st.sampled_from([0, 5, 70_001]),
    st.sampled_from([0, 1, CREATED]),
    st.sampled_from(
        [
            (),
            (),
            (("pax", {"mtime": b"1500000000.000000123"}),),
            (("xattrs", {"user.x": b"\0\xff"}),),
            (("xattrs", {"user.y": b"=1\n", "trusted.x": b"long" * 300}),),
        ]
    ),
)


def _with_mode(modes: Sequence[int]) -> st.SearchStrategy[tuple[tuple[str, object], ...]]:
    return st.builds(lambda mode, more: (("mode", mode), *more), st.sampled_from(modes), _fields)


_file_fields = _with_mode([0o644, 0o4711, 0o2755, 0o600])
# What is made in a directory with the bit setgid belongs to its group: mkdir(2) decides, not umoci.
_directory_fields = _with_mode([0o755, 0o1777, 0o700])


def _targets(*, dots: bool) -> st.SearchStrategy[str]:
    inside = _paths.map("/".join)
    ways = [inside, inside.map("/{}".format), st.sampled_from(["/", ".", "./a", "none"])]
    if dots:
        ways.append(inside.map("../{}".format))
    return st.one_of(ways)


_no_target = st.just("")
_no_data = st.just(b"")
_no_fields: st.SearchStrategy[tuple[tuple[str, object], ...]] = st.just(())


def _made(
    kind: str,
    path: st.SearchStrategy[Path] = _paths,
    target: st.SearchStrategy[str] = _no_target,
    data: st.SearchStrategy[bytes] = _no_data,
    fields: st.SearchStrategy[tuple[tuple[str, object], ...]] = _no_fields,
) -> st.SearchStrategy[Made]:
    form = st.just("./") if kind == "opaque" else _forms
    parts = st.tuples(st.just(kind), path, target, data, form, fields)
    return parts.map(Made._make)


def _entries(*, dots: bool) -> st.SearchStrategy[Made]:
    content = st.sampled_from([b"", b"1", b"22", b"x" * 600])
    file = _made("file", data=content, fields=_file_fields)
    directory = _made("directory", fields=_directory_fields)
    return st.one_of(
        file,
        file,
        file,
        directory,
        directory,
        _made("directory", st.just(()), fields=_directory_fields),
        _made("symlink", target=_targets(dots=dots)),
        _made("link", target=_paths.map("/".join)),
        _made("link", target=st.sampled_from(["a/c", "/a/b/a", "a/b/d"])),
        _made("file", st.sampled_from([("a", "c"), ("a", "b", "d"), ("a", "b")]), data=content),
        _made("whiteout"),
        _made("opaque", st.one_of(_paths, st.just(()))),
        st.sampled_from("346").flatmap(_made),
    )


_FIRST = _entries(dots=True)
_ABOVE = _entries(dots=False)

_BASE = [
    Made("directory", (), fields=(("mode", 0o711),)),
    Made("directory", ("a",), fields=(("mode", 0o700), ("xattrs", {"user.a": b"1"}))),
    Made("directory", ("a", "b")),
    Made("file", ("a", "b", "a"), data=b"aba"),
    Made("file", ("a", "b", "d"), data=b"abd"),
    Made("file", ("a", "c"), data=b"ac"),
    Made("link", ("a", "d"), "a/c"),
    Made("symlink", ("b",), "a"),
    Made("symlink", ("c",), "/a/b"),
    Made("symlink", ("d",), "b/b"),
]
"""A layer that what is above it meets."""


@st.composite
def stacks(draw: st.DrawFn) -> list[list[Made]]:
    """The entries of one to four layers, the lowest first."""
    stack = [_BASE] if draw(st.booleans()) else [draw(st.lists(_FIRST, min_size=1, max_size=8))]
    above = draw(st.lists(st.lists(_ABOVE, min_size=1, max_size=6), max_size=3))
    return stack + above


def tidy(stack: Sequence[Sequence[Made]]) -> list[list[Made]]:
    """Without what is refused, and without what depends on the order of entries in a layer."""
    files: set[Path] = set()
    links: set[Path] = set()
    return [_tidy_layer(layer, files, links) for layer in stack]


def _tidy_layer(layer: Sequence[Made], files: set[Path], links: set[Path]) -> list[Made]:
    kept: list[Made] = []
    late: list[Made] = []
    own = {made.path for made in layer if made.kind == "symlink"}
    for made in layer:
        below_link = any(parent in links for parent in made.parents)
        below_any = below_link or any(parent in own for parent in made.parents)
        if any(parent in files for parent in made.parents):
            continue  # refused
        # Where a marker acts, or a symbolic link is, must be plain from its path.
        if below_any and (made.is_marker or made.kind == "symlink"):
            continue
        if made.kind == "link":
            target = tuple(made.target.strip("/").split("/"))
            crossing = _crosses(made, links | own)
            if below_any or (crossing and _names_symlink(made, links | own)):
                continue
            if not crossing and target not in files:
                continue  # refused
        (late if below_link else kept).append(made)
        if made.kind == "directory":
            files.discard(made.path)
        elif not made.is_marker and made.kind != "symlink":
            files.add(made.path)
    # What goes through links of lower layers comes last, and nothing else has its names.
    kept += [made for made in late if not any(_meet(made, other) for other in layer)]
    result = [
        made
        for number, made in enumerate(kept)
        if not (made.kind == "link" and _crosses(made, links | own))
        or not _replaces(kept[number + 1 :], kept[:number])
    ]
    links |= own
    return result


def _names_symlink(link: Made, links: set[Path]) -> bool:
    return link.target.rpartition("/")[2] in {path[-1] for path in links}


def _meet(made: Made, other: Made) -> bool:
    if made is other or not made.path or not other.path:
        return False
    if made.kind == "directory":
        return other.path[-1] == made.path[-1] and other.path != made.path
    return made.path[-1] in other.path


def _crosses(link: Made, links: set[Path]) -> bool:
    target = tuple(link.target.strip("/").split("/"))
    return any(target[: len(each)] == each for each in links)


def _replaces(later: Iterable[Made], earlier: Sequence[Made]) -> bool:
    """Whether something that *earlier* entries have made, which a hard link through symbolic links
    of lower layers may be to, is gone in the end."""
    return any(
        made.path == old.path[: len(made.path)]
        for made in later
        for old in earlier
        if not made.is_marker and not old.is_marker
    )


def markers_first(layer: Iterable[Made]) -> list[Made]:
    """The entries of a layer in the order in which they mean what they mean in any order: markers
    act before the other entries of their layer (layer.md, "Whiteouts")."""
    return sorted(layer, key=lambda made: not made.is_marker)
