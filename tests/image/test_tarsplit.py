"""Tar-split data: with the files that a layer shows in overlay form they are its tar again."""

from __future__ import annotations

import json
import posixpath
import random
from base64 import b64decode
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.errors import InvalidLayer
from rossfs.image import tarsplit
from rossfs.image.crc64 import crc64
from rossfs.image.merged import Merged, Place
from rossfs.image.overlayform import OverlayForm
from rossfs.image.rootfs import Rootfs
from rossfs.image.tarsplit import TarSplitWriter
from tests.image.merging import Tabled, rootfs_of
from tests.image.stacks import Made, layer_of, stacks
from tests.layers import Layer
from tests.mount import hostilelayers, hostilepaths

CASES = {**hostilelayers.CASES, **hostilepaths.CASES}


def split(rootfs: Rootfs, position: int, *, size: int = 1 << 20) -> bytes:
    """The lines for a layer whose tar comes in pieces of *size* bytes."""
    layer = rootfs.layers[position]
    assert isinstance(layer, Tabled)
    lines = bytearray()
    writer = TarSplitWriter(rootfs.stack.trees[position], lines.extend)
    for at in range(0, len(layer.tar), size):
        writer.feed(layer.tar[at : at + size])
    writer.finish()
    return bytes(lines)


def parts(lines: bytes) -> Iterator[dict[str, object]]:
    """The parts, as tar-split reads them: it refuses a path that comes twice."""
    seen = set()
    for position, line in enumerate(lines.splitlines()):
        part = json.loads(line)
        assert part["position"] == position
        if part["type"] == 1:
            name = name_of(part)
            cleaned = posixpath.normpath(name)
            assert cleaned not in seen, name
            seen.add(cleaned)
        yield part


def name_of(part: dict[str, object]) -> bytes:
    if "name_raw" in part:
        return b64decode(str(part["name_raw"]))
    return str(part["name"]).encode()


def assembled(rootfs: Rootfs, position: int, lines: bytes) -> bytes:
    """What podman makes of the lines and the layer in overlay form."""
    form = OverlayForm(rootfs, position)
    made = bytearray()
    for part in parts(lines):
        if part["type"] == 2:
            made += b64decode(str(part["payload"]))
        elif part.get("size"):
            content = opened(rootfs, form, name_of(part))
            assert len(content) == part["size"], part
            assert crc64(content).to_bytes(8, "big") == b64decode(str(part["payload"])), part
            made += content
    return bytes(made)


def opened(rootfs: Rootfs, form: OverlayForm, name: bytes) -> bytes:
    """The content of the file *name*, which no symbolic link leads to."""
    found: object = form.root
    for component in posixpath.normpath(b"/" + name).lstrip(b"/").split(b"/"):
        assert isinstance(found, Merged), name
        found = form.lookup(found, component)
    assert isinstance(found, Place), name
    assert found.position == form.position, name
    layer = rootfs.layer_of(found)
    assert isinstance(layer, Tabled)
    return layer.content(found.index)


def check(layers: Sequence[Layer], *, size: int = 1 << 20) -> list[bytes]:
    """Lines for each of *layers*, from which its tar can be made again."""
    rootfs = rootfs_of(*layers)
    found = [split(rootfs, position, size=size) for position in range(len(layers))]
    for position, lines in enumerate(found):
        layer = rootfs.layers[position]
        assert isinstance(layer, Tabled)
        assert assembled(rootfs, position, lines) == layer.tar
    return found


def files(lines: bytes) -> dict[bytes, int]:
    """The paths whose content is not in the lines, with their sizes."""
    return {name_of(part): int(str(part["size"])) for part in parts(lines) if "size" in part}


def names(lines: bytes) -> list[bytes]:
    return [name_of(part) for part in parts(lines) if part["type"] == 1]


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_made_again(name: str) -> None:
    check(CASES[name].layers)


@settings(max_examples=150, deadline=None)
@given(stacks(), st.sampled_from([1 << 20, 512, 700, 100]))
def test_random_layers_are_made_again(stack: list[list[Made]], size: int) -> None:
    check([layer_of(layer) for layer in stack], size=size)


def test_content_is_left_out() -> None:
    layer = Layer().directory("./").directory("d").file("d/f", b"x" * 3000).file("e", b"")
    layer.symlink("s", "d").link("h", "d/f")
    (lines,) = check([layer])
    assert files(lines) == {b"d/f": 3000}
    assert names(lines) == [b"./", b"d", b"d/f", b"e", b"s", b"h"]
    assert len(lines) < 9 * 1400


def test_lines_do_not_depend_on_how_the_tar_is_cut() -> None:
    layer = Layer().directory("d").file("d/f", random.Random(2).randbytes(70_000)).file("g", b"g")
    rootfs = rootfs_of(layer.file("n" * 300, b"long name"))
    whole = split(rootfs, 0)
    for size in (1, 511, 512, 513, 5000, 65_537):
        if size > 1:
            assert split(rootfs, 0, size=size) == whole


