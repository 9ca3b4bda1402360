"""What was chosen for a store: kept, and the default where it cannot be read."""

from __future__ import annotations

import msgpack
import pytest

from rossfs.store import settings
from rossfs.store.settings import Settings
from rossfs.store.store import Store


def test_nothing_chosen_is_the_default(store: Store) -> None:
    assert settings.read(store.paths) == Settings(pin_age=86400.0)


def test_what_was_chosen_is_kept(store: Store) -> None:
    settings.write(store.access, Settings(pin_age=60))
    with Store.open(store.paths.root) as again:
        assert settings.read(again.paths) == Settings(pin_age=60.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81",
        bytes(70000),
        msgpack.packb(None),
        msgpack.packb([]),
        msgpack.packb({"other": 1}),
        msgpack.packb({"pin_age": "soon"}),
        msgpack.packb({"pin_age": -1}),
        msgpack.packb({"pin_age": float("nan")}),
        msgpack.packb({"pin_age": float("inf")}),
    ],
)
def test_an_unreadable_file_is_the_default(store: Store, data: bytes) -> None:
    with open(store.paths.settings, "wb") as file:
        file.write(data)
    assert settings.read(store.paths) == Settings()
