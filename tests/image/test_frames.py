"""Tables of frames: what is written is read at any offset, and what was altered never is."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.errors import InvalidTable
from rossfs.image.framecopy import FRAME, write_copy
from rossfs.image.frameddata import FramedData
from rossfs.image.frametable import FrameTable, FrameTableWriter, Kind
from rossfs.image.spans import SpanCache
from rossfs.image.zstdpass import ZstdPass
from rossfs.oci.digest import Digest
from tests.image.packing import text, unpacked, zstd, zstd_chunked

DIGEST = Digest.of(b"a layer")
TEXT = text(3 * FRAME + 1234)


def memory(data: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, data)
    return fd


def copy_of(tar: bytes, piece: int = 1 << 20, digest: Digest = DIGEST) -> bytes:
    file = io.BytesIO()
    write_copy((tar[i : i + piece] for i in range(0, len(tar), piece)), file, digest)
    return file.getvalue()


def opened(table: bytes, blob: bytes = b"") -> FramedData:
    def read(offset: int, length: int) -> bytes:
        return blob[offset : offset + length]

    return FramedData(FrameTable(memory(table), DIGEST), read, SpanCache())


def no_blob(offset: int, length: int) -> bytes:
    raise AssertionError("a copy needs no blob")


def notes_of(blob: bytes) -> bytes:
    decoder = ZstdPass()
    unpacked(decoder, blob)
    assert decoder.notes.entered
    file = io.BytesIO()
    decoder.notes.write(file, DIGEST)
    return file.getvalue()


def ranges(length: int, seed: int = 1) -> Iterator[tuple[int, int]]:
    """Offsets and lengths of reads: at borders, across them, past the end, anywhere."""
    rng = random.Random(seed)
    for border in (0, FRAME, 2 * FRAME, length):
        for offset in (border - 1, border, border + 1):
            if offset >= 0:
                yield from ((offset, size) for size in (0, 1, 2, FRAME, FRAME + 1))
    for _ in range(50):
        yield rng.randrange(length + 10), rng.choice((1, 4096, 131_072, 1 << 20))


# --- reading ---


@pytest.mark.parametrize("piece", [1000, FRAME, 1 << 20])
def test_a_copy_is_read_at_any_offset(piece: int) -> None:
    data = opened(copy_of(TEXT, piece))
    assert data.length == len(TEXT)
    for offset, length in ranges(len(TEXT)):
        assert data.read(offset, length) == TEXT[offset : offset + length]


def test_small_frames_are_read_in_the_blob() -> None:
    blob = zstd_chunked(text(size, size) for size in (10, 100_000, 70_000, 3, 300_000, 65_536))
    tar = unpacked(ZstdPass(), blob)
    data = opened(notes_of(blob), blob)
    assert data.length == len(tar)
    for offset, length in ranges(len(tar)):
        assert data.read(offset, length) == tar[offset : offset + length]


@pytest.mark.parametrize("tar", [b"", b"x", TEXT[:FRAME], TEXT[: FRAME + 1]])
def test_tars_of_any_length_have_a_copy(tar: bytes) -> None:
    table = FrameTable(memory(copy_of(tar)), DIGEST)
    assert (len(table), table.length, table.kind) == (-(-len(tar) // FRAME), len(tar), Kind.COPY)
    data = opened(copy_of(tar))
    assert data.read(0, 1 << 20) == tar
    assert data.read(len(tar), 5) == b""


def test_an_empty_layer_has_notes() -> None:
    assert opened(notes_of(zstd(b"")), zstd(b"")).read(0, 100) == b""


def test_a_copy_holds_ordinary_frames() -> None:
    """zstd(1) reads each, by itself."""
    table = FrameTable(memory(copy_of(TEXT)), DIGEST)
    for number in range(len(table)):
        part = unpacked(ZstdPass(), table.read(number))
        assert part == TEXT[FRAME * number : FRAME * (number + 1)]


def test_what_is_decoded_is_ready() -> None:
    data = opened(copy_of(TEXT))
    assert data.read_ready(10, 10) is None
    data.read(0, 1)
    assert data.read_ready(10, 10) == TEXT[10:20]
    assert data.read_ready(FRAME - 5, 10) is None
    assert data.read_ready(len(TEXT) - 5, 10) is None
    data.read(len(TEXT) - 1, 1)
    assert data.read_ready(len(TEXT) - 5, 10) == TEXT[-5:]
    assert data.read_ready(len(TEXT), 10) == b""
    data.close()
    assert data.read_ready(10, 10) is None


def test_a_span_is_decoded_once() -> None:
    asked = []
    blob = zstd(TEXT[:100_000]) + zstd(TEXT[100_000:200_000])

    def read(offset: int, length: int) -> bytes:
        asked.append(offset)
        return blob[offset : offset + length]

    data = FramedData(FrameTable(memory(notes_of(blob)), DIGEST), read, SpanCache())
    for offset in range(0, 200_000, 4096):
        data.read(offset, 4096)
    assert asked == [0, len(zstd(TEXT[:100_000]))]


def test_decoded_spans_have_one_limit() -> None:
    spans = SpanCache(2 * FRAME)
    tables = [FrameTable(memory(copy_of(TEXT)), DIGEST) for _ in range(3)]
    layers = [FramedData(table, no_blob, spans) for table in tables]
    for layer in layers:
        assert layer.read(0, len(TEXT)) == TEXT
    assert spans.held <= 2 * FRAME


# --- what is wrong ---


def test_a_table_of_another_layer_is_refused() -> None:
    for digest in (Digest.of(b"another"), Digest.of(b"a layer", "sha512")):
        with pytest.raises(InvalidTable, match="another layer"):
            FrameTable(memory(copy_of(b"x", digest=digest)), DIGEST)


def test_a_table_of_sha512_is_read() -> None:
    digest = Digest.of(b"a layer", "sha512")
    assert FrameTable(memory(copy_of(b"x", digest=digest)), digest).length == 1


@pytest.mark.parametrize("step", [1, 997])
def test_a_cut_table_is_refused(step: int) -> None:
    table = copy_of(TEXT[:1000]) if step == 1 else copy_of(TEXT)
    for end in range(0, len(table), step):
        with pytest.raises(InvalidTable):
            FrameTable(memory(table[:end]), DIGEST)


def test_a_flipped_byte_in_a_table_of_the_blob_is_refused() -> None:
    blob = zstd_chunked(text(size, size) for size in (70_000, 70_000))
    table = notes_of(blob)
    for place in range(len(table)):
        bad = bytearray(table)
        bad[place] ^= 0x10
        with pytest.raises(InvalidTable):
            FrameTable(memory(bytes(bad)), DIGEST)


def alter(table: bytes, tar: bytes, rng: random.Random) -> int:
    """Damage a copy somewhere; every read is right or InvalidTable.  How many were refused."""
    bad = bytearray(table)
    for _ in range(rng.choice((1, 1, 1, 5, 100))):
        kind = rng.randrange(4)
        place = rng.randrange(len(bad))
        if kind == 0:
            bad[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            bad[place : place + 100] = rng.randbytes(rng.randrange(200))
        elif kind == 2:
            bad[place:] = b""
        else:
            # What is somewhere else in the file.
            source, length = rng.randrange(len(bad)), rng.randrange(300)
            bad[place : place + length] = bad[source : source + length]
        if not bad:
            break
    refused = 0
    try:
        data = opened(bytes(bad))
    except InvalidTable:
        return 1
    for offset in (0, len(tar) // 2, len(tar) - 1):
        try:
            assert data.read(offset, 5000) == tar[offset : offset + 5000]
        except InvalidTable:
            refused += 1
    return refused


def test_an_altered_copy_never_gives_wrong_bytes() -> None:
    table, rng = copy_of(TEXT), random.Random(3)
    assert sum(alter(table, TEXT, rng) > 0 for _ in range(200)) > 100


@pytest.mark.long
@pytest.mark.timeout(700)
def test_an_altered_copy_never_gives_wrong_bytes_for_ten_minutes() -> None:
    end = time.monotonic() + 600
    seed = 0
    while time.monotonic() < end:
        rng = random.Random(seed)
        tar = text(rng.randrange(1, 3 * FRAME), seed)
        table = copy_of(tar, rng.choice((1000, FRAME, 1 << 20)))
        for _ in range(200):
            alter(table, tar, rng)
        seed += 1


def test_frames_that_change_places_are_noticed() -> None:
    """Each is whole, with a right checksum of its own."""
    tar = TEXT[:FRAME] + TEXT[:FRAME][::-1]
    table = FrameTable(memory(copy_of(tar)), DIGEST)
    (first, size), (second, other) = table.extent(0), table.extent(1)
    whole = bytearray(copy_of(tar))
    frames = whole[first : first + size], whole[second : second + other]
    whole[first : first + size + other] = frames[1] + frames[0]
    data = opened(bytes(whole))
    for offset in (0, FRAME):
        with pytest.raises(InvalidTable, match="damaged at span"):
            data.read(offset, 1)


def test_a_copy_that_is_cut_while_it_is_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "copy"
    path.write_bytes(copy_of(TEXT))
    table = FrameTable(os.open(path, os.O_RDONLY), DIGEST)
    data = FramedData(table, no_blob, SpanCache())
    assert data.read(0, 10) == TEXT[:10]
    os.truncate(path, 200)
    with pytest.raises(InvalidTable, match="cut off"):
        data.read(FRAME, 10)


@pytest.mark.parametrize("damage", ["other", "short", "long", "none"])
def test_a_table_that_does_not_fit_the_blob_is_refused(damage: str) -> None:
    blob = zstd(TEXT[:70_000])
    bad = {
        "other": b"\x28\xb5\x2f\xfd" + bytes(len(blob) - 4),
        "short": zstd(TEXT[:69_999]).ljust(len(blob), b"\0"),
        "long": zstd(bytes(90_000)),
        "none": b"",
    }[damage]
    data = opened(notes_of(blob), bad)
    with pytest.raises(InvalidTable):
        data.read(0, 10)


def test_a_table_with_an_endless_index_is_refused() -> None:
    """However right its check is, it is not read into memory."""
    file = io.BytesIO()
    writer = FrameTableWriter(file, DIGEST, Kind.BLOB)
    for number in range(5):
        writer.add(number, number)
    writer.finish()
    table = bytearray(file.getvalue())
    table[16:24] = (1 << 60).to_bytes(8, "little")
    with pytest.raises(InvalidTable):
        FrameTable(memory(bytes(table)), DIGEST)


@settings(max_examples=40)
@given(data=st.data())
def test_any_tar_is_read_back(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 2 * FRAME), max_size=5))
    pieces = [text(size, number) for number, size in enumerate(sizes)]
    tar = b"".join(pieces)
    file = io.BytesIO()
    write_copy(pieces, file, DIGEST)
    framed = opened(file.getvalue())
    offset = data.draw(st.integers(0, len(tar)))
    length = data.draw(st.integers(0, 3 * FRAME))
    assert framed.read(offset, length) == tar[offset : offset + length]


def test_what_the_layer_raises_passes() -> None:
    def pieces() -> Iterator[bytes]:
        yield TEXT[: 2 * FRAME]
        raise KeyError("half")

    with pytest.raises(KeyError):
        write_copy(pieces(), io.BytesIO(), DIGEST)
