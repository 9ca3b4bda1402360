"""Trials of reading gzip, each made from a number: a blob nobody would think of, read and judged.

A trial ends with an AssertionError if wrong bytes came out, and with another exception if what was
raised is none of rossfs.
"""

from __future__ import annotations

import random
import zlib

from isal import isal_zlib

from rossfs.errors import InvalidLayer, InvalidTable
from rossfs.image.deflate import libraries
from rossfs.image.gzipdata import GzipData
from rossfs.image.gzipdecoder import ISAL, ZLIB
from rossfs.image.spans import SpanCache
from tests.image.gzips import (
    KINDS,
    content,
    framed,
    member,
    opened,
    passed,
    reader,
    written,
    zeros_in_one_block,
)

FLUSHES = (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_BLOCK)
STRATEGIES = (
    zlib.Z_DEFAULT_STRATEGY,
    zlib.Z_DEFAULT_STRATEGY,
    zlib.Z_FILTERED,
    zlib.Z_HUFFMAN_ONLY,
    zlib.Z_RLE,
    zlib.Z_FIXED,
)


def _member(chance: random.Random, size: int) -> tuple[bytes, bytes]:
    """The plain bytes of a member, and the member."""
    parts = []
    for _ in range(chance.randint(0, 4)):
        kind = chance.choice(KINDS)
        parts.append(content(kind, chance.randint(0, size), chance.randrange(10**6)))
    plain = b"".join(parts)
    writer = chance.random()
    if writer < 0.15:
        packer = isal_zlib.compressobj(chance.randint(0, 3), wbits=31)
        return plain, packer.compress(plain) + packer.flush()
    if writer < 0.2:
        length = chance.randint(5000, 200_000)
        return bytes(length), zeros_in_one_block(length)
    flushes = [
        (chance.randint(0, len(plain)), chance.choice(FLUSHES))
        for _ in range(chance.choice([0, 0, 1, 5, 50]))
    ]
    return plain, member(
        plain,
        chance.randint(0, 9),
        strategy=chance.choice(STRATEGIES),
        memory=chance.randint(1, 9),
        flushes=flushes,
    )


def _blob(chance: random.Random, size: int) -> tuple[bytes, bytes]:
    """Plain bytes, and a blob of one or several members."""
    members = [_member(chance, size) for _ in range(chance.choice([1, 1, 2, 3, 12]))]
    return b"".join(plain for plain, _ in members), b"".join(packed for _, packed in members)


def _check(chance: random.Random, data: GzipData, plain: bytes, times: int) -> None:
    """Ranges at random are those of *plain*."""
    assert data.length == len(plain)
    for _ in range(times):
        offset = chance.randint(0, len(plain))
        length = chance.choice([1, 50, 4096, 100_000])
        wanted = plain[offset : offset + length]
        ready = data.read_ready(offset, length)
        assert ready is None or ready == wanted
        assert data.read(offset, length) == wanted


def right_blob(seed: int) -> None:
    """A right blob: every range is right."""
    chance = random.Random(seed)
    plain, blob = _blob(chance, chance.choice([100, 3000, 30_000, 300_000]))
    interval = chance.choice([20, 300, 5000, 100_000])
    made, points = passed(
        blob,
        max(interval, len(plain) // 500),
        library=chance.choice(libraries()),
        chunk=chance.choice([len(blob), 1000, 1 + len(blob) // 300]),
    )
    assert made == plain
    cache = SpanCache(chance.choice([0, 300_000, 8 << 20]))
    data = GzipData(opened(written(points)), reader(blob), cache, [chance.choice([ISAL, ZLIB])])
    _check(chance, data, plain, 40)
    data.close()


def damaged_blob(seed: int) -> None:
    """Bits turned, bytes cut out or the end cut off: refused, or what zlib makes of it."""
    chance = random.Random(seed)
    _, packed = _blob(chance, chance.choice([50, 1000, 20_000]))
    blob = bytearray(packed)
    for _ in range(chance.choice([0, 1, 1, 5])):
        if blob:
            blob[chance.randrange(len(blob))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        start = chance.randint(0, len(blob))
        del blob[start : start + chance.choice([1, 5, 10**6])]
    try:
        made, _ = passed(bytes(blob), 5000, library=chance.choice(libraries()))
    except InvalidLayer:
        return
    assert made == _by_zlib(bytes(blob))


def _by_zlib(blob: bytes) -> bytes:
    """What zlib makes of the members of *blob*; what follows the last one is ignored."""
    made = b""
    while blob.startswith(b"\x1f\x8b"):
        decoder = zlib.decompressobj(31)
        made += decoder.decompress(blob)
        assert decoder.eof
        blob = decoder.unused_data
    return made


def forged_blob(seed: int) -> None:
    """Bits turned, but the checksum is that of what comes out: every range is right."""
    chance = random.Random(seed)
    _, packed = _member(chance, chance.choice([50, 1000, 20_000]))
    deflated = bytearray(packed[10:-8])
    for _ in range(chance.choice([1, 1, 2, 5])):
        deflated[chance.randrange(len(deflated))] ^= 1 << chance.randrange(8)
    decoder = zlib.decompressobj(-15)
    try:
        plain = decoder.decompress(bytes(deflated))
    except zlib.error:
        return
    if not decoder.eof:
        return
    used = deflated[: len(deflated) - len(decoder.unused_data)]
    blob = framed(bytes(used), len(plain), zlib.crc32(plain)) * 2
    made, points = passed(blob, max(200, len(plain) // 100), library=chance.choice(libraries()))
    assert made == plain * 2
    data = GzipData(opened(written(points)), reader(blob), SpanCache())
    _check(chance, data, plain * 2, 20)
    data.close()


def damaged_points(seed: int) -> None:
    """Seek points that were altered or cut: refused, or every range is right."""
    chance = random.Random(seed)
    plain, blob = _blob(chance, chance.choice([50, 1000, 20_000]))
    file = bytearray(written(passed(blob, max(500, len(plain) // 20))[1]))
    for _ in range(chance.choice([0, 1, 1, 3, 20])):
        # The header and the index are at the ends.
        position = chance.choice([chance.randrange(len(file)), chance.randrange(136), -1])
        if position == -1:
            position = len(file) - 1 - chance.randrange(min(len(file), 560))
        file[position] = chance.choice([0, 1, 255, file[position] ^ 1 << chance.randrange(8)])
    if chance.random() < 0.2:
        start = chance.randint(0, len(file))
        del file[start : start + chance.choice([1, 56, 10**6])]
    try:
        data = GzipData(opened(bytes(file)), reader(blob), SpanCache())
    except InvalidTable:
        return
    assert data.length == len(plain)
    for _ in range(20):
        offset = chance.randint(0, len(plain))
        try:
            made = data.read(offset, 5000)
        except InvalidTable:
            continue
        assert made == plain[offset : offset + 5000]
    data.close()


def noise(seed: int) -> None:
    """Bytes at random behind the header of a member: refused, or what zlib makes of them."""
    chance = random.Random(seed)
    blob = b"\x1f\x8b" + chance.choice([b"", b"\x08\x00" + bytes(6)])
    blob += chance.randbytes(chance.randint(0, 300))
    try:
        made, _ = passed(blob, 20, library=chance.choice(libraries()))
    except InvalidLayer:
        return
    assert made == _by_zlib(blob)


TRIALS = (right_blob, damaged_blob, forged_blob, damaged_points, noise)