def test_names_are_written_as_go_writes_them() -> None:
    odd = b'a<b>&"\\\n\t\r\x01\x08\x0c\x7f\xe2\x80\xa8\xc3\xa9'
    (lines,) = check([Layer().file(odd, b"1").file(b"\xff", b"2").directory("./d//e/")])
    written = lines.splitlines()
    escaped = b'a\\u003cb\\u003e\\u0026\\"\\\\\\n\\t\\r\\u0001\\u0008\\u000c\x7f\\u2028\xc3\xa9'
    assert written[1].startswith(b'{"type":1,"name":"' + escaped + b'","size":1,"payload":"')
    assert written[3].startswith(b'{"type":1,"name_raw":"/w==","size":1,"payload":"')
    assert written[5] == b'{"type":1,"name":"./d//e/","payload":null,"position":5}'


@pytest.mark.parametrize(
    "layer",
    [
        Layer().file("a", b"old").file("a", b"new"),
        Layer().file("a", b"old").directory("a").file("a/b", b"b"),
        Layer().file("a", b"old").link("a", "b").file("b", b"b"),
        Layer().link("a", "b").file("b", b"b").file("a", b"new"),
        Layer().directory("d").directory("./d/").file("d/x", b"x").file("d/../d/x", b"y"),
    ],
)
def test_a_path_that_comes_twice(layer: Layer) -> None:
    (lines,) = check([layer])
    assert len(names(lines)) == len({posixpath.normpath(name) for name in names(lines)})


def test_what_no_path_leads_to_is_in_the_lines() -> None:
    lower = Layer().directory("usr/lib").symlink("lib", "/usr/lib").file("f", b"f")
    upper = (
        Layer()
        .file("lib/moved", b"1" * 600)
        .symlink("s", "d")
        .file("s/linked", b"2" * 600)
        .file(".wh.f", b"3" * 600)
        .file("../../out", b"4" * 600)
        .file("f2", b"")
        .file("f2/below", b"5" * 600)
        .file("kept", b"6" * 600)
    )
    lines = check([lower, upper])[1]
    assert files(lines) == {b"kept": 600}


def test_sparse_files_are_in_the_lines() -> None:
    pieces = [(0, b"begin"), (100_000, b"end")]
    layer = Layer().gnu_sparse("old", pieces, 200_000).file("plain", b"plain")
    for version in ("0.0", "0.1", "1.0"):
        layer.pax_sparse(f"pax{version}", pieces, 200_000, version)
    (lines,) = check([layer])
    assert files(lines) == {b"plain": 5}


@pytest.mark.parametrize(
    "end",
    [b"", bytes(100), bytes(512), bytes(1024), bytes(9 * 1024), bytes(3 << 20)],
    ids=len,
)
def test_archives_end_in_many_ways(end: bytes) -> None:
    tar = bytes(Layer().file("a", b"a" * 700)) + end
    rootfs = rootfs_of(Raw(tar))
    lines = split(rootfs, 0)
    assert assembled(rootfs, 0, lines) == tar
    assert max(map(len, lines.splitlines())) < 1.5 * tarsplit.SEGMENT
    assert lines.splitlines()[-1].startswith(b'{"type":2,"payload":"","position":')


def test_an_archive_that_ends_with_its_last_byte() -> None:
    tar = bytes(Layer().file("a", b"a" * 700))[: 512 + 700]
    rootfs = rootfs_of(Raw(tar))
    lines = split(rootfs, 0)
    assert assembled(rootfs, 0, lines) == tar
    assert len(lines.splitlines()) == 3


class Raw(Layer):
    """An archive as it is."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.raw(data)

    def closed(self) -> bytes:
        return bytes(self)


def test_long_content_that_is_not_shown_comes_in_pieces() -> None:
    data = random.Random(3).randbytes(5 << 20)
    (lines,) = check([Layer().file("a", data).file("a", b"new").file("b", data)])
    assert files(lines) == {b"a": 3, b"b": len(data)}
    assert max(map(len, lines.splitlines())) < 1.5 * tarsplit.SEGMENT


def test_a_path_that_is_too_long_to_be_opened() -> None:
    deep = "/".join(["d" * 200] * 20)
    (lines,) = check([Layer().file(f"{deep}/f", b"f" * 600).file("d/f", b"f")])
    assert files(lines) == {b"d/f": 1}


def test_a_truncated_archive_is_refused() -> None:
    rootfs = rootfs_of(Layer().file("a", b"a" * 2000))
    layer = rootfs.layers[0]
    assert isinstance(layer, Tabled)
    writer = TarSplitWriter(rootfs.stack.trees[0], bytearray().extend)
    writer.feed(layer.tar[:1000])
    with pytest.raises(InvalidLayer, match="truncated"):
        writer.finish()
