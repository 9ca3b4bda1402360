"""Deflate blocks that hold nothing, and with which any number of bits modulo 8 can be filled.

isal and zlib begin to decode at the beginning of a byte, but blocks begin at any bit.  Behind empty
blocks of the right length the first real block is where it was in its byte.  An empty block with
fixed codes has 10 bits (RFC 1951, 3.2.6), which reaches every even number; one with codes of its
own (3.2.7) can be made of 91, which reaches the odd ones.
"""

from __future__ import annotations


def _fixed(count: int) -> tuple[int, int]:
    """*count* empty blocks with fixed codes: not final, type 1, seven zeros for the end."""
    return sum(0b010 << (10 * number) for number in range(count)), 10 * count


def _dynamic() -> tuple[int, int]:
    """An empty block with codes of its own, that has an odd number of bits (RFC 1951, 3.2.7)."""
    bits = length = 0

    def put(value: int, width: int) -> None:
        nonlocal bits, length
        bits |= value << length
        length += width

    put(0, 1)  # not the last block
    put(2, 2)
    put(0, 5)  # 257 codes for literals and lengths
    put(0, 5)  # one for distances
    put(18 - 4, 4)  # lengths of the codes for code lengths, in the order that the RFC has for them
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1):
        put(1 if symbol in (1, 18) else 0, 3)
    # Of these two, 1 is written as 0, and 18 as 1: a length of one bit, and zeros in a row.
    put(0, 1)  # literal 0 has a code of one bit
    put(1, 1)
    put(138 - 11, 7)
    put(1, 1)
    put(117 - 11, 7)
    put(0, 1)  # so has the end of the block,
    put(0, 1)  # and the one distance, which is not used
    put(1, 1)  # the end
    return bits, length


def _fillings() -> list[tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    odd, odd_length = _dynamic()
    for count in range(4):
        bits, length = _fixed(count)
        found[length % 8] = bits, length
        found[(length + odd_length) % 8] = odd | bits << odd_length, length + odd_length
    return [found[remainder] for remainder in range(8)]


FILLINGS = _fillings()
"""For each number from 0 to 7: empty blocks whose number of bits has this remainder by 8.

The bits, the first one lowest, and how many there are.
"""
