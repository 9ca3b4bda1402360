"""A store and a mount of it, into which tests put images of layers that they made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import builders, mounts
from tests.builders import RossStore
from tests.layers import Layer, LayeredImage, image_of
from tests.mount.hostilelayers import look
from tests.mounts import Mounted

GOOD = image_of(Layer().file("good", b"as good as before"))


class Lab(NamedTuple):
    """A store and a mount of it, for images to be put in and looked at."""

    store: RossStore
    mounted: Mounted

    def show(self, image: LayeredImage) -> Path:
        """Store an image; return its directory in the mount."""
        digest = image.put(self.store)
        return self.mounted.path / "images/sha256" / digest.hex

    def rootfs(self, *layers: Layer | bytes) -> Path:
        """The root filesystem of an image of these layers."""
        return self.show(image_of(*layers)) / "rootfs"


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    top = tmp_path_factory.mktemp("hostile")
    store = builders.ross_store(top / "store")
    GOOD.put(store, "lab/good:v1")
    with mounts.mounted(store.root, top / "mnt", top / "log", "dev", "suid") as mounted:
        mounted.expect_log("WARNING")
        yield Lab(store, mounted)


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The store and the mount; whatever a test does, the mount goes on serving another image."""
    yield shared_lab
    good = shared_lab.mounted.path / "tags/lab/good/v1/rootfs"
    assert look(good) == {"good": b"as good as before"}
    assert b"Traceback" not in shared_lab.mounted.log.read_bytes()
