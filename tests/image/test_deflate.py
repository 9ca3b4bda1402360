"""The two libraries through ctypes: where they stop, and what they say about the place."""

from __future__ import annotations

import ctypes
import os
import zlib

import pytest

from rossfs.errors import IndexingFailed
from rossfs.image.deflate import (
    GZIP,
    RAW,
    WINDOW,
    Z_BLOCK,
    Z_DATA_ERROR,
    Z_NO_FLUSH,
    Z_OK,
    Z_STREAM_END,
    Z_TREES,
    Inflater,
    Library,
    libraries,
)
from tests.image.gzips import content, member, zeros_in_one_block

ROOM = 300_000


@pytest.fixture(params=libraries(), ids=repr)
def library(request: pytest.FixtureRequest) -> Library:
    found: Library = request.param
    return found


def inflate(stream: Inflater, room: int = ROOM, flush: int = Z_NO_FLUSH) -> tuple[int, bytes]:
    output = ctypes.create_string_buffer(room)
    status, written = stream.run(ctypes.addressof(output), room, flush)
    return status, ctypes.string_at(output, written)


def test_zlib_ng_and_libz_are_both_found_and_zlib_ng_comes_first() -> None:
    names = [os.path.basename(library.path) for library in libraries()]
    assert len(names) == 2
    assert names[0].startswith("zlib_ng")
    assert names[1].startswith("libz.so")


def test_a_member_comes_out(library: Library) -> None:
    data = content("text", 300_000)
    stream = Inflater(library, GZIP)
    stream.feed(member(data))
    assert inflate(stream) == (Z_STREAM_END, data)


def test_input_may_come_byte_by_byte(library: Library) -> None:
    data = content("runs", 5000)
    stream = Inflater(library)
    made = b""
    for byte in member(data):
        stream.feed(bytes([byte]))
        made += inflate(stream)[1]
    assert made == data


def test_it_stops_before_the_first_block_and_between_blocks(library: Library) -> None:
    data = content("text", 30_000)
    blob = member(data, flushes=[(10_000, zlib.Z_FULL_FLUSH), (20_000, zlib.Z_FULL_FLUSH)])
    stream = Inflater(library)
    stream.feed(blob)
    made, borders = 0, []
    while True:
        status, piece = inflate(stream, flush=Z_BLOCK)
        made += len(piece)
        if status == Z_STREAM_END:
            break
        if stream.at_border:
            borders.append((made, (len(blob) - stream.left) * 8 - stream.unused_bits))
    assert made == len(data)
    assert borders[0] == (0, 80)
    # A flush writes an empty stored block, which ends at the end of a byte.
    after_flush = [bit for offset, bit in borders if offset == 10_000]
    assert after_flush[-1] % 8 == 0
    assert blob[after_flush[-1] // 8 - 4 : after_flush[-1] // 8] == b"\0\0\xff\xff"
    assert {0, 10_000, 20_000} <= {offset for offset, _ in borders}


def test_it_does_not_stop_behind_the_last_block_as_at_a_border(library: Library) -> None:
    stream = Inflater(library)
    stream.feed(member(b"short"))
    assert inflate(stream, flush=Z_BLOCK) == (Z_OK, b"")
    assert stream.at_border
    assert inflate(stream, flush=Z_BLOCK) == (Z_OK, b"short")
    assert not stream.at_border


def test_the_window_is_what_came_last(library: Library) -> None:
    data = content("text", 100_000)
    stream = Inflater(library)
    stream.feed(member(data))
    inflate(stream, 1000)
    assert stream.window() == data[:1000]
    inflate(stream, 60_000)
    assert stream.window() == data[61_000 - WINDOW : 61_000]


def test_a_member_begins_with_an_empty_window(library: Library) -> None:
    stream = Inflater(library)
    stream.feed(member(content("text", 50_000)) + member(b"two"))
    assert inflate(stream)[0] == Z_STREAM_END
    stream.restart()
    assert inflate(stream, flush=Z_BLOCK) == (Z_OK, b"")
    assert (stream.at_border, stream.window()) == (True, b"")
    assert inflate(stream) == (Z_STREAM_END, b"two")
    assert stream.left == 0


def test_the_mark_says_how_much_of_a_code_was_written(library: Library) -> None:
    stream = Inflater(library)
    stream.feed(zeros_in_one_block(1 + 258 * 100))
    inflate(stream, 1 + 258 * 10 + 58)
    mark = stream.mark()
    assert (mark.back, mark.written) == (2, 58)
    inflate(stream, 200)
    assert stream.mark() == (2, 0)


def test_outside_of_codes_there_is_no_mark(library: Library) -> None:
    stream = Inflater(library)
    stream.feed(member(content("random", 5000), 0))
    inflate(stream, flush=Z_BLOCK)
    assert stream.mark().back < 0
    inflate(stream, 100)
    assert stream.mark().back < 0


def test_the_end_of_a_header_is_found(library: Library) -> None:
    blob = zeros_in_one_block(10_000)
    stream = Inflater(library, RAW)
    stream.feed(blob[10:])
    assert inflate(stream, flush=Z_TREES) == (Z_OK, b"")
    assert stream.after_header
    bits = (len(blob) - 10 - stream.left) * 8 - stream.unused_bits
    # 17 bits, 18 times 3, and what gzips.py writes behind them.
    assert bits == 17 + 54 + 2 + 8 + 8 + 2 + 8 + 2 + 2


def test_damaged_data_is_told(library: Library) -> None:
    blob = bytearray(member(b"x" * 100))
    blob[-8] ^= 1
    stream = Inflater(library)
    stream.feed(bytes(blob))
    assert inflate(stream)[0] == Z_DATA_ERROR
    assert stream.message == "incorrect data check"


def test_a_library_that_lacks_the_functions_is_refused() -> None:
    with pytest.raises(AttributeError):
        Library("libc.so.6", ng=False)
    with pytest.raises(OSError, match="no-such-library"):
        Library("no-such-library.so.9", ng=False)


def test_a_library_whose_stream_has_another_size_is_refused() -> None:
    library = Library(libraries()[-1].path, ng=False)
    library.stream_type = libraries()[0].stream_type
    with pytest.raises(IndexingFailed):
        Inflater(library)


def test_no_stream_is_left_behind(library: Library) -> None:
    # A stream has 40 KiB or more: ten thousand would be noticed.
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    blob = member(content("text", 40_000))

    def one() -> None:
        stream = Inflater(library)
        stream.feed(blob)
        inflate(stream, 40_000)

    for _ in range(100):
        one()
    before = resident()
    for _ in range(2000):
        one()
    assert resident() - before < 16 << 20
