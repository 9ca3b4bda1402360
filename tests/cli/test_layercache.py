"""The cache of the user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rossfs.cli.layercache import layer_cache, user_cache
from rossfs.store.store import Store

NAME = f"{'0' * 64}.toc"


@pytest.mark.parametrize("value", [None, "", "relative/path"])
def test_it_is_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == f"{tmp_path}/.cache"


def test_it_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/caches/")
    assert user_cache() == "/srv/caches"


def test_without_a_home_there_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "nowhere")
    assert user_cache() is None


def test_a_store_of_others_has_its_tables_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with Store.open(store.paths.root, read_only=True) as other:
        cache = layer_cache(other)
        with cache.create() as temporary:
            temporary.write(b"a table")
            os.close(cache.publish(temporary, NAME))
    (place,) = (tmp_path / "xdg/rossfs").iterdir()
    assert (place / NAME).read_bytes() == b"a table"
    assert not os.path.exists(store.paths.cache)
