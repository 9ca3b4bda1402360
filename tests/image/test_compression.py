"""What a layer is compressed with, and one way through it, for every compression but gzip."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rossfs.errors import InvalidLayer
from rossfs.image.compression import HEAD, Compression, detect
from rossfs.image.streampass import stream_pass
from tests.image.packing import bzip2, run, skippable, text, unpacked, xz, zstd
from tests.mounts import ROOT

TEXT = text(300_000)


class Case(NamedTuple):
    compression: Compression
    pack: Callable[[bytes], bytes]
    tool: str


CASES = {
    "zstd": Case(Compression.ZSTD, zstd, "zstd"),
    "bzip2": Case(Compression.BZIP2, bzip2, "bzip2"),
    "xz": Case(Compression.XZ, xz, "xz"),
}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


# --- detecting ---


def test_each_compression_is_known_by_its_first_bytes(case: Case) -> None:
    assert detect(case.pack(TEXT)[:HEAD]) is case.compression
    assert detect(case.pack(b"")[:HEAD]) is case.compression


def test_gzip_is_known_by_its_first_bytes() -> None:
    assert detect(run("gzip", "-c", data=TEXT)[:HEAD]) is Compression.GZIP


@pytest.mark.parametrize("number", range(16))
def test_zstd_may_begin_with_a_skippable_frame(number: int) -> None:
    assert detect(skippable(b"x", number)[:HEAD]) is Compression.ZSTD


@pytest.mark.parametrize("head", [b"", b"\x1f", b"\x28\xb5", b"BZh", b"BZh0", b"\x2a\x4d\x18\x50"])
def test_what_is_not_known_is_plain(head: bytes) -> None:
    assert detect(head) is Compression.PLAIN


@given(st.binary(max_size=20))
def test_detecting_never_fails(head: bytes) -> None:
    assert detect(head) in Compression


# --- reading ---


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1 << 20])
def test_any_chunking_gives_the_same_bytes(case: Case, chunk: int) -> None:
    data = TEXT[:20_000] if chunk == 1 else TEXT
    assert unpacked(stream_pass(case.compression), case.pack(data), chunk) == data


def test_an_empty_tar_is_no_bytes(case: Case) -> None:
    assert unpacked(stream_pass(case.compression), case.pack(b"")) == b""


@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_several_streams_are_one_tar(case: Case, chunk: int) -> None:
    data = TEXT[:60_000]
    cuts = [0, 10, 10, 30_000, 30_001, 60_000]
    blob = b"".join(case.pack(data[a:b]) for a, b in pairwise(cuts))
    assert unpacked(stream_pass(case.compression), blob, chunk) == data
    assert run(case.tool, "-dc", data=blob) == data


def test_a_memoryview_may_be_fed(case: Case) -> None:
    decoder = stream_pass(case.compression)
    blob = memoryview(bytearray(case.pack(TEXT)))
    assert b"".join(decoder.feed(blob)) == TEXT
    decoder.finish()


def test_a_plain_tar_is_given_as_it_is() -> None:
    assert unpacked(stream_pass(Compression.PLAIN), TEXT * 8, 1 << 22) == TEXT * 8
    assert unpacked(stream_pass(Compression.PLAIN), b"") == b""


def test_padding_of_xz_is_passed_over_where_xz_does_so() -> None:
    good = xz(b"one") + bytes(4) + xz(b"two") + bytes(8)
    for chunk in (1, 3, 1 << 16):
        assert unpacked(stream_pass(Compression.XZ), good, chunk) == b"onetwo"
    assert run("xz", "-dc", data=good) == b"onetwo"
    for bad in (xz(b"one") + bytes(3) + xz(b"two"), xz(b"one") + bytes(2)):
        with pytest.raises(InvalidLayer):
            unpacked(stream_pass(Compression.XZ), bad)
        with pytest.raises(subprocess.CalledProcessError):
            run("xz", "-dc", data=bad)


# --- what is wrong ---


def test_a_cut_blob_is_never_complete(case: Case) -> None:
    blob = case.pack(TEXT[:40_000]) + case.pack(TEXT[40_000:50_000])
    first = len(case.pack(TEXT[:40_000]))
    step = max(1, len(blob) // 300)
    for end in [*range(0, len(blob), step), *range(len(blob) - 30, len(blob))]:
        if end == first:
            continue
        with pytest.raises(InvalidLayer):
            unpacked(stream_pass(case.compression), blob[:end])


def test_a_flipped_byte_is_noticed_or_harmless(case: Case) -> None:
    data = TEXT[:30_000]
    blob = case.pack(data[:20_000]) + case.pack(data[20_000:])
    rng = random.Random(7)
    places = {*range(40), *range(len(blob) - 40, len(blob))}
    places |= {rng.randrange(len(blob)) for _ in range(200)}
    noticed = 0
    for place in places:
        bad = bytearray(blob)
        bad[place] ^= 1 << rng.randrange(8)
        try:
            assert unpacked(stream_pass(case.compression), bytes(bad)) == data
        except InvalidLayer:
            noticed += 1
    assert noticed > len(places) // 2


def test_what_follows_the_last_stream_is_refused(case: Case) -> None:
    for more in (b"garbage after the end", b"\0", bytes(4096) + b"x", b"B", b"\x28"):
        if case.compression is Compression.XZ and not more.strip(b"\0"):
            more += b"\0"
        with pytest.raises(InvalidLayer):
            unpacked(stream_pass(case.compression), case.pack(TEXT) + more)


@given(data=st.data())
def test_hostile_bytes_are_refused_or_read(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(list(CASES.values())))
    blob = case.pack(b"abc" * 100)
    begin = data.draw(st.integers(0, len(blob)))
    bad = blob[:begin] + data.draw(st.binary(max_size=40)) + blob[begin:]
    with contextlib.suppress(InvalidLayer):
        unpacked(stream_pass(case.compression), bad, data.draw(st.integers(1, 50)))


# --- bombs ---

BOMB = 192 << 20
GROWTH = 40 << 20

MEASURE = """
import sys
from rossfs.image.compression import Compression
from rossfs.image.streampass import stream_pass

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) << 10

