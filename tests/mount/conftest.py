"""What the tests of real mounts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import mounts
from tests.image.conftest import tool
from tests.mount.gallery import Shown, gallery
from tests.mount.inbox import inbox, shared_inbox
from tests.mount.lab import lab, shared_lab
from tests.mount.realmount import real, real_store
from tests.mount.tagging import tagged_mount, tagging

__all__ = [
    "inbox",
    "lab",
    "real",
    "real_store",
    "shared_inbox",
    "shared_lab",
    "shown",
    "tagged_mount",
    "tagging",
    "tool",
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A mount of everything that the tests of a module share: none of them changes anything."""
    top = tmp_path_factory.mktemp("images")
    content = gallery(top / "store")
    with mounts.mounted(content.store.root, top / "mnt", top / "log", "platform=linux/amd64") as it:
        yield Shown(content, it)
