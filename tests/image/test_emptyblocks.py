"""The blocks that stand before the first real one: empty for every decoder, of every length."""

from __future__ import annotations

import ctypes
import zlib

import pytest
from isal import isal_zlib

from rossfs.image.deflate import RAW, Z_NO_FLUSH, Z_STREAM_END, Inflater, Library, libraries
from rossfs.image.emptyblocks import FILLINGS

LAST = (0b011, 10)
"""The bits of the last block, empty, with fixed codes; and how many."""


@pytest.fixture(params=range(8))
def remainder(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def ended(remainder: int) -> bytes:
    """The filling, and a last block behind it."""
    bits, length = FILLINGS[remainder]
    whole = bits | LAST[0] << length
    return whole.to_bytes((length + LAST[1] + 7) // 8, "little")


def test_the_length_of_a_filling_is_its_place_modulo_8(remainder: int) -> None:
    bits, length = FILLINGS[remainder]
    assert length % 8 == remainder
    assert bits < 1 << length


def test_zlib_reads_it_as_nothing(remainder: int) -> None:
    decoder = zlib.decompressobj(RAW)
    assert (decoder.decompress(ended(remainder)), decoder.eof) == (b"", True)


def test_isal_reads_it_as_nothing(remainder: int) -> None:
    decoder = isal_zlib.decompressobj(RAW)
    assert (decoder.decompress(ended(remainder)), decoder.eof) == (b"", True)


@pytest.mark.parametrize("library", libraries(), ids=repr)
def test_the_libraries_read_it_as_nothing(library: Library, remainder: int) -> None:
    stream = Inflater(library, RAW)
    stream.feed(ended(remainder))
    output = ctypes.create_string_buffer(10)
    assert stream.run(ctypes.addressof(output), 10, Z_NO_FLUSH) == (Z_STREAM_END, 0)
    assert stream.left == 0


def test_a_block_behind_a_filling_is_read_whole(remainder: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, RAW)
    text = b"behind empty blocks " * 20
    block = packer.compress(text) + packer.flush()
    bits, length = FILLINGS[remainder]
    whole = bits | int.from_bytes(block, "little") << length
    shifted = whole.to_bytes(len(block) + (length + 7) // 8, "little")
    assert zlib.decompressobj(RAW).decompress(shifted) == text
    assert isal_zlib.decompressobj(RAW).decompress(shifted) == text
