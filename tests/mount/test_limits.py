"""Stores with very many things in them, through real mounts."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import mounts
from tests.bench import bulk
from tests.builders import CREATED, OCTET_STREAM, compact, digest_of
from tests.conftest import Mount
from tests.mount.waiting import eventually
from tests.mounts import Mounted
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

MANY = 131_072 + 28
"""Just more than what is listed with all attributes."""

FEWER = 50_000
"""Listed with all attributes."""

TAGS = 2_000

DEADLINE = 100.0

GROWTH = 32 << 20

LINKS = 30_000
"""Names of one file; ext4 allows 65,000."""


class Crowded:
    """A mounted store of many blobs and tags."""

    def __init__(self, root: Path, names: list[str], image: str, mounted: Mounted) -> None:
        self.root = root
        self.names = names
        self.image = image
        self.mounted = mounted
        self.blobs = mounted.path / "blobs/sha256"

    def memory(self) -> int:
        """What its server takes."""
        return memory_of(self.mounted)


def memory_of(mounted: Mounted) -> int:
    """Bytes that belong to the server alone."""
    with open(f"/proc/{mounted.process.pid}/status") as file:
        [kib] = [line.split()[1] for line in file if line.startswith("RssAnon:")]
    return int(kib) << 10


def fill(root: Path, count: int) -> None:
    """Make *count* names of blobs, quickly: the bytes of these are never read."""
    directory = root / "blobs/sha256"
    directory.mkdir(parents=True, exist_ok=True)
    numbers = random.Random(count)
    meta = compact(
        {"media_type": OCTET_STREAM, "size": 4, "created_at": CREATED, "accessed_at": CREATED}
    )
    first = ""
    for number in range(count):
        path = f"{directory}/{numbers.randbytes(32).hex()}"
        if number % LINKS == 0:
            first = path
            Path(path).write_bytes(b"some")
            Path(f"{path}.meta").write_bytes(meta)
        else:
            os.link(first, path)
            os.link(f"{first}.meta", f"{path}.meta")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    """A store with more than 131,072 blobs, and its mount, for all tests of this module."""
    top = tmp_path_factory.mktemp("limits")
    root = top / "store"
    names = bulk.blobs(str(root), 500)
    [image] = bulk.images(str(root), names[:3])
    bulk.tags(str(root), image, TAGS)
    fill(root, MANY - len(names) - 2)
    with mounts.mounted(root, top / "mnt", top / "log") as mounted:
        yield Crowded(root, names, image, mounted)
    subprocess.run(["rm", "-rf", root], check=True, timeout=DEADLINE)


def test_listing_names_takes_little_memory(crowded: Crowded) -> None:
    before = crowded.memory()
    for _ in range(2):
        assert len(os.listdir(crowded.blobs)) == MANY
        assert crowded.memory() - before < GROWTH


def test_listing_with_attributes_takes_little_memory(mount: Mount, tmp_path: Path) -> None:
    """The kernel keeps what it was shown, so the server keeps a little of each, too."""
    fill(tmp_path / "store", FEWER)
    mounted = mount(tmp_path / "store")
    before = memory_of(mounted)
    for _ in range(2):
        with os.scandir(mounted.path / "blobs/sha256") as entries:
            assert sum(entry.stat().st_size for entry in entries) == 4 * FEWER
        assert memory_of(mounted) - before < GROWTH
    mounted.end()
    shutil.rmtree(tmp_path / "store")


def test_names_without_attributes_are_looked_up(crowded: Crowded) -> None:
    with os.scandir(crowded.blobs) as entries:
        listed = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    assert len(listed) == MANY
    assert all(listed.values())
    assert listed.keys() >= set(crowded.names)
    for number, name in enumerate(crowded.names):
        data = b"blob %d\n" % number
        path = crowded.blobs / name
        assert os.stat(path).st_size == len(data)
        assert path.read_bytes() == data
        assert os.getxattr(path, "user.ross.digest") == f"sha256:{path.name}".encode()
    assert refused(os.lstat, crowded.blobs / ("0" * 64)) == "ENOENT"


def test_a_listing_under_way_does_not_change(crowded: Crowded) -> None:
    """What comes meanwhile is in the next one."""
    with os.scandir(crowded.blobs) as entries:
        first = [next(entries).name for _ in range(1000)]
        data = b"it came during the listing"
        (crowded.mounted.path / "incoming/late").write_bytes(data)
        rest = [entry.name for entry in entries]
    name = digest_of(data).hex
    assert len(first) + len(rest) == len(set(first + rest)) == MANY
    assert name not in rest
    assert name in os.listdir(crowded.blobs)
    os.unlink(crowded.mounted.path / "incoming/late")
    os.unlink(crowded.blobs / name)


def test_positions_of_a_listing_are_kept(crowded: Crowded) -> None:
    """rewinddir(3): a directory that stays open is listed anew from its beginning."""
    descriptor = os.open(crowded.blobs, os.O_RDONLY)
    try:
        for _ in range(2):
            os.lseek(descriptor, 0, os.SEEK_SET)
            assert len(os.listdir(descriptor)) == MANY
    finally:
        os.close(descriptor)


def test_two_list_at_once_while_another_reads(crowded: Crowded) -> None:
    counts: list[int] = []
    listers = [
        threading.Thread(target=lambda: counts.append(len(os.listdir(crowded.blobs))))
        for _ in range(2)
    ]
    for lister in listers:
        lister.start()
    for number in range(200):
        assert (crowded.blobs / crowded.names[number]).read_bytes() == b"blob %d\n" % number
    for lister in listers:
        lister.join(DEADLINE)
    assert counts == [MANY] * 2


def test_many_tags_are_listed_and_found(crowded: Crowded) -> None:
    tags = crowded.mounted.path / "tags/bench"
    found = 0
    for repository in os.listdir(tags):
        with os.scandir(tags / repository) as entries:
            for entry in entries:
                assert entry.is_symlink()
                found += 1
    assert found == TAGS
    for number in range(0, TAGS, 97):
        link = tags / f"r{number // 100}/t{number % 100}"
        assert os.readlink(link).endswith(crowded.image)
    before = crowded.memory()
    os.unlink(crowded.root / "tags/bench/r3/t7")
    eventually(lambda: not os.path.lexists(tags / "r3/t7"))
    assert crowded.memory() - before < GROWTH


def test_one_repository_with_many_tags(crowded: Crowded) -> None:
    """More than one buffer of the kernel's, and watched as a whole."""
    directory = crowded.root / "tags/bench/many"
    directory.mkdir()
    record = (crowded.root / "tags/bench/r0/t0").read_bytes()
    for number in range(TAGS):
        (directory / f"t{number}").write_bytes(record)
    shown = crowded.mounted.path / "tags/bench/many"
    eventually(shown.exists)
    assert set(os.listdir(shown)) == {f"t{number}" for number in range(TAGS)}
    for number in range(TAGS):
        os.unlink(directory / f"t{number}")
    eventually(lambda: os.listdir(shown) == [])
    eventually(lambda: not os.path.lexists(shown / "t17"))
