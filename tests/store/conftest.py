"""A store that Ross wrote, opened: what most tests of what stores do with others' content need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests.builders import RossStore, ross_store


@pytest.fixture
def ross(tmp_path: Path) -> RossStore:
    return ross_store(tmp_path)


@pytest.fixture
def opened(ross: RossStore, request: pytest.FixtureRequest) -> Iterator[Store]:
    """The store, opened; fsck finds no damage in it after the test, unless the test is marked
    `damages_store`."""
    with Store.open(str(ross.root)) as store:
        yield store
        if request.node.get_closest_marker("damages_store") is None:
            assert [str(found) for found in store.fsck() if found.is_damage] == []
