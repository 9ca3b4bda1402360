"""A store of the images that real tools made, once per session, and mounts of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import mounts, realimages
from tests.mounts import Mounted
from tests.realimages import RealImages
from tests.requirements import require_root, require_tools

KINDS = ("gzip", "zstd", "docker", "plain")
"""The forms of the image; each is tagged lab/<kind>:latest."""


class RealStore(NamedTuple):
    """A store with all of them, and what umoci makes of the image."""

    path: Path
    images: RealImages
    unpacked: Path
    """The root filesystem by umoci.  Nobody changes it."""


class RealMount(NamedTuple):
    """A mount of that store."""

    mounted: Mounted
    content: RealStore

    @property
    def path(self) -> Path:
        return self.mounted.path

    def rootfs(self, kind: str = "gzip") -> Path:
        """The root filesystem of the image in one of its forms."""
        return self.path / "tags/lab" / kind / "latest" / "rootfs"


@pytest.fixture(scope="session")
def real_store(tmp_path_factory: pytest.TempPathFactory) -> RealStore:
    """The images, imported."""
    require_root("make devices and files of others")
    require_tools(*realimages.NEEDED)
    top = tmp_path_factory.mktemp("real")
    images = realimages.made(top)
    store = top / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    for kind, source in zip(KINDS, images, strict=True):
        transport = "oci" if (source / "oci-layout").exists() else "dir"
        import_into(store, f"{transport}:{source}", f"lab/{kind}:latest")
    return RealStore(store, images, realimages.unpack(images.gzip, top / "bundle", top))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, real_store: RealStore) -> Iterator[RealMount]:
    """A mount of them for one module, with devices and set-user-ID programs."""
    top = tmp_path_factory.mktemp("realmount")
    with mounts.mounted(real_store.path, top / "mnt", top / "log", "dev", "suid") as mounted:
        yield RealMount(mounted, real_store)


def import_into(store: Path, source: str, name: str) -> None:
    """`rossfs import`, which must succeed and have nothing to complain of."""
    done = mounts.rossfs("--store", store, "import", source, name, timeout=100)
    assert done.returncode == 0, done.stderr
    assert b"warning" not in done.stderr, done.stderr


def without_cache(store: Path) -> None:
    """Take away what was derived from layers, as anybody may at any time."""
    shutil.rmtree(store / "cache", ignore_errors=True)
