"""Layers that need a copy: made once, made again when it is altered, done without if there is no
room."""

from __future__ import annotations

import logging
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.errors import Damaged, InvalidLayer, InvalidTable
from rossfs.image import copieddata
from rossfs.image.cache import Cache
from rossfs.image.compression import Compression, detect
from rossfs.image.copieddata import CopiedData
from rossfs.image.framecopy import FRAME
from rossfs.image.frametable import FrameTable, Kind
from rossfs.image.livedata import LiveData
from rossfs.image.packed import Packed
from rossfs.image.spans import SpanCache
from rossfs.image.zstdpass import ZstdPass
from rossfs.oci.digest import Digest
from tests.image.packing import bzip2, text, unpacked, xz, zstd, zstd_chunked

Pack = Callable[[bytes], bytes]

TEXT = text((2 << 20) + 1234)
PACKED = {"zstd": zstd(TEXT), "bzip2": bzip2(TEXT), "xz": xz(TEXT)}


class Blob:
    """A blob whose reads are counted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0
        self.packed = Packed(Digest.of(data), detect(data), self.read, len(data))

    def read(self, offset: int, length: int) -> bytes:
        self.reads += offset == 0
        return self.data[offset : offset + length]


@pytest.fixture(params=PACKED)
def blob(request: pytest.FixtureRequest) -> Blob:
    return Blob(PACKED[request.param])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def data_of(blob: Blob, cache: Cache, tar: bytes = TEXT) -> CopiedData:
    return CopiedData(blob.packed, len(tar), cache, SpanCache())


def path_of(blob: Blob, cache: Cache) -> Path:
    assert cache.directory is not None
    return Path(cache.directory, f"{blob.packed.digest.hex}.frames")


def check(data: CopiedData, tar: bytes = TEXT, seed: int = 1, count: int = 30) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        offset, length = rng.randrange(len(tar)), rng.choice((1, 4096, 131_072))
        assert data.read(offset, length) == tar[offset : offset + length]


# --- the copy ---


def test_the_layer_is_decoded_once(blob: Blob, cache: Cache) -> None:
    data = data_of(blob, cache)
    check(data)
    assert blob.reads == 1
    check(data_of(blob, cache))
    assert blob.reads == 1
    assert os.listdir(cache.directory) == [path_of(blob, cache).name]


def test_whoever_comes_at_once_waits_for_one_copy(blob: Blob, cache: Cache) -> None:
    data = data_of(blob, cache)
    start = threading.Barrier(6)
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        try:
            start.wait()
            check(data, seed=seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert blob.reads == 1


def test_what_is_decoded_is_ready(blob: Blob, cache: Cache) -> None:
    data = data_of(blob, cache)
    assert data.read_ready(0, 10) is None
    data.read(0, 1)
    assert data.read_ready(0, 10) == TEXT[:10]


def test_closing_is_not_the_end(blob: Blob, cache: Cache) -> None:
    data = data_of(blob, cache)
    check(data)
    data.close()
    assert data.read_ready(0, 1) is None
    check(data)
    assert blob.reads == 1


def test_data_in_small_frames_gets_a_table_and_no_copy(cache: Cache) -> None:
    blob = Blob(zstd_chunked(TEXT[i : i + 90_000] for i in range(0, len(TEXT), 90_000)))
    check(data_of(blob, cache))
    table = FrameTable(os.open(path_of(blob, cache), os.O_RDONLY), blob.packed.digest)
    assert table.kind is Kind.BLOB
    assert path_of(blob, cache).stat().st_size < 1000


def test_a_table_just_made_is_used(cache: Cache) -> None:
    blob = Blob(zstd_chunked([TEXT[:100_000], TEXT[100_000:200_000]]))
    decoder = ZstdPass()
    unpacked(decoder, blob.data)
    with cache.create() as file:
        decoder.notes.write(file, blob.packed.digest)
        fd = os.dup(file.fileno())
    data = data_of(blob, cache, TEXT[:200_000])
    data.use(fd)
    assert data.read(199_990, 100) == TEXT[199_990:200_000]
    assert os.listdir(cache.directory) == []


# --- the copy comes to harm ---


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    # Writing in place: those who have it open see it.
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(len(data) // 2)
        elif how == "emptied":
            file.truncate(0)
        elif how == "header":
            file.write(b"\0" * 50)
        elif how == "index":
            file.seek(-40, os.SEEK_END)
            file.write(b"\0" * 40)
        else:
            for offset in range(1000, len(data) - 2000, 20_000):
                file.seek(offset)
                file.write(b"\x55\xaa")


HARM = ["cut", "emptied", "header", "index", "data"]


@pytest.mark.parametrize("how", HARM)
def test_a_damaged_copy_is_made_again(
    cache: Cache, how: str, expects_warnings: list[logging.LogRecord]
) -> None:
    blob = Blob(PACKED["zstd"])
    check(data_of(blob, cache))
    damage(path_of(blob, cache), how)
    check(data_of(blob, cache))
    assert blob.reads == 2
    assert len(expects_warnings) == 1
    check(data_of(blob, cache))
    assert blob.reads == 2


@pytest.mark.parametrize("how", HARM)
def test_a_copy_that_is_damaged_while_it_is_read_is_made_again(
    cache: Cache, how: str, expects_warnings: list[logging.LogRecord]
) -> None:
    blob = Blob(PACKED["zstd"])
    data = data_of(blob, cache)
    assert data.read(0, 10) == TEXT[:10]
    damage(path_of(blob, cache), how)
    check(data)
    assert blob.reads == (1 if how in ("header", "index") else 2)
    assert len(expects_warnings) == blob.reads - 1


def test_many_readers_of_a_damaged_copy_are_all_right(
    cache: Cache, expects_warnings: list[logging.LogRecord]
) -> None:
    blob = Blob(PACKED["zstd"])
    data = data_of(blob, cache)
    data.read(0, 1)
    damage(path_of(blob, cache), "data")
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        try:
            check(data, seed=seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert blob.reads == 2


def test_a_copy_of_another_length_is_made_again(
    cache: Cache, expects_warnings: list[logging.LogRecord]
) -> None:
    """One that an earlier layer of this digest left cannot be: it would be a hash collision; one
    that somebody put there can."""
    blob, other = Blob(PACKED["zstd"]), Blob(PACKED["xz"])
    check(data_of(other, cache))
    shutil.copy(path_of(other, cache), path_of(blob, cache))
    check(data_of(blob, cache))
    assert blob.reads == 1
    assert "another layer" in expects_warnings[0].getMessage()


def test_a_cache_that_is_deleted_does_not_matter(blob: Blob, cache: Cache) -> None:
    data = data_of(blob, cache)
    check(data)
    assert cache.directory is not None
    shutil.rmtree(cache.directory)
    check(data)
    assert blob.reads == 1
    data.close()
    check(data)
    assert blob.reads == 2


# --- no room ---


def test_without_a_cache_the_layer_is_decoded_live(blob: Blob) -> None:
    data = data_of(blob, Cache(None))
    for offset in range(0, len(TEXT), 131_072):
        assert data.read(offset, 131_072) == TEXT[offset : offset + 131_072]
    # Reading forwards decodes each byte once.
    assert blob.reads == 1
    check(data, count=5)


def test_a_copy_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    blob = Blob(PACKED["zstd"])
    cache = Cache(str(tmp_path / "cache"), limit=300_000)
    check(data_of(blob, cache), count=5)
    assert os.listdir(tmp_path / "cache") == []


def test_room_is_asked_for_again(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = Blob(PACKED["zstd"])
    full = Cache(None)
    data = data_of(blob, full)
    assert data.read(0, 10) == TEXT[:10]
    full.directory = cache.directory
    assert data.read(0, 10) == TEXT[:10]
    assert not path_of(blob, cache).exists()
    monkeypatch.setattr(copieddata, "_FULL", 0.0)
    data.close()
    full.directory = None
    assert data.read(0, 10) == TEXT[:10]
    full.directory = cache.directory
    assert data.read(0, 10) == TEXT[:10]
    assert path_of(blob, cache).exists()


def test_live_data_is_right_forwards_and_backwards(blob: Blob) -> None:
    live = LiveData(blob.packed)
    rng = random.Random(5)
    for _ in range(12):
        offset, length = rng.randrange(len(TEXT) + 10), rng.choice((0, 1, 4096, 3 << 20))
        assert live.read(offset, length) == TEXT[offset : offset + length]


def test_small_steps_backwards_decode_nothing_again() -> None:
    """The kernel's read-ahead arrives in any order."""
    blob = Blob(PACKED["zstd"])
    live = LiveData(blob.packed)
    for offset in range(0, len(TEXT) - FRAME, FRAME):
        for begin in (offset + FRAME // 2, offset):
            assert live.read(begin, FRAME // 2) == TEXT[begin : begin + FRAME // 2]
    assert blob.reads == 1


# --- the blob is wrong ---


@pytest.mark.parametrize("where", [100, 0.3, 0.9])
def test_a_damaged_layer_is_an_error_and_leaves_nothing(
    blob: Blob, cache: Cache, where: float
) -> None:
    place = int(where * len(blob.data)) if where < 1 else int(where)
    bad = bytearray(blob.data)
    bad[place] ^= 0xFF
    blob.data = bytes(bad)
    for data in (data_of(blob, cache), data_of(blob, Cache(None))):
        with pytest.raises(InvalidLayer, match=f"^layer {blob.packed.digest}: "):
            data.read(len(TEXT) - 10, 10)
    assert os.listdir(cache.directory) == []


def test_a_layer_of_another_length_is_an_error(blob: Blob, cache: Cache) -> None:
    with pytest.raises(InvalidLayer, match=f"to {len(TEXT)} bytes instead of 5"):
        data_of(blob, cache, b"12345").read(0, 1)
    assert os.listdir(cache.directory) == []


def test_what_reading_the_blob_raises_passes(cache: Cache) -> None:
    def read(offset: int, length: int) -> bytes:
        if offset:
            raise Damaged("half of it is wrong")
        return PACKED["zstd"][:length]

    packed = Packed(Digest.of(b""), Compression.ZSTD, read, len(PACKED["zstd"]))
    for where in (cache, Cache(None)):
        data = CopiedData(packed, len(TEXT), where, SpanCache())
        with pytest.raises(Damaged):
            data.read(len(TEXT) - 1, 1)
    assert os.listdir(cache.directory) == []


def test_a_disk_that_loses_what_is_written_is_an_error(
    tmp_path: Path, expects_warnings: list[logging.LogRecord]
) -> None:
    """Each copy is bad as soon as it is made: no endless loop."""

    class Bad(Cache):
        def publish(self, *arguments: object) -> int:
            fd = super().publish(*arguments)  # type: ignore[arg-type]
            os.ftruncate(fd, os.fstat(fd).st_size - 1)
            return fd

    with pytest.raises(InvalidTable):
        data_of(Blob(PACKED["zstd"]), Bad(str(tmp_path / "cache"))).read(0, 1)
