"""A mount that may open few files, of images with many more layers than that."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from tests import builders, mounts
from tests.layers import Layer, LayeredImage, image_of
from tests.mount.waiting import eventually
from tests.mounts import Mounted

pytestmark = pytest.mark.fuse

FEW = 512

IMAGES = 8

LAYERS = 101

OTHERS = 40
"""Descriptors that a mount has whatever it shows, and those for work under way."""


def made(number: int) -> LayeredImage:
    """An image whose layers are no other's: each has a file of its own and one that all have."""
    layers = [
        Layer().file(f"own/{number}-{each}", content(number, each)).file("all", b"%d" % each)
        for each in range(LAYERS)
    ]
    packings = cycle(["gzip", "zstd", "plain", "gzip", "zstd in frames", "gzip", "xz"])
    return image_of(*layers, packing=[next(packings) for _ in layers])


def content(number: int, each: int) -> bytes:
    return b"image %d, layer %d\n" % (number, each) * 20


class Limited:
    """A mount of IMAGES images that may have FEW descriptors."""

    def __init__(self, mounted: Mounted, images: dict[int, LayeredImage]) -> None:
        self.mounted = mounted
        self.images = images
        resource.prlimit(mounted.process.pid, resource.RLIMIT_NOFILE, (FEW, FEW))

    def at(self, number: int, path: str) -> Path:
        return self.mounted.path / "images/sha256" / self.images[number].digest.hex / path

    def open(self) -> int:
        """How many descriptors the mount has."""
        return len(os.listdir(f"/proc/{self.mounted.process.pid}/fd"))

    def check(self) -> None:
        """What nobody uses any more is within the limit, once the kernel has said so."""
        eventually(lambda: self.open() <= FEW // 2 + OTHERS)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, LayeredImage]]:
    store = builders.ross_store(tmp_path_factory.mktemp("few") / "store")
    images = {number: made(number) for number in range(IMAGES)}
    for number, image in images.items():
        image.put(store, f"library/app:v{number}")
    return store.root, images


@pytest.fixture(scope="module")
def limited(
    images: tuple[Path, dict[int, LayeredImage]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Limited]:
    root, made = images
    tmp_path = tmp_path_factory.mktemp("limited")
    with mounts.mounted(root, tmp_path / "mnt", tmp_path / "log") as mounted:
        yield Limited(mounted, made)


def opened_with(stack: ExitStack, path: Path) -> int:
    """Open *path* until *stack* ends; the errno if that failed, else 0."""
    try:
        stack.callback(os.close, os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.errno or -1
    return 0


def hashed(path: Path) -> Digest:
    with open(path, "rb") as file:
        return Digest.sha256(hashlib.file_digest(file, "sha256").hexdigest())


def again(path: Path) -> bytes:
    """The bytes of *path* from the mount, not from the kernel's pages."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def test_more_layers_are_read_than_files_may_be_open(limited: Limited) -> None:
    for _ in range(2):
        for number in limited.images:
            top = limited.at(number, "rootfs")
            assert again(top / "all") == b"%d" % (LAYERS - 1)
            for each in range(LAYERS):
                assert again(top / f"own/{number}-{each}") == content(number, each)
            assert len(os.listdir(top / "own")) == LAYERS
            limited.check()


def test_every_layer_is_shown_and_unpacked(limited: Limited) -> None:
    for number in limited.images:
        layers = sorted(path for path in limited.at(number, "layers").iterdir() if path.is_dir())
        assert len(layers) == LAYERS
        for each, path in enumerate(layers):
            assert (path / f"own/{number}-{each}").read_bytes() == content(number, each)
            assert (path / "all").read_bytes() == b"%d" % each
            tar = path.with_name(f"{path.name}.tar")
            if not tar.is_symlink():  # to a blob that is called so
                assert str(hashed(tar)).encode() == os.getxattr(path, "user.ross.diff_id")
        limited.check()


def test_archives_and_blobs_are_read_too(limited: Limited) -> None:
    for number, image in list(limited.images.items())[:3]:
        for name in ("oci.tar", "docker.tar"):
            assert hashed(limited.at(number, "archive") / name)
        for digest in image.layers:
            for place in ("blobs", "oci/library/app/blobs"):
                assert hashed(limited.mounted.path / place / "sha256" / digest.hex) == digest
        limited.check()


def test_podman_finds_them(limited: Limited) -> None:
    """In the order of their ids, so that each time it is another image."""
    layers = limited.mounted.path / "podman/overlay"
    paths = sorted(path for path in layers.iterdir() if path.name != "l")
    assert len(paths) == IMAGES * LAYERS
    for position, path in enumerate(paths[::3]):
        (own,) = os.listdir(path / "diff/own")
        number, _, each = own.partition("-")
        assert again(path / "diff/own" / own) == content(int(number), int(each))
        if position % 3 == 0:
            split = layers.with_name("overlay-layers") / f"{path.name}.tar-split.gz"
            assert gzip.decompress(split.read_bytes()).startswith(b"{")
    limited.check()


def test_files_that_are_open_stay_readable(limited: Limited) -> None:
    """More than may be kept open, each of another layer; then more of the store than can be."""
    with ExitStack() as opened:
        files = []
        for number in range(3):
            for each in range(LAYERS):
                path = limited.at(number, f"rootfs/own/{number}-{each}")
                files.append((opened.enter_context(open(path, "rb")), content(number, each)))
        for file, expected in files:
            assert file.read(10) == expected[:10]
        for number in range(3, IMAGES):
            top = limited.at(number, "rootfs")
            assert (top / f"own/{number}-7").read_bytes() == content(number, 7)
        for file, expected in files:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert file.read() == expected[10:]
        limited.check()


@pytest.mark.expects_warnings
def test_the_mount_outlives_more_open_files_than_it_may_have(limited: Limited) -> None:
    limited.mounted.expect_log("Too many open files|cannot be opened")
    digests = [digest for image in limited.images.values() for digest in image.layers]
    for each in range(LAYERS):
        assert limited.at(0, f"rootfs/own/0-{each}").read_bytes()
    with ExitStack() as opened:
        blobs = limited.mounted.path / "blobs/sha256"
        answers = [opened_with(opened, blobs / digest.hex) for digest in digests[: FEW + 20]]
        refused = len(answers) - answers.count(0)
        assert set(answers) == {0, errno.EMFILE}
        # What was kept open made room for all that could be had.
        assert 20 < refused < OTHERS + 20
        assert os.listdir(limited.mounted.path) != []
    for number in limited.images:
        assert limited.at(number, f"rootfs/own/{number}-3").read_bytes() == content(number, 3)
    limited.check()
