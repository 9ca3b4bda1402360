import os
import tracemalloc
from pathlib import Path

import pytest

from rossfs.image import tables
from rossfs.image.cache import Cache
from rossfs.image.tables import POINTS, TOC, Tables, forget_tables, table_name
from tests.builders import digest_of
from tests.image.layering import cached

DIGEST = digest_of(b"layer")
DATA = os.urandom(100_000)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def publish(cache: Cache, kind: str, data: bytes = DATA) -> int:
    file = cache.create()
    file.write(data)
    return cache.publish(file, table_name(DIGEST, kind))


def content(fd: int | None) -> bytes:
    assert fd is not None
    try:
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)


def test_a_table_that_is_not_there_must_be_made(cache: Cache) -> None:
    assert Tables(cache, DIGEST).open(TOC) is None
    assert Tables(cache, DIGEST).open_mapped(TOC) is None


def test_a_table_is_found_in_the_cache(cache: Cache) -> None:
    os.close(publish(cache, POINTS))
    assert content(Tables(cache, DIGEST).open(POINTS)) == DATA
    assert Tables(cache, DIGEST).open(TOC) is None
    assert Tables(cache, digest_of(b"other")).open(POINTS) is None


def test_what_was_just_made_is_used_once_and_then_that_of_the_cache(cache: Cache) -> None:
    os.close(publish(cache, TOC, b"in the cache"))
    found = Tables(cache, DIGEST)
    fresh = os.memfd_create("fresh")
    os.write(fresh, b"fresh")
    found.put({TOC: fresh})
    assert content(found.open(TOC)) == b"fresh"
    assert content(found.open(TOC)) == b"in the cache"


def test_what_is_not_used_is_closed(cache: Cache) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    found = Tables(cache, DIGEST)
    found.put({TOC: os.memfd_create("one"), POINTS: os.memfd_create("two")})
    found.put({TOC: os.memfd_create("three")})
    found.drop(POINTS)
    found.drop(POINTS)
    del found
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_discarded_table_is_gone(cache: Cache) -> None:
    os.close(publish(cache, TOC))
    found = Tables(cache, DIGEST)
    found.discard(TOC)
    found.discard(TOC)
    assert found.open(TOC) is None


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_mapped_table_is_out_of_reach(
    cache: Cache, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(tables, "IN_MEMORY", 1000)
    os.close(publish(cache, TOC))
    before = sorted(os.listdir("/proc/self/fd"))
    fd = Tables(cache, DIGEST).open_mapped(TOC)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    assert cached(cache) == {table_name(DIGEST, TOC)}
    assert cache.directory is not None
    with open(f"{cache.directory}/{table_name(DIGEST, TOC)}", "r+b") as file:
        file.write(b"altered")
        file.truncate(10)
    assert content(fd) == DATA


def test_a_large_table_is_mapped_even_where_there_is_no_room_for_a_copy(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "IN_MEMORY", 1000)
    found = Tables(Cache(None), DIGEST)
    found.put({TOC: publish(cache, TOC)})
    assert content(found.open_mapped(TOC)) == DATA


def test_forgetting_many_tables_takes_no_memory(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    tracemalloc.start()
    try:
        forget_tables(cache, (digest_of(b"%d" % number) for number in range(5000)))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < 200_000
