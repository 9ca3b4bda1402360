"""Entries that are refused while the others go on, and archives that cannot be read at all."""

from __future__ import annotations

import pytest

from rossfs.errors import InvalidLayer
from rossfs.image.tarscan import TarScanner
from tests.image.scanning import scan
from tests.layers import BLOCK, GNU, Layer, block, record


def refused(layer: Layer) -> tuple[bytes, str]:
    """Why the only entry of *layer* is refused, with content and an entry behind it."""
    found = scan(layer.file("last", b"x" * 700).closed())
    assert found.paths == [b"last"]
    (refusal,) = found.refusals
    return refusal


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"../a", "leads out of the root"),
        (b"a/../../b", "leads out of the root"),
        (b"/../a", "leads out of the root"),
        (b"n" * 256, "has a name of 256 bytes"),
        (b"d/" * 40_000 + b"f", "has a path of 80001 bytes"),
        (b"a\0b" + b"n" * 100, "has a NUL in its name"),
    ],
)
def test_a_file_that_cannot_have_its_name_is_refused(name: bytes, reason: str) -> None:
    assert refused(Layer().file(name, b"x" * 1000)) == (name[:4096], reason)


@pytest.mark.parametrize("flag", [b"Z", b"8", b"D", b"\xff"])
def test_an_entry_of_an_unknown_type_is_refused_with_its_content(flag: bytes) -> None:
    path, reason = refused(Layer().entry("a", flag, b"x" * 1000))
    assert path == b"a"
    assert reason.startswith('is of the unknown type "')


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"../x", "is a link to a path that leads out of the root"),
        (b"n" * 256, "is a link to a path that has a name of 256 bytes"),
        (b"a\0" + b"b" * 100, "is a link to a name with a NUL"),
    ],
)
def test_a_hard_link_that_leads_out_is_refused(target: bytes, reason: str) -> None:
    assert refused(Layer().link("a", target)) == (b"a", reason)


@pytest.mark.parametrize("target", [b"", b"a\0" + b"b" * 100, b"d/" * 40_000])
def test_a_symbolic_link_that_cannot_be_is_refused(target: bytes) -> None:
    path, reason = refused(Layer().symlink("a", target))
    assert path == b"a"
    assert reason.startswith('is a symbolic link to "')


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Layer().file("a", uid=1 << 32), "over 32 bits"),
        (Layer().file("a", pax={"gid": b"4294967296"}), "over 32 bits"),
        (Layer().file("a", pax={"uid": b"root"}), "a number in its PAX header that is none"),
        (Layer().file("a", pax={"mtime": b"yesterday"}), "a time in its PAX header that is none"),
        (Layer().device("a", b"3", 4096, 0), "out of range"),
        (Layer().device("a", b"4", 0, 1 << 20), "out of range"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(layer: Layer, reason: str) -> None:
    path, said = refused(layer)
    assert path == b"a"
    assert reason in said


def test_what_was_said_of_a_refused_entry_is_not_said_of_the_next_one() -> None:
    layer = Layer().file("../a", xattrs={"user.a": b"1"}, pax={"uid": b"7"}).file("b", uid=1)
    (entry,) = scan(layer.closed()).entries
    assert (entry.path, entry.uid, entry.xattrs) == (b"b", 1, None)


# --- archives ---


def damaged(tar: bytes) -> str:
    with pytest.raises(InvalidLayer) as error:
        scan(tar)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("data", [b"\x1f\x8b" * 256, b"text " * 200, b"{}".ljust(BLOCK)])
def test_what_is_no_archive_is_called_so(data: bytes) -> None:
    assert damaged(data) == "the layer is damaged: no tar archive"


def test_a_wrong_checksum_is_told_with_its_place() -> None:
    tar = bytes(Layer().file("a", b"x" * 600)) + block(b"b", b"0", checksum=b"000001\0 ")
    assert damaged(tar) == "the layer is damaged: no tar header at byte 1536"


def test_content_in_the_place_of_a_header_is_told() -> None:
    tar = bytes(Layer().file("a", b"x" * 2000, size=100))
    assert damaged(tar) == "the layer is damaged: no tar header at byte 1024"


@pytest.mark.parametrize("size", [-1, 1 << 63, (1 << 87) + 5])
def test_an_impossible_size_is_told(size: int) -> None:
    assert damaged(bytes(Layer().file("a", size=size))) == (
        "the layer is damaged: no size in the tar header at byte 0"
    )


@pytest.mark.parametrize("size", [b"-1", b"9223372036854775808", b"1.5", b"x", b"9" * 30])
def test_an_impossible_size_in_a_record_is_told(size: bytes) -> None:
    tar = bytes(Layer().file("a", b"abc", pax={"size": size}))
    assert damaged(tar) == "the layer is damaged: no size in the tar header at byte 1024"


def test_a_pax_header_that_is_none_is_told_with_its_place() -> None:
    tar = bytes(Layer().raw(block(b"x", b"x", size=6)).padded(b"7 path").file("a"))
    assert damaged(tar) == (
        "the layer is damaged: the PAX header at byte 512 has a record that is cut"
    )


@pytest.mark.parametrize(
    ("flag", "limit"), [(b"x", 1 << 24), (b"g", 1 << 24), (b"L", 1 << 20), (b"K", 1 << 20)]
)
def test_headers_have_limits(flag: bytes, limit: int) -> None:
    assert damaged(block(b"x", flag, size=limit + 1)) == (
        f"the layer has a tar header of {limit + 1} bytes at byte 0"
    )
    assert "truncated" in damaged(block(b"x", flag, size=limit))


@pytest.mark.parametrize(
    "layer",
    [
        Layer().file("a", b"x" * 1000),
        Layer().file(b"n" * 200, b"x", long="gnu"),
        Layer().file(b"n" * 200, b"x", xattrs={"user.a": b"b" * 3000}),
        Layer().symlink("a", b"t" * 3000, long="gnu"),
        Layer().gnu_sparse("a", [(512 * i, b"x" * 100) for i in range(60)], 40_000),
        Layer().pax_sparse("a", [(512 * i, b"x" * 100) for i in range(99)], 60_000, "1.0"),
    ],
)
def test_an_end_inside_an_entry_is_told_wherever_it_is(layer: Layer) -> None:
    tar = bytes(layer)
    (entry,) = scan(tar).entries
    end = entry.offset + entry.stored
    for length in {*range(1, end, 97), *range(BLOCK, end, BLOCK), end - 1}:
        said = damaged(tar[:length])
        assert said == f"the layer is truncated: its tar ends after {length} bytes"
    assert scan(tar[:end]).paths == [entry.path]


def test_an_extension_header_before_the_end_is_of_no_consequence() -> None:
    assert scan(Layer().file("a").pax({"path": b"b"}).closed()).paths == [b"a"]


def test_an_empty_extension_header_says_nothing() -> None:
    layer = Layer()
    for flag in (b"x", b"g", b"L", b"K"):
        layer.raw(block(b"x", flag, magic=GNU))
    assert scan(layer.file("a").closed()).entry.path == b"a"


def test_many_global_headers_are_not_kept() -> None:
    scanner = TarScanner(lambda entry: None)
    body = b"".join(record(f"SCHILY.xattr.user.{i}", b"x" * 50) for i in range(1000))
    piece = bytes(Layer().raw(block(b"g", b"g", size=len(body))).padded(body))
    for _ in range(50):
        scanner.feed(piece)
    assert scanner.finish() == 50 * len(piece)
