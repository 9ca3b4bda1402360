"""Reading gzip at any place: right bytes, little work, bounded memory, several threads."""

from __future__ import annotations

import itertools
import random
import threading
import zlib

import pytest
from isal import isal_zlib

from rossfs.errors import Damaged, InvalidTable
from rossfs.image.gzipdata import KEPT, LEAST, GzipData
from rossfs.image.gzipdecoder import ISAL, ZLIB, Module
from rossfs.image.spans import SpanCache
from tests.image.gzips import (
    KINDS,
    content,
    data_of,
    framed,
    member,
    opened,
    passed,
    reader,
    written,
    zeros_in_one_block,
)

MIB = 1 << 20


@pytest.fixture(params=[ISAL, ZLIB], ids=["isal", "zlib"])
def module(request: pytest.FixtureRequest) -> Module:
    found: Module = request.param
    return found


def check_ranges(data: GzipData, plain: bytes, times: int = 60) -> None:
    """Ranges at random, at the edges, and everything forwards are those of *plain*."""
    chance = random.Random(len(plain))
    assert data.length == len(plain)
    for _ in range(times):
        offset = chance.randrange(len(plain) + 1)
        length = chance.choice([1, 100, 4096, 131_072, len(plain)])
        assert data.read(offset, length) == plain[offset : offset + length]
    assert data.read(len(plain), 1) == data.read(len(plain) + 5, 10) == b""
    assert data.read(0, 0) == b""
    whole = b"".join(data.read(offset, 10_000) for offset in range(0, len(plain), 10_000))
    assert whole == plain


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_ranges_are_those_of_the_plain_bytes(kind: str, level: int, module: Module) -> None:
    plain = content(kind, 300_000)
    data = data_of(member(plain, level), 20_000, modules=[module])
    check_ranges(data, plain)
    data.close()


@pytest.mark.parametrize("strategy", [zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])
def test_blocks_of_every_kind_are_read(strategy: int, module: Module) -> None:
    plain = content("runs", 200_000)
    data = data_of(member(plain, strategy=strategy), 10_000, modules=[module])
    check_ranges(data, plain)
    data.close()


def test_points_lie_at_every_bit_and_all_are_read(module: Module) -> None:
    plain = content("text", 400_000)
    # Small blocks: with 1 for memory zlib keeps 128 codes for one.
    blob = member(plain, memory=1)
    table = opened(written(passed(blob, 300)[1]))
    kinds = {
        (point.bit % 8, bool(point.header_bits)) for point in map(table.point, range(len(table)))
    }
    assert kinds == set(itertools.product(range(8), [False, True]))
    data = GzipData(table, reader(blob), SpanCache(), [module])
    for number in range(len(table)):
        start = table.start(number)
        assert data.read(start, 600) == plain[start : start + 600]
    data.close()


def test_points_within_a_block_are_read_whatever_its_header(module: Module) -> None:
    for level, seed in itertools.product((1, 9), range(3)):
        plain = content("text", 15_000, seed)
        table = opened(written(passed(member(plain, level), 40)[1]))
        data = GzipData(table, reader(member(plain, level)), SpanCache(), [module])
        for number in range(len(table)):
            start = table.start(number)
            assert data.read(start, 50) == plain[start : start + 50]
        data.close()


def test_the_single_block_of_isal_is_read(module: Module) -> None:
    plain = content("runs", 1_000_000)
    packer = isal_zlib.compressobj(0, wbits=31)
    data = data_of(packer.compress(plain) + packer.flush(), 30_000, modules=[module])
    check_ranges(data, plain)
    data.close()


@pytest.mark.parametrize("mode", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH])
def test_flushes_are_read(mode: int, module: Module) -> None:
    plain = content("text", 100_000)
    blob = member(plain, flushes=[(position, mode) for position in range(0, 100_000, 777)])
    data = data_of(blob, 2000, modules=[module])
    check_ranges(data, plain)
    data.close()


def test_a_span_may_hold_many_members(module: Module) -> None:
    parts = [content("text", size, size) for size in (0, 1, 5000, 0, 0, 70_000, 1, 30_000, 0)]
    plain = b"".join(parts) * 3
    data = data_of(b"".join(map(member, parts)) * 3 + bytes(5), 1 << 16, modules=[module])
    check_ranges(data, plain)
    data.close()


