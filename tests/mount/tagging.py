"""A part of a mount for one test of tags, and the programs that change tags."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import builders, mounts
from tests.builders import Image
from tests.mount.waiting import text_of
from tests.mounts import Mounted

DEADLINE = 60.0

_numbers = itertools.count(1)


class Tagging:
    """A mounted store with two images, of which the first is tagged TEST/app:v1."""

    def __init__(self, store: Store, mounted: Mounted, name: str) -> None:
        self.store = store
        self.mounted = mounted
        self.name = name
        """The directory of tags/ that the test has for itself."""
        self.one = builders.image(store, f"{name} one", tag=f"{name}/app:v1")
        self.two = builders.image(store, f"{name} two")
        self.mount = mounted.path
        self.top = mounted.path / "tags" / name
        self.app = self.top / "app"

    def image(self, image: Image) -> Path:
        """The directory of an image in the mount."""
        return self.mount / "images/sha256" / image.manifest.hex

    def names(self, link: Path, image: Image) -> bool:
        """Whether the tag, in the mount and on the disk, names *image*."""
        repository, _, tag = str(link.relative_to(self.mount / "tags")).rpartition("/")
        return (
            text_of(link).endswith(f"/images/sha256/{image.manifest.hex}")
            and link.resolve() == self.image(image)
            and (link / "manifest.json").read_bytes() == image.parts.manifest
            and self.store.tags.get(repository, tag).digest == image.manifest
        )

    def is_gone(self, link: Path) -> bool:
        """Whether there is no such tag, in the mount, in its listing and on the disk."""
        repository, _, tag = str(link.relative_to(self.mount / "tags")).rpartition("/")
        return (
            not os.path.lexists(link)
            and (not link.parent.exists() or link.name not in os.listdir(link.parent))
            and self.store.tags.find(repository, tag) is None
        )

    def log(self) -> str:
        """What the mount says of itself."""
        return (self.mount / ".ross/log").read_text()


@pytest.fixture(scope="module")
def tagged_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Mounted]]:
    """A store, opened here, and its mount, served by another process."""
    top = tmp_path_factory.mktemp("tags")
    with Store.create(str(top / "store")) as store:
        with mounts.mounted(top / "store", top / "mnt", top / "log") as mounted:
            yield store, mounted
        assert list(store.fsck()) == []


@pytest.fixture
def tagging(tagged_mount: tuple[Store, Mounted]) -> Tagging:
    """A part of the mount for one test."""
    return Tagging(*tagged_mount, f"t{next(_numbers)}")


def run(*command: str | Path) -> None:
    """Run a program that must succeed and say nothing."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, b""), done


def fails(*command: str | Path) -> str:
    """Run a program that must fail; return what it complains of."""
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        timeout=DEADLINE,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode != 0, done
    return done.stderr.decode()
