"""Listings through the kernel: what it keeps of them, and what one sees of a directory that changes
while it is read."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from tests import builders
from tests.builders import OCI_LAYER_GZIP, RossStore
from tests.conftest import Mount
from tests.layers import Layer, image_of
from tests.mounts import Mounted

pytestmark = pytest.mark.fuse

COUNTS = (3, 1000)
DEADLINE = 60.0


class Live:
    """A store and its mount."""

    def __init__(self, ross: RossStore, mounted: Mounted) -> None:
        self.ross = ross
        self.mounted = mounted
        self.path = mounted.path
        self.manifest = builders.image(ross, "one").manifest

    def requests(self, name: str) -> int:
        """How many requests of a kind there were."""
        stats = json.loads((self.path / ".ross/stats").read_bytes())
        return int(stats["requests"].get(name, 0))


@pytest.fixture
def live(tmp_path: Path, mount: Mount) -> Live:
    ross = builders.ross_store(tmp_path / "store")
    return Live(ross, mount(ross.root))


class Tags:
    """The tags of a repository."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.path = live.path / "tags/lab/app"
        self._below = live.ross.root / "tags/lab/app"

    def add(self, number: int) -> str:
        """Put something into the store without the mount; its name."""
        self._live.ross.set_tag("lab/app", f"v{number}", self._live.manifest)
        return f"v{number}"

    def remove(self, name: str) -> None:
        """Take it out again."""
        os.unlink(self._below / name)


class Repositories(Tags):
    """Repositories of a group."""

    def __init__(self, live: Live) -> None:
        super().__init__(live)
        self.path = live.path / "tags/lab"
        self._below = live.ross.root / "tags/lab"

    def add(self, number: int) -> str:
        self._live.ross.set_tag(f"lab/r{number}", "v1", self._live.manifest)
        return f"r{number}"

    def remove(self, name: str) -> None:
        shutil.rmtree(self._below / name)


class Blobs:
    """Content."""

    def __init__(self, live: Live) -> None:
        self._ross = live.ross
        self.path = live.path / "blobs/sha256"

    def add(self, number: int) -> str:
        return self._ross.put_blob(OCI_LAYER_GZIP, b"blob %d" % number).hex

    def remove(self, name: str) -> None:
        digest = Digest("sha256", name)
        os.unlink(self._ross.path(digest))
        os.unlink(self._ross.meta_path(digest))


class Incoming:
    """Files that wait."""

    def __init__(self, live: Live) -> None:
        self.path = live.path / "incoming"
        self._below = live.ross.root / "incoming"
        self._below.mkdir(exist_ok=True)

    def add(self, number: int) -> str:
        (self._below / f"f{number}").write_bytes(b"x")
        return f"f{number}"

    def remove(self, name: str) -> None:
        os.unlink(self._below / name)


Place = Tags | Repositories | Blobs | Incoming
PLACES = (Tags, Repositories, Blobs, Incoming)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", PLACES)
def test_what_others_changed_is_listed_at_once(
    live: Live, kind: Callable[[Live], Place], count: int
) -> None:
    """The kernel keeps nothing of a listing that was read to its end."""
    place = kind(live)
    names = {place.add(number) for number in range(count)}
    before = set(os.listdir(place.path))
    assert before >= names
    others = before - names
    for number in range(count, count + 3):
        names.add(place.add(number))
        assert set(os.listdir(place.path)) == names | others
        gone = names.pop()
        place.remove(gone)
        assert set(os.listdir(place.path)) == names | others


