"""Archives that somebody altered: read or refused, within bounds, whatever was done to them."""

from __future__ import annotations

import io
import random
import tarfile
import time
import tracemalloc
from collections.abc import Callable

import pytest

from rossfs.errors import InvalidLayer
from rossfs.image.sparse import PIECE_LIMIT
from rossfs.image.tarscan import TarScanner
from tests.image.scanning import check, fields, scan
from tests.layers import BLOCK, GNU, V7, Layer, block, record

MEMORY = 64 << 20
"""Bytes that altered archives of some hundred KiB may make the scanner take."""

NUMBERS = (
    bytes(12),
    b"7" * 12,
    b"\xff" * 12,
    b"\x80" + b"\xff" * 11,
    b"\x80" + bytes(10) + b"\1",
    b"00000001000\0",
    b"77777777777\0",
    b"-1          ",
)
FIELDS = ((100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8), (483, 12))
FLAGS = b"\x000123456789xgXLKSVMND"
WORDS = (
    b"=",
    b"\n",
    b" ",
    b"0",
    b"9",
    b"99999999999",
    b"-",
    b",",
    b"\0",
    b"../",
    b"/",
    b".",
    b"/..",
)


def seeds() -> list[bytes]:
    """Archives of all formats, with all that can be in one."""
    pieces = [(1000 * i, b"x" * 10) for i in range(40)]
    everything = Layer().directory("./").file("a", b"x" * 700, xattrs={"user.a": b"\0\xff" * 50})
    everything.file(b"n" * 200, b"1", long="gnu").file(b"m/" * 100 + b"f", b"1").link("l", "a")
    everything.symlink("s", b"t" * 300, long="gnu").device("c", b"3", 1, 3).entry("p", b"6")
    everything.pax({"mtime": b"1.5", "uid": b"7"}, b"g").file("b", uid=1 << 31, mtime=-1)
    sparse = Layer().gnu_sparse("old", pieces, 50_000)
    for version in ("0.0", "0.1", "1.0"):
        sparse.pax_sparse(version, pieces, 50_000, version)
    old = Layer().entry("a", b"\0", b"data", magic=V7).entry("d/", b"\0", magic=V7)
    old.entry("m", b"M", b"x" * 600, magic=GNU).entry("label", b"V", magic=GNU)
    return [everything.closed(), sparse.closed(), old.closed(), bytes(everything), *_by_tarfile()]


def _by_tarfile() -> list[bytes]:
    archives = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
            for number in range(5):
                member = tarfile.TarInfo(f"dir/file{number}")
                member.size = 300 * number
                tar.addfile(member, io.BytesIO(bytes(member.size)))
        archives.append(stream.getvalue())
    return archives


def altered(data: bytearray, chance: random.Random) -> None:
    """Do something to *data*, mostly so that its checksums are right again."""
    headers = [at for at in range(0, len(data) - BLOCK + 1, BLOCK) if data[at + 257 : at + 262]]
    at = chance.choice(headers or [0])
    what = chance.randrange(10)
    if what == 0:
        data[chance.randrange(len(data))] = chance.randrange(256)
        return
    if what == 1:
        del data[chance.randrange(len(data)) :]
        return
    if what == 2:
        data[at:at] = data[chance.choice(headers or [0]) :][: BLOCK * chance.randrange(1, 4)]
        return
    if what == 3:
        del data[at : at + BLOCK]
        return
    if what == 4:
        word = chance.choice(WORDS)
        start = chance.randrange(len(data))
        data[start : start + len(word)] = word
        return
    if what == 5:
        data[at + 156 : at + 157] = bytes([chance.choice(FLAGS)])
    elif what == 6:
        start, width = chance.choice(FIELDS)
        data[at + start : at + start + width] = chance.choice(NUMBERS)[:width]
    elif what == 7:
        size = chance.choice([0, 1, 511, 512, 513, 4096, 1 << 20, 1 << 24, (1 << 33) - 1])
        data[at + 124 : at + 136] = b"%011o\0" % size
    elif what == 8:
        name = chance.choice([b"..", b"../x", b"a/../../b", b"", b"/", b"x" * 100])
        start = chance.choice([0, 157, 345])
        data[at + start : at + start + 100] = name.ljust(100, b"\0")
    else:
        data[min(at + chance.randrange(BLOCK), len(data) - 1)] = chance.randrange(256)
    _sign(data, at)


