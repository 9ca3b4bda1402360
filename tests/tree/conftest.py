"""A store for the tests of the tree, written as Ross writes it: nothing in it is proven."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store.contents import Contents
from rossfs.store.references import References
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.images import Images
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.tags import Names, TagsDirectory
from rossfs.tree.uploads import Uploads
from tests.builders import RossStore, image, ross_store


@pytest.fixture
def ross(tmp_path: Path) -> RossStore:
    return ross_store(tmp_path / "ross")


@pytest.fixture
def opened(ross: RossStore) -> Iterator[Store]:
    """The store that `ross` writes, as rossfs opens it."""
    with Store.open(str(ross.root)) as store:
        yield store


@pytest.fixture
def contents(opened: Store) -> Contents:
    return opened.contents


@pytest.fixture
def references(opened: Store) -> References:
    return opened.references


@pytest.fixture
def numbers() -> Numbers:
    return Numbers(b"a key of these tests")


@pytest.fixture
def files(contents: Contents, numbers: Numbers) -> ContentFiles:
    return ContentFiles(contents, numbers)


@pytest.fixture
def uploads(opened: Store) -> Uploads:
    return Uploads(opened)


@pytest.fixture
def top(uploads: Uploads, numbers: Numbers) -> TagsDirectory:
    """tags/ of the store that `ross` writes."""
    return TagsDirectory(Fixed.TAGS, Names(uploads, numbers, writable=True))


@pytest.fixture
def digest(ross: RossStore) -> Digest:
    return image(ross, "one", tag="library/app:latest").manifest


@pytest.fixture
def other(ross: RossStore) -> Digest:
    return image(ross, "other").manifest


@pytest.fixture
def images(opened: Store, files: ContentFiles, numbers: Numbers) -> Images:
    return Images(opened, files, numbers, Platform.parse("linux/amd64"))