class Stream:
    """A DIR of the C library."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(None, use_errno=True)
        self._c.opendir.restype = self._c.readdir.restype = ctypes.c_void_p
        self._c.telldir.restype = ctypes.c_long
        self._c.opendir.argtypes = (ctypes.c_char_p,)
        for name in ("readdir", "rewinddir", "telldir", "closedir"):
            getattr(self._c, name).argtypes = (ctypes.c_void_p,)
        self._c.seekdir.argtypes = (ctypes.c_void_p, ctypes.c_long)
        self._dir = self._c.opendir(os.fsencode(path))
        assert self._dir

    def read(self) -> str | None:
        """The next name; None at the end."""
        ctypes.set_errno(0)
        entry = self._c.readdir(self._dir)
        if not entry:
            assert ctypes.get_errno() == 0
            return None
        return os.fsdecode(ctypes.string_at(entry + 19))  # struct dirent: d_name

    def rest(self) -> list[str]:
        """All names to the end."""
        return list(iter(self.read, None))

    def rewind(self) -> None:
        self._c.rewinddir(self._dir)

    def tell(self) -> int:
        return int(self._c.telldir(self._dir))

    def seek(self, position: int) -> None:
        self._c.seekdir(self._dir, position)

    def close(self) -> None:
        self._c.closedir(self._dir)


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """An open directory."""
    stream = Stream(path)
    try:
        yield stream
    finally:
        stream.close()


@pytest.mark.parametrize("kind", PLACES)
def test_who_rewinds_an_open_directory_sees_what_changed(
    live: Live, kind: Callable[[Live], Place]
) -> None:
    place, count = kind(live), 500
    names = {place.add(number) for number in range(count)}
    with opened(place.path) as stream:
        others = set(stream.rest()) - names
        for number in range(count, count + 3):
            names.add(place.add(number))
            place.remove(names.pop())
            stream.rewind()
            seen = stream.rest()
            assert set(seen) == names | others
            assert len(seen) == len(set(seen))


@pytest.mark.parametrize("count", COUNTS)
def test_a_position_in_a_directory_that_changes_can_be_gone_back_to(live: Live, count: int) -> None:
    place = Tags(live)
    for number in range(count):
        place.add(number)
    with opened(place.path) as stream:
        positions = [stream.tell()]
        names: list[str] = []
        while (name := stream.read()) is not None and len(names) < count:
            names.append(name)
            positions.append(stream.tell())
        for number in range(count, count + 10):
            place.add(number)
        middle = len(names) // 2
        for at in (middle, len(names) - 1, 1, middle + 1):
            stream.seek(positions[at])
            assert stream.read() == names[at]
        rest = stream.rest()
        assert len(rest) == len(set(rest))
        stream.seek(positions[0])
        assert len(stream.rest()) == count + 12


def test_a_large_directory_is_removed_while_it_is_listed(live: Live) -> None:
    top = live.path / "incoming/large"
    top.mkdir()
    for number in range(300):
        (top / f"d{number}").mkdir()
    with opened(top) as stream:
        first = [stream.read() for _ in range(10)]
        done = subprocess.run(
            ["rm", "-r", top], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
        rest = stream.rest()
        assert len(set(first) | set(rest)) == len(first) + len(rest)
    assert "large" not in os.listdir(live.path / "incoming")


def test_names_are_removed_as_they_are_read(live: Live) -> None:
    """As rm(1) and rmtree of some languages do: none may be left out."""
    top = live.path / "incoming/large"
    top.mkdir()
    for number in range(300):
        (top / f"d{number}").mkdir()
    with opened(top) as stream:
        while (name := stream.read()) is not None:
            if name not in (".", ".."):
                (top / name).rmdir()
    top.rmdir()


def test_the_kernel_keeps_listings_of_a_root_filesystem(live: Live) -> None:
    layer = Layer()
    for number in range(500):
        layer.file(f"d{number % 7}/f{number}", b"x")
    digest = image_of(layer).put(live.ross)
    rootfs = live.path / "images/sha256" / digest.hex / "rootfs"

    def walk() -> list[str]:
        return sorted(os.path.join(at, name) for at, _, files in os.walk(rootfs) for name in files)

    names = walk()
    assert len(names) == 500
    before = live.requests("readdir")
    assert before
    assert walk() == names
    assert live.requests("readdir") == before
    assert live.requests("opendir") == live.requests("releasedir") == 0