def _sign(data: bytearray, at: int) -> None:
    if at + BLOCK <= len(data):
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + BLOCK])


def told(data: bytes, cuts: list[int]) -> tuple[object, ...]:
    """All that is told of *data*, and how it ended."""
    entries: list[object] = []
    refusals: list[object] = []
    scanner = TarScanner(lambda entry: entries.append(fields(entry)), refusals.append)
    end: object
    try:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            scanner.feed(data[start:stop])
        end = scanner.finish()
    except InvalidLayer as error:
        end = str(error)
        assert len(end) < 300
        assert end.isprintable()
    return entries, refusals, end


def try_one(archives: list[bytes], seed: int) -> None:
    """Alter an archive as *seed* says, and check what is told of it."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(archives))
    for _ in range(chance.randrange(1, 6)):
        if data:
            altered(data, chance)
    tar = bytes(data)
    whole = told(tar, [])
    if isinstance(whole[2], int):
        found = scan(tar)
        assert found.length == len(tar)
        for entry in found.entries:
            check(entry, len(tar))
        for refusal in found.refusals:
            assert len(refusal.path) <= 4096
            assert refusal.reason.isprintable()
    cuts = sorted(chance.randrange(len(tar) + 1) for _ in range(chance.randrange(20)))
    assert told(tar, cuts) == whole


def fuzz(goes_on: Callable[[int], bool]) -> None:
    archives = seeds()
    for archive in archives:
        check_whole = scan(archive)
        assert check_whole.entries
        assert check_whole.refusals == []
    count = 0
    while goes_on(count):
        seed = random.getrandbits(64)
        try:
            try_one(archives, seed)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        count += 1


def test_altered_archives_are_read_or_refused() -> None:
    fuzz(lambda count: count < 1500)


def test_altered_archives_take_little_memory() -> None:
    tracemalloc.start()
    try:
        fuzz(lambda count: count < 300)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_altered_archives_are_read_or_refused_for_ten_minutes() -> None:
    end = time.monotonic() + 600
    fuzz(lambda count: time.monotonic() < end)


# The largest headers that are read at all are 64 times as large as these, so is the memory.

HEADER = (1 << 24) >> 6
PIECES = PIECE_LIMIT >> 6


def pax_header(body: bytes) -> bytes:
    return block(b"x", b"x", size=len(body)) + body


def many_records() -> bytes:
    return pax_header(b"".join(record(f"{number}", b"") for number in range(HEADER // 10)))


def a_long_value() -> bytes:
    return pax_header(record("SCHILY.xattr.user.a", bytes(HEADER)))


def many_attributes() -> bytes:
    return pax_header(
        b"".join(record(f"SCHILY.xattr.{number}", b"") for number in range(HEADER // 40))
    )


def many_sparse_records() -> bytes:
    pair = record("GNU.sparse.offset", b"1") + record("GNU.sparse.numbytes", b"1")
    return pax_header(pair * (HEADER // len(pair)))


def many_pieces() -> bytes:
    lines = b"%d\n" % PIECES + b"".join(b"%d\n1\n" % (2 * number) for number in range(PIECES))
    lines += bytes(-len(lines) % BLOCK) + bytes(PIECES)
    records = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"99999"}
    return bytes(Layer().file("a", lines, pax=records))


def many_numbers() -> bytes:
    numbers = b",".join(b"%d,1" % (2 * number) for number in range(HEADER // 9))
    records = {"GNU.sparse.size": b"999999", "GNU.sparse.map": numbers}
    return bytes(Layer().file("a", bytes(HEADER // 9), pax=records))


@pytest.mark.parametrize(
    "make",
    [many_records, a_long_value, many_attributes, many_sparse_records, many_pieces, many_numbers],
)
def test_memory_has_a_limit_whatever_a_header_holds(make: Callable[[], bytes]) -> None:
    data = memoryview(make())
    tracemalloc.start()
    try:
        scanner = TarScanner(lambda entry: None)
        for start in range(0, len(data), 1 << 16):
            scanner.feed(data[start : start + (1 << 16)])
        assert tracemalloc.get_traced_memory()[1] < 16 * HEADER
    finally:
        tracemalloc.stop()
