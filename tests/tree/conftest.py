"""A store for the tests of the tree: written as Ross writes it, so that nothing in it is proven,
and looked at through the parts of the store that nodes use."""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.pins import Pins
from rossfs.store.references import References
from rossfs.store.tags import Tags
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.numbers import Numbers
from tests.builders import RossStore, ross_store


@pytest.fixture
def ross(tmp_path: Path) -> RossStore:
    return ross_store(tmp_path / "ross")


@pytest.fixture
def access(ross: RossStore) -> Access:
    return Access.open(str(ross.root))


@pytest.fixture
def contents(access: Access) -> Contents:
    return Contents(access)


@pytest.fixture
def tags(access: Access, contents: Contents) -> Tags:
    return Tags(access, contents)


@pytest.fixture
def references(access: Access, contents: Contents, tags: Tags) -> References:
    return References(contents, tags, Pins(access))


@pytest.fixture
def numbers() -> Numbers:
    return Numbers(b"a key of these tests")


@pytest.fixture
def files(contents: Contents, numbers: Numbers) -> ContentFiles:
    return ContentFiles(contents, numbers)
