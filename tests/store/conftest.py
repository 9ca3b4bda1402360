"""A store that Ross wrote, opened as a whole or in part, and the steps of what is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from rossfs.store import durable
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.store import Store
from rossfs.store.tags import Tags
from tests.builders import RossStore, image, ross_store
from tests.store.tagging import open_tags


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


@pytest.fixture
def contents(ross: RossStore) -> Contents:
    return Contents(Access.open(str(ross.root)))


@pytest.fixture
def read_only(ross: RossStore) -> Contents:
    return Contents(Access.open(str(ross.root), read_only=True))


@pytest.fixture
def tags(ross: RossStore) -> Tags:
    return open_tags(ross.root)


@pytest.fixture
def first(ross: RossStore) -> Digest:
    return image(ross, "first").manifest


@pytest.fixture
def second(ross: RossStore) -> Digest:
    return image(ross, "second").manifest


@pytest.fixture
def steps() -> Iterator[list[str]]:
    """The steps of `durable` that were reached."""
    seen: list[str] = []
    durable.reached = seen.append
    yield seen
    durable.reached = None