def test_members_may_have_long_headers(module: Module) -> None:
    text = content("text", 40_000)
    fields = b"\x1f\x8b\x08\x1e" + bytes(6) + (60_000).to_bytes(2, "little") + bytes(60_000)
    fields += b"n" * 150_000 + b"\0" + b"c" * 70_000 + b"\0"
    fields += (zlib.crc32(fields) & 0xFFFF).to_bytes(2, "little")
    blob = fields + framed(member(text)[10:-8], len(text), zlib.crc32(text))[10:]
    data = data_of(blob * 4, modules=[module])
    check_ranges(data, text * 4)
    data.close()


def test_several_mebibytes_are_read(module: Module) -> None:
    plain = b"".join(content(kind, 3 * MIB) for kind in KINDS)
    data = data_of(member(plain, 1), modules=[module])
    check_ranges(data, plain, times=30)
    data.close()


def test_a_member_without_data_has_no_bytes() -> None:
    data = data_of(member(b""))
    assert (data.length, data.read(0, 10), data.read_ready(0, 10)) == (0, b"", b"")
    data.close()


# --- how much work it is ---


class Counted:
    """Reads of a blob, counted."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.bytes = 0

    def __call__(self, offset: int, length: int) -> bytes:
        data = self.blob[offset : offset + length]
        self.bytes += len(data)
        return data


def test_a_reader_who_goes_forwards_reads_the_blob_once() -> None:
    plain = content("random", 8 * MIB)
    blob = member(plain)
    read = Counted(blob)
    data = GzipData(opened(written(passed(blob)[1])), read, SpanCache())
    for offset in range(0, len(plain), 50_000):
        data.read(offset, 50_000)
    # Each of the eight spans may read on into the next one.
    assert read.bytes < len(blob) + 9 * (64 << 10)
    data.close()


def test_a_read_decodes_to_its_end_and_hardly_further() -> None:
    plain = content("random", 3 * MIB)
    cache = SpanCache()
    data = data_of(member(plain), cache=cache)
    data.read(100_000, 4096)
    assert data.read_ready(0, 104_096) == plain[:104_096]
    assert data.read_ready(104_096, LEAST) is None
    assert cache.held < 104_096 + LEAST + (256 << 10)
    data.close()


def test_what_is_decoded_is_ready_and_nothing_else() -> None:
    plain = content("text", 3 * MIB)
    data = data_of(member(plain))
    assert data.read_ready(0, 1) is None
    data.read(MIB, MIB)
    assert data.read_ready(MIB + 5, 10_000) == plain[MIB + 5 : MIB + 10_005]
    assert data.read_ready(MIB, MIB) == plain[MIB : 2 * MIB]
    assert data.read_ready(2 * MIB, 2 * MIB) is None
    data.read(2 * MIB, 2 * MIB)
    assert data.read_ready(2 * MIB, 2 * MIB) == plain[2 * MIB :]
    assert data.read_ready(3 * MIB, 5) == b""
    data.close()


def test_a_span_that_another_thread_decodes_is_not_ready() -> None:
    plain = content("text", MIB)
    blob = member(plain)
    inside, go_on = threading.Event(), threading.Event()
    waits = False

    def read(offset: int, length: int) -> bytes:
        if waits:
            inside.set()
            go_on.wait(30)
        return blob[offset : offset + length]

    data = GzipData(opened(written(passed(blob)[1])), read, SpanCache())
    data.read(0, 10)
    assert data.read_ready(0, 10) == plain[:10]
    waits = True
    thread = threading.Thread(target=data.read, args=(0, MIB))
    thread.start()
    assert inside.wait(30)
    assert data.read_ready(0, 10) is None
    go_on.set()
    thread.join()
    assert data.read_ready(0, MIB) == plain
    data.close()


# --- bounded memory ---


def test_a_span_longer_than_what_is_kept_is_read_in_any_order() -> None:
    plain = content("runs", 6 * MIB)
    cache = SpanCache(64 << 20)
    data = data_of(member(plain), 100 * MIB, cache=cache)
    chance = random.Random(5)
    for _ in range(20):
        offset = chance.randrange(len(plain))
        length = chance.choice([4096, MIB, 3 * MIB])
        assert data.read(offset, length) == plain[offset : offset + length]
        assert cache.held <= KEPT + (160 << 10)
    data.close()


def test_a_bomb_is_read_at_any_place_with_little_memory() -> None:
    size = 256 * MIB
    cache = SpanCache(4 * MIB)
    data = data_of(zeros_in_one_block(size), cache=cache)
    for offset in (size - 10, 0, size // 2, 12_345_678):
        assert data.read(offset, 100_000) == bytes(min(100_000, size - offset))
        assert cache.held <= 4 * MIB
    data.close()


def test_layers_share_one_limit_and_closing_gives_it_back() -> None:
    cache = SpanCache(4 * MIB)
    plain = content("random", 3 * MIB)
    blob = member(plain)
    layers = [data_of(blob, cache=cache) for _ in range(4)]
    for data in layers:
        assert data.read(0, 3 * MIB) == plain
        assert cache.held <= cache.limit
    for data in layers:
        data.close()
    assert cache.held == 0


def test_many_small_reads_make_few_pieces() -> None:
    plain = content("text", 200_000)
    cache = SpanCache()
    data = data_of(member(plain), cache=cache)
    assert b"".join(data.read(offset, 1) for offset in range(20_000)) == plain[:20_000]
    # All of it was decoded with the first byte.
    assert data.read_ready(0, LEAST) == plain[:LEAST]
    data.close()


# --- threads ---


def test_threads_read_at_random_and_all_is_right() -> None:
    plain = content("text", 3 * MIB) + content("runs", 3 * MIB)
    data = data_of(member(plain), 100_000, cache=SpanCache(MIB))
    wrong: list[tuple[int, int]] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(150):
            offset = chance.randrange(len(plain))
            length = chance.choice([100, 4096, 131_072])
            if data.read(offset, length) != plain[offset : offset + length]:
                wrong.append((offset, length))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    data.close()


def test_threads_that_go_forwards_together_get_the_same() -> None:
    plain = content("runs", 4 * MIB)
    data = data_of(member(plain))
    got: list[bytes] = []

    def work() -> None:
        got.append(b"".join(data.read(offset, 65_536) for offset in range(0, 4 * MIB, 65_536)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [plain] * 4
    data.close()


# --- what goes wrong ---


def test_after_a_read_of_the_blob_failed_all_is_read_again() -> None:
    plain = content("random", 2 * MIB)
    blob = member(plain)
    chance = random.Random(1)
    failing = False

    def read(offset: int, length: int) -> bytes:
        if failing and chance.random() < 0.3:
            raise Damaged("the blob is damaged")
        return blob[offset : offset + length]

    data = GzipData(opened(written(passed(blob, 500_000)[1])), read, SpanCache())
    failing, failures = True, 0
    for _ in range(60):
        offset = chance.randrange(len(plain))
        try:
            assert data.read(offset, 200_000) == plain[offset : offset + 200_000]
        except Damaged:
            failures += 1
    assert failures > 5
    failing = False
    assert data.read(0, len(plain)) == plain
    data.close()


def test_points_of_another_blob_are_refused() -> None:
    points = passed(member(content("text", 300_000)), 10_000)[1]
    # Nowhere in this can a block begin: type 3 is none.
    data = GzipData(opened(written(points)), reader(b"\xff" * 100_000), SpanCache())
    with pytest.raises(InvalidTable, match="does not fit the blob sha256:0f0f"):
        data.read(200_000, 5000)
    data.close()


def test_a_blob_that_ends_early_is_refused() -> None:
    plain = content("random", 300_000)
    blob = member(plain)
    points = written(passed(blob, 10_000)[1])
    for length in (0, 5, 1000, 100_000, len(blob) - 20):
        data = GzipData(opened(points), reader(blob[:length]), SpanCache())
        with pytest.raises(InvalidTable):
            data.read(290_000, 10_000)
        data.close()


def test_altered_points_give_right_bytes_or_none() -> None:
    plain = content("runs", 6000)
    blob = member(plain)
    file = bytearray(written(passed(blob, 3000)[1]))
    for position in range(len(file)):
        file[position] ^= 1 + position % 255
        try:
            data = GzipData(opened(bytes(file)), reader(blob), SpanCache())
        except InvalidTable:
            pass
        else:
            for offset in range(0, 6000, 500):
                try:
                    assert data.read(offset, 500) == plain[offset : offset + 500]
                except InvalidTable:
                    continue
            data.close()
        file[position] ^= 1 + position % 255


def test_what_one_module_cannot_read_the_next_one_does() -> None:
    plain = content("text", 300_000)
    # It expects the header of zlib's own format, which is not there.
    unable = Module(lambda wbits, zdict=b"": zlib.decompressobj(15, zdict), zlib.error)
    data = data_of(member(plain), 50_000, modules=[unable, ISAL])
    check_ranges(data, plain)
    data.close()
    data = data_of(member(plain), 50_000, modules=[unable])
    with pytest.raises(InvalidTable, match="does not fit"):
        data.read(0, 10)
    data.close()
