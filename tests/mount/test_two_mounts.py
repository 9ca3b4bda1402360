"""Two mounts of one store at once, each served by a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import builders
from tests.builders import digest_of
from tests.conftest import Mount
from tests.mount.waiting import eventually, is_gone, leads_to, text_of
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

DEADLINE = 60.0


@pytest.fixture
def pair(store: Store, mount: Mount) -> tuple[Path, Path, Store]:
    return mount(store.paths.root).path, mount(store.paths.root).path, store


def test_two_mounts_show_each_other_what_they_change(pair: tuple[Path, Path, Store]) -> None:
    one, two, store = pair
    image = builders.image(store, "app")
    other = builders.image(store, "other")
    for a, b in ((one, two), (two, one)):
        (a / "tags/lab").mkdir()
        eventually((b / "tags/lab").exists)
        os.symlink(f"/sha256/{image.manifest.hex}", a / "tags/lab/v1")
        eventually(leads_to, b / "tags/lab/v1", image.manifest)
        os.symlink(f"/sha256/{other.manifest.hex}", b / "tags/lab/new")
        os.rename(b / "tags/lab/new", b / "tags/lab/v1")
        eventually(leads_to, a / "tags/lab/v1", other.manifest)
        os.unlink(a / "tags/lab/v1")
        eventually(is_gone, b / "tags/lab/v1")
        eventually(_can_be_removed, b / "tags/lab")
        eventually(is_gone, a / "tags/lab")


def test_two_mounts_share_incoming(pair: tuple[Path, Path, Store]) -> None:
    one, two, store = pair
    for number, (a, b) in enumerate(((one, two), (two, one))):
        data = b"from mount %d" % number
        (a / "incoming/name").write_bytes(data)
        digest = digest_of(data)
        assert text_of(a / "incoming/name") == f"../blobs/sha256/{digest.hex}"
        assert text_of(b / "incoming/name") == f"../blobs/sha256/{digest.hex}"
        assert (b / "incoming/name").read_bytes() == data
        assert store.get_blob(digest) == data
    os.unlink(one / "incoming/name")
    assert os.listdir(two / "incoming") == []


def test_writers_through_two_mounts_lose_nothing(pair: tuple[Path, Path, Store]) -> None:
    """The same content, the same tags, from both sides."""
    one, two, store = pair
    manifests = [builders.image(store, f"image {n}").manifest.hex for n in range(3)]
    os.mkdir(one / "tags/lab")
    eventually((two / "tags/lab").exists)
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, path, name, *manifests])
        for name, path in (("a", one), ("b", two), ("c", one), ("d", two))
    ]
    assert [writer.wait(DEADLINE) for writer in writers] == [0] * 4
    for mount in (one, two):
        names = set(os.listdir(mount / "incoming"))
        assert names == {f"{name}{n}" for name in "abcd" for n in range(25)}
        for n in range(25):
            for name in "abcd":
                assert (mount / f"incoming/{name}{n}").read_bytes() == b"content %d" % n
        for name in "abcd":
            assert text_of(mount / f"tags/lab/{name}").rsplit("/", 1)[-1] in manifests
        assert text_of(mount / "tags/lab/shared").rsplit("/", 1)[-1] in manifests


_WRITER = """
import os, sys
mount, name, *manifests = sys.argv[1:]
for n in range(25):
    with open(f"{mount}/incoming/{name}{n}", "wb") as file:
        file.write(b"content %d" % n)
    for tag in (name, "shared"):
        new = f"{mount}/tags/lab/{name}-new"
        os.symlink(f"/sha256/{manifests[n % len(manifests)]}", new)
        os.replace(new, f"{mount}/tags/lab/{tag}")
"""


def _can_be_removed(directory: Path) -> bool:
    """Remove it, unless the mount still sees something in it."""
    return refused(os.rmdir, directory) in {"", "ENOENT"}
