"""A pass over gzip blobs of every kind: what comes out, what is refused, where points lie."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from isal import isal_zlib

from rossfs.errors import InvalidLayer
from rossfs.image.deflate import Library, libraries
from rossfs.image.gzippass import PIECE, GzipPass
from rossfs.image.seekpoints import SeekPointBuilder
from tests.image.conftest import Tool
from tests.image.gzips import (
    HEADER,
    KINDS,
    Bits,
    content,
    framed,
    member,
    opened,
    passed,
    written,
    zeros_in_one_block,
)

TEXT = content("text", 3000)


@pytest.fixture(params=libraries(), ids=repr)
def library(request: pytest.FixtureRequest) -> Library:
    found: Library = request.param
    return found


def places(points: SeekPointBuilder) -> list[tuple[int, int]]:
    """(bit, offset) of each point, and the end of the blob and of the data."""
    table = opened(written(points))
    made = [table.point(number)[:2] for number in range(len(table))]
    table.close()
    return [*made, (points.size * 8, points.length)]


def gaps(numbers: list[int]) -> list[int]:
    return [after - before for before, after in itertools.pairwise(numbers)]


# --- what comes out ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", range(10))
def test_what_was_put_in_comes_out(kind: str, level: int, library: Library) -> None:
    data = content(kind, 700_000)
    assert passed(member(data, level), library=library)[0] == data


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_blob_may_come_in_any_pieces(chunk: int, library: Library) -> None:
    data = content("runs", 60_000)
    blob = member(data) + member(b"") + member(data[::-1])
    whole, points = passed(blob, 500, library=library)
    in_pieces, same = passed(blob, 500, library=library, chunk=chunk)
    assert whole == in_pieces == data + data[::-1]
    assert places(points) == places(same)


def test_pieces_are_neither_empty_nor_large() -> None:
    over = GzipPass()
    sizes = [len(piece) for piece in over.feed(zeros_in_one_block(5_000_000))]
    over.finish()
    assert min(sizes) > 0
    assert max(sizes) == PIECE


def test_views_of_memory_may_be_fed() -> None:
    over = GzipPass()
    assert b"".join(over.feed(memoryview(bytearray(member(TEXT))))) == TEXT
    over.finish()


def test_both_libraries_find_the_same_points() -> None:
    blob = member(content("runs", 400_000)) + member(content("text", 400_000), 1)
    found = [written(passed(blob, 5000, library=library)[1]) for library in libraries()]
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [["-1"], ["-9"], ["--rsyncable"]])
def test_gzip_writes_what_is_read(tmp_path: Path, tool: Tool, options: list[str]) -> None:
    data = content("runs", 2_000_000)
    (tmp_path / "file").write_bytes(data)
    tool("gzip", *options, tmp_path / "file")
    assert passed((tmp_path / "file.gz").read_bytes())[0] == data


@pytest.mark.parametrize("options", [["-p2", "-b128"], ["-p2", "-i", "-b128"], ["-11", "-I1"]])
def test_pigz_writes_what_is_read(tmp_path: Path, tool: Tool, options: list[str]) -> None:
    data = content("text", 300_000)
    (tmp_path / "file").write_bytes(data)
    tool("pigz", *options, tmp_path / "file")
    assert passed((tmp_path / "file.gz").read_bytes(), 50_000)[0] == data


def test_a_header_may_have_everything(library: Library) -> None:
    deflated = member(TEXT)[10:-8]
    fields = b"\x1f\x8b\x08\x1f" + HEADER[4:]  # text, CRC of the header, extra, name, comment
    fields += (300).to_bytes(2, "little") + bytes(300)
    fields += b"n" * 70_000 + b"\0" + b"c" * 70_000 + b"\0"
    fields += (zlib.crc32(fields) & 0xFFFF).to_bytes(2, "little")
    blob = fields + framed(deflated, len(TEXT), zlib.crc32(TEXT))[10:]
    assert passed(blob * 3, library=library, chunk=1000)[0] == TEXT * 3


# --- the end, and what follows it ---


@pytest.mark.parametrize(
    ("tail", "notes"),
    [
        (b"", 0),
        (bytes(1), 0),
        (bytes(1000), 0),
        (b"\x1fgarbage", 1),
        (b"garbage", 1),
        (bytes(512) + b"garbage", 1),
        (bytes(512) + member(b"not read"), 1),
        (b"garbage" + member(b"not read"), 1),
        (member(b""), 0),
        (member(b"") + bytes(3), 0),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_what_follows_the_last_member_is_ignored_as_gzip_does(
    tail: bytes, notes: int, chunk: int
) -> None:
    blob = member(TEXT) + tail
    over = GzipPass()
    made = b"".join(
        piece
        for position in range(0, len(blob), chunk)
        for piece in over.feed(blob[position : position + chunk])
    )
    over.finish()
    assert (made, len(over.notes), over.points().size) == (TEXT, notes, len(blob))
    done = subprocess.run(["gzip", "-dc"], input=blob, capture_output=True, check=False)
    # Status 2 is a warning: "decompression OK, trailing garbage ignored".
    assert (done.stdout, done.returncode) == (TEXT, 2 if notes else 0)


@pytest.mark.parametrize(
    "tail",
    [
        b"\x1f",
        b"\x1f\x8b",
        b"\x1f\x8b\x08",
        member(TEXT)[:-1],
        member(TEXT)[:-8],
        member(TEXT)[:50],
        b"\x1f\x8b\x07" + member(TEXT)[3:],
        b"\x1f\x8b\x08\xe0" + member(TEXT)[4:],
    ],
)
def test_a_later_member_that_is_cut_or_damaged_is_refused_as_gzip_does(tail: bytes) -> None:
    blob = member(TEXT) + tail
    with pytest.raises(InvalidLayer):
        passed(blob)
    done = subprocess.run(["gzip", "-dc"], input=blob, capture_output=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("blob", [b"", b"\x1f", b"tar", b"\x1f\x8a" + bytes(20), bytes(100)])
def test_what_is_no_gzip_is_refused(blob: bytes) -> None:
    with pytest.raises(InvalidLayer, match="no gzip data"):
        passed(blob)


def test_a_blob_that_is_cut_anywhere_is_refused(library: Library) -> None:
    blob = member(content("text", 800)) + member(content("random", 50), 0)
    end = len(blob) - len(member(content("random", 50), 0))
    for length in set(range(len(blob))) - {end}:
        with pytest.raises(InvalidLayer):
            passed(blob[:length], library=library)


def test_a_blob_with_any_bit_turned_is_refused_or_means_the_same(library: Library) -> None:
    data = content("text", 400)
    blob = bytearray(member(data))
    same = 0
    for bit in range(len(blob) * 8):
        blob[bit >> 3] ^= 1 << (bit & 7)
        try:
            assert passed(bytes(blob), library=library)[0] == data
            same += 1
        except InvalidLayer:
            pass
        blob[bit >> 3] ^= 1 << (bit & 7)
    # The time, the level, the system and whether it is text are for whoever wants them.
    assert same >= 32 + 8 + 8 + 1


@pytest.mark.parametrize(
    ("position", "message"),
    [(-8, "incorrect data check"), (-4, "incorrect length check"), (2, "unknown compression")],
)
def test_the_message_says_what_and_where(position: int, message: str) -> None:
    blob = bytearray(member(TEXT))
    blob[position] ^= 0x40
    with pytest.raises(InvalidLayer, match=f"damaged gzip data at byte [0-9]+: {message}"):
        passed(bytes(blob))


def test_a_cut_blob_says_where_it_ends() -> None:
    with pytest.raises(InvalidLayer, match="it ends after 200 bytes"):
        passed(member(TEXT)[:200])


# --- the points ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_points_are_about_an_interval_apart(kind: str, level: int) -> None:
    interval = 100_000
    data = content(kind, 2_000_000)
    _, points = passed(member(data, level), interval)
    found = places(points)
    assert found[0] == (80, 0)
    # 64 KiB is what a stored block can have, within which there are no codes.
    assert max(gaps([offset for _, offset in found])) <= interval * 3 // 2 + 65_536
    assert len(found) <= len(data) // interval + 2


def test_points_lie_within_a_block_that_has_no_end() -> None:
    _, points = passed(zeros_in_one_block(10_000_000), 100_000)
    assert max(gaps([offset for _, offset in places(points)])) <= 150_000 + 258


def test_isal_writes_one_block_at_level_0_and_points_lie_in_it(library: Library) -> None:
    data = content("text", 2_000_000)
    packer = isal_zlib.compressobj(0, wbits=31)
    blob = packer.compress(data) + packer.flush()
    made, points = passed(blob, 100_000, library=library)
    assert made == data
    table = opened(written(points))
    within = [number for number in range(len(table)) if table.point(number).header_bits]
    table.close()
    assert len(within) == len(points) - 1 > 10


def test_empty_blocks_have_points_too(library: Library) -> None:
    empty = Bits()
    for _ in range(4 * 3000):
        empty.put_all("0 10 0000000")
    body = Bits()
    body.put_all("1 10 0000000")
    blob = framed(empty.to_bytes() + body.to_bytes(), 0, 0)
    made, points = passed(blob, 500, library=library)
    assert made == b""
    assert max(gaps([bit for bit, _ in places(points)])) <= 500 * 16 + 80


def test_empty_members_have_points_too() -> None:
    blob = member(b"") * 2000 + member(TEXT)
    made, points = passed(blob, 500)
    assert made == TEXT
    assert max(gaps([bit for bit, _ in places(points)])) <= 500 * 16 + 200


def test_the_length_and_the_size_are_those_of_the_data_and_the_blob() -> None:
    blob = member(TEXT) + member(TEXT) + bytes(99)
    _, points = passed(blob)
    assert (points.length, points.size) == (2 * len(TEXT), len(blob))


# --- bombs ---

MEASURED = """
import sys
from rossfs.image.gzippass import GzipPass

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

over = GzipPass()
with open(sys.argv[1], "rb") as blob:
    head = blob.read(1000)
    made = sum(map(len, over.feed(head)))
    before = peak()
    while data := blob.read(1 << 20):
        for piece in over.feed(data):
            made += len(piece)
over.finish()
print(made, peak() - before, len(over.points()))
"""


@pytest.mark.parametrize("blocks", ["one block", "many blocks"])
def test_a_bomb_takes_no_memory(tmp_path: Path, blocks: str) -> None:
    size = 1 << 30 if blocks == "one block" else 1 << 26
    path = tmp_path / "bomb.gz"
    if blocks == "one block":
        path.write_bytes(zeros_in_one_block(size))
    else:
        with gzip.open(path, "wb", compresslevel=9) as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True
    )
    made, kibibytes, points = map(int, done.stdout.split())
    assert made == size
    assert kibibytes < 8 << 10
    assert size >> 20 <= points <= size >> 19