decoder = stream_pass(Compression(sys.argv[1]))
blob = sys.stdin.buffer.read()
before = peak()
length = sum(len(piece) for piece in decoder.feed(blob))
decoder.finish()
print(length, peak() - before)
"""


def test_a_bomb_needs_no_memory(case: Case) -> None:
    with subprocess.Popen(["head", "-c", str(BOMB), "/dev/zero"], stdout=subprocess.PIPE) as zeros:
        level = "-0" if case.tool == "xz" else "-1"
        packing = [case.tool, "-c", level]
        blob = subprocess.run(packing, stdin=zeros.stdout, capture_output=True, check=True).stdout
    assert len(blob) < BOMB // 500
    answer = run_python(MEASURE, case.compression.value, blob)
    length, growth = map(int, answer.split())
    assert length == BOMB
    assert growth < GROWTH


def run_python(program: str, argument: str, data: bytes) -> bytes:
    command = [sys.executable, "-c", program, argument]
    return subprocess.run(
        command, input=data, cwd=ROOT, stdout=subprocess.PIPE, timeout=60, check=True
    ).stdout


def test_many_short_streams_take_no_long_time(case: Case) -> None:
    """Each is cut off what follows it without copying all of that."""
    short = case.pack(b"x")
    count = (1 << 20) // len(short)
    assert unpacked(stream_pass(case.compression), short * count, 1 << 20) == b"x" * count


def test_xz_that_needs_too_much_memory_is_refused() -> None:
    blob = run("xz", "-c", "--lzma2=dict=512MiB", data=b"x")
    with pytest.raises(InvalidLayer, match=r"xz data.*[Mm]emory"):
        unpacked(stream_pass(Compression.XZ), blob)
