from __future__ import annotations

import os
from pathlib import Path

import pytest

from rossfs.image.cache import Cache
from rossfs.image.cachelocation import cache_directory, layer_cache
from rossfs.store.store import Store

NAME = "ab" * 32 + ".toc"


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    Store.create(str(path)).close()
    return path


def put(cache: Cache, data: bytes, name: str = NAME) -> None:
    file = cache.create()
    file.write(data)
    os.close(cache.publish(file, name))


def content(cache: Cache, name: str = NAME) -> bytes | None:
    fd = cache.open(name)
    if fd is None:
        return None
    with open(fd, "rb") as file:
        return file.read()


def test_a_store_that_can_be_written_holds_its_own_tables(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        put(layer_cache(store, "/home/nobody/.cache"), b"table")
    assert (store_path / "cache" / NAME).read_bytes() == b"table"
    assert (store_path / "cache").stat().st_mode & 0o777 == 0o755


def test_a_store_that_cannot_be_written_has_them_in_the_users_cache(
    store_path: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with Store.open(str(store_path), read_only=True) as store:
        put(layer_cache(store, str(home)), b"table")
    (kept,) = home.glob("rossfs/*/*")
    assert kept.read_bytes() == b"table"
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert not (store_path / "cache" / NAME).exists()


def test_two_stores_do_not_share_a_place(tmp_path: Path) -> None:
    places = set()
    for name in ("one", "two"):
        Store.create(str(tmp_path / name)).close()
        with Store.open(str(tmp_path / name), read_only=True) as store:
            places.add(cache_directory(store, "/home/ann/.cache"))
    assert len(places) == 2


def test_without_a_place_tables_are_kept_in_memory(store_path: Path) -> None:
    with Store.open(str(store_path), read_only=True) as store:
        assert cache_directory(store, None) is None
        cache = layer_cache(store, None)
        file = cache.create()
        file.write(b"table")
        with open(cache.publish(file, NAME), "rb") as published:
            published.seek(0)
            assert published.read() == b"table"
        assert content(cache) is None


def test_the_place_that_was_asked_for_is_used(store_path: Path, tmp_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        put(layer_cache(store, None, str(tmp_path / "here"), 1 << 20), b"table")
    assert (tmp_path / "here" / NAME).read_bytes() == b"table"


def test_tables_in_the_store_are_used_where_it_cannot_be_written(
    store_path: Path, tmp_path: Path
) -> None:
    with Store.open(str(store_path)) as store:
        put(layer_cache(store, None), b"from the store")
    with Store.open(str(store_path), read_only=True) as store:
        cache = layer_cache(store, str(tmp_path / "home"))
        assert content(cache) == b"from the store"


def test_a_damaged_table_in_the_store_stays_there_and_is_not_used_again(
    store_path: Path, tmp_path: Path
) -> None:
    with Store.open(str(store_path)) as store:
        put(layer_cache(store, None), b"damaged")
    with Store.open(str(store_path), read_only=True) as store:
        cache = layer_cache(store, str(tmp_path / "home"))
        cache.discard(NAME)
        assert content(cache) is None
        put(cache, b"made again")
        assert content(cache) == b"made again"
    assert (store_path / "cache" / NAME).read_bytes() == b"damaged"


def test_eviction_does_not_make_a_shared_table_distrusted(store_path: Path, tmp_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        put(layer_cache(store, None), b"shared")
    with Store.open(str(store_path), read_only=True) as store:
        cache = layer_cache(store, str(tmp_path / "home"), None, 10)
        put(cache, b"own")
        put(cache, b"0123456789", "cd" * 32 + ".toc")
        assert content(cache) == b"shared"
