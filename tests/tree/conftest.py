"""A store for the tests of the tree, written as Ross writes it: nothing in it is proven."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.contents import Contents
from rossfs.store.references import References
from rossfs.store.store import Store
from rossfs.tree.als import AdditionalLayers
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.images import Images
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.tags import Names, TagsDirectory
from rossfs.tree.trees import Trees
from rossfs.tree.uploads import Uploads
from tests.builders import RossStore, image, ross_store
from tests.layers import image_of
from tests.tree.alslooking import additional
from tests.tree.browsing import Browser, bottom, middle
from tests.tree.pictures import AMD64


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
def layers(opened: Store, tmp_path: Path) -> Iterator[Layers]:
    """The layers of the store, with a cache beside it."""
    made = Layers(opened, Cache(str(tmp_path / "cache")))
    yield made
    made.close()


@pytest.fixture
def trees() -> Trees:
    return Trees()


@pytest.fixture
def inside(opened: Store, layers: Layers, numbers: Numbers, trees: Trees) -> ImageTrees:
    return ImageTrees(opened, layers, numbers, trees)


@pytest.fixture
def images(opened: Store, files: ContentFiles, inside: ImageTrees, numbers: Numbers) -> Images:
    return Images(opened, files, inside, numbers, AMD64)


@pytest.fixture
def browser(store: Store, tmp_path: Path) -> Iterator[Browser]:
    """A mount's view of the images of `store`."""
    made = Browser(store, str(tmp_path / "cache"))
    yield made
    made.layers.close()


@pytest.fixture
def als(store: Store) -> AdditionalLayers:
    """als/ of a mount of `store`."""
    return additional(store)


@pytest.fixture
def layer(store: Store) -> Digest:
    """A layer in `store`, of an image that has another below it."""
    built = image_of(bottom(), middle())
    built.put(store)
    return built.layers[1]
