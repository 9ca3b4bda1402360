"""Layouts of a real mount, copied as files by programs that know nothing of layouts."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import mounts
from tests.mount import layouting
from tests.mount.inbox import failure
from tests.mount.layouting import NAME, run, skopeo_copy, tags
from tests.mounts import Mounted
from tests.requirements import require_tools

pytestmark = pytest.mark.fuse

PARTS = ("blobs", "oci-layout", "index.json")


class Depot:
    """A mount, and a layout beside whose content is stored already."""

    def __init__(self, mounted: Mounted, top: Path) -> None:
        self.mounted = mounted
        (self.source,) = layouting.sources(top, 1)
        self.wanted = tags(self.source)
        layout = self.layout("first")
        (layout / "blobs/sha256").mkdir(parents=True)
        run("cp", "-r", *(self.source / part for part in PARTS), layout)

    def layout(self, name: str) -> Path:
        """A directory that is no layout yet."""
        path = self.mounted.path / "oci" / name
        path.mkdir()
        return path

    def check(self, layout: Path) -> None:
        """The layout must be the same as the source."""
        assert tags(layout) == self.wanted
        run("diff", "-r", layout, self.source)


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    top = tmp_path_factory.mktemp("depot")
    Store.create(str(top / "store")).close()
    with mounts.mounted(top / "store", top / "mnt", top / "log") as mounted:
        yield Depot(mounted, top)
    with Store.open(str(top / "store")) as store:
        assert list(store.fsck()) == []
        assert os.listdir(store.paths.scratch) == []


def test_tar_extracts_what_is_stored_again_and_again(depot: Depot, tmp_path: Path) -> None:
    layout = depot.layout("tar")
    packed = tmp_path / "layout.tar"
    run("tar", "-c", "-f", packed, "-C", depot.source, *PARTS)
    extract: list[str | Path] = ["timeout", "20", "tar", "-x", "-f", packed, "-C", layout]
    for option in ((), (), ("--overwrite",), ("--recursive-unlink", "--unlink-first")):
        run(*extract, *option)
        depot.check(layout)


def test_cp_and_rsync_replace_what_is_there(depot: Depot) -> None:
    require_tools("rsync")
    layout = depot.layout("copied")
    (layout / "blobs/sha256").mkdir(parents=True)
    source = f"{depot.source}/."
    for command in (
        ("cp", "-r"),
        ("cp", "-a", "--remove-destination"),
        ("rsync", "-a"),
        ("rsync", "-a", "--checksum", "--ignore-times"),
    ):
        run("timeout", "20", *command, source, layout)
        depot.check(layout)


def test_who_removes_a_blob_does_not_find_it_and_others_do(depot: Depot) -> None:
    require_tools("skopeo", "umoci")
    layout = depot.layout("removed")
    run(*skopeo_copy(depot.source, layout, NAME))
    blob = layout / "blobs/sha256" / depot.wanted[NAME].removeprefix("sha256:")
    data = blob.read_bytes()
    blob.unlink()
    assert failure(os.stat, blob) == "ENOENT"
    run("cmp", blob, depot.source / "blobs/sha256" / blob.name)
    run("umoci", "gc", "--layout", layout)
    run("skopeo", "inspect", f"oci:{layout}:{NAME}")
    for _ in range(50):
        if blob.exists():
            blob.unlink()  # as tar does: others looked meanwhile
        try:
            fd = os.open(blob, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            break
        except FileExistsError:
            continue
    with open(fd, "wb") as file:
        file.write(data)
    assert blob.read_bytes() == data
    depot.check(layout)


def test_a_child_that_closes_its_copy_publishes_no_half(depot: Depot) -> None:
    layout = depot.layout("forked")
    (layout / "blobs/sha256").mkdir(parents=True)
    run("cp", "-r", *(depot.source / part for part in PARTS), layout)
    text = (layout / "index.json").read_bytes() + b"\n"
    data = os.urandom(100_000)
    blob = layout / "blobs/sha256" / hashlib.sha256(data).hexdigest()
    for path, content in ((layout / "index.json", text), (blob, data)):
        before = there(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, content[:50])
        subprocess.run(["true"], pass_fds=(fd,), check=True)
        assert there(path) == before
        os.write(fd, content[50:])
        subprocess.run(["true"], pass_fds=(fd,), check=True)
        assert there(path) == content
        os.close(fd)
        assert there(path) == content


def there(path: Path) -> bytes | None:
    """The bytes of *path*, if it is there."""
    return path.read_bytes() if path.exists() else None
