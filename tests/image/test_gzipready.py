"""Reading gzip data without waiting: what is decoded, and a little more."""

from __future__ import annotations

import pytest

from rossfs.image import gzipdata
from rossfs.image.gzipdata import AHEAD, READY, GzipData
from rossfs.image.gzipdecoder import ISAL, GzipDecoder, Module
from rossfs.image.spans import SpanCache
from tests.image.gzips import content, member, opened, passed, reader, written

MIB = 1 << 20
INTERVAL = 256 << 10


class Blob:
    """A blob of which only the first bytes, as many as `at_hand`, can be read without waiting."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at_hand = len(data)
        self.waited = 0

    def read(self, offset: int, length: int) -> bytes:
        self.waited += 1
        return reader(self.data)(offset, length)

    def ready(self, offset: int, length: int) -> bytes | None:
        if min(offset + length, len(self.data)) > self.at_hand:
            return None
        return reader(self.data)(offset, length)


def data_of(blob: Blob, modules: tuple[Module, ...] = (ISAL,)) -> GzipData:
    points = opened(written(passed(blob.data, INTERVAL)[1]))
    return GzipData(points, blob.read, SpanCache(), modules, ready=blob.ready)


def test_a_span_that_is_begun_goes_on_without_waiting() -> None:
    plain = content("text", MIB)
    blob = Blob(member(plain))
    data = data_of(blob)
    assert data.read(0, 1000) == plain[:1000]
    waited = blob.waited
    for offset in range(1000, 200_000, 7001):
        assert data.read_ready(offset, 7001) == plain[offset : offset + 7001]
    assert blob.waited == waited
    data.close()


def test_what_nobody_has_begun_is_not_ready() -> None:
    plain = content("text", MIB)
    data = data_of(Blob(member(plain)))
    assert data.read_ready(0, 10) is None
    data.read(0, 1000)
    assert data.read_ready(2 * INTERVAL, 10) is None
    data.close()


def test_much_decoding_is_a_wait() -> None:
    plain = content("text", 4 * MIB)
    blob = Blob(member(plain))
    points = opened(written(passed(blob.data, 2 * MIB)[1]))
    cache = SpanCache()
    data = GzipData(points, blob.read, cache, ready=blob.ready)
    data.read(0, 10)
    before = cache.held
    assert data.read_ready(MIB, 10) is None
    assert cache.held == before
    assert data.read_ready(READY - 10, 10) == plain[READY - 10 : READY]
    assert cache.held <= before + READY + AHEAD
    data.close()


def test_input_that_is_not_at_hand_is_a_wait() -> None:
    plain = content("random", MIB)
    blob = Blob(member(plain))
    data = data_of(blob)
    data.read(0, 10)
    blob.at_hand = 0
    waited = blob.waited
    assert data.read_ready(100_000, 50_000) is None
    assert blob.waited == waited
    blob.at_hand = len(blob.data)
    assert data.read(100_000, 50_000) == plain[100_000:150_000]
    data.close()


def test_a_reader_who_goes_forwards_needs_one_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(GzipDecoder):
        def __init__(self, *arguments: object) -> None:
            made.append(arguments)
            super().__init__(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gzipdata, "GzipDecoder", Counted)
    plain = content("text", 2 * MIB)
    data = data_of(Blob(member(plain)))
    for offset in range(0, len(plain), 100_000):
        assert data.read(offset, 100_000) == plain[offset : offset + 100_000]
    assert len(made) == 1
    assert data.read(5 * INTERVAL, 10) == plain[5 * INTERVAL : 5 * INTERVAL + 10]
    data.close()


def test_a_span_is_gone_on_with_from_the_one_before_without_waiting() -> None:
    plain = content("text", MIB)
    blob = Blob(member(plain))
    data = data_of(blob)
    data.read(0, 10)
    waited = blob.waited
    for offset in range(10, len(plain), 20_000):
        assert data.read_ready(offset, 20_000) == plain[offset : offset + 20_000]
    assert blob.waited == waited
    data.close()


def test_data_that_cannot_be_decoded_is_left_to_who_can_wait() -> None:
    plain = content("text", 4 * MIB)
    blob = Blob(member(plain))
    data = data_of(blob)
    data.read(0, 10)
    damaged = bytearray(blob.data)
    damaged[70_000:200_000] = b"\xff" * 130_000
    whole, blob.data = blob.data, bytes(damaged)
    assert None in [data.read_ready(offset, 5000) for offset in range(10, MIB, 5000)]
    blob.data = whole
    data.close()
    data = data_of(blob)
    assert data.read(0, len(plain)) == plain
    data.close()
