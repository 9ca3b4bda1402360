"""Names and files that others put where they do not belong: in the mount, and in the store's own
directories.  Nothing outside the store is ever read, and nothing is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests import builders
from tests.builders import digest_of
from tests.conftest import Mount
from tests.suites.mount_suite import refused, walk

pytestmark = pytest.mark.fuse


def test_names_that_are_too_long(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    path = mount(store.root).path
    for place in ("incoming", "tags", "tags/..", "incoming/../incoming"):
        for name in ("n" * 256, "n" * 4000):
            assert refused(os.mkdir, path / place / name) == "ENAMETOOLONG"
            assert refused(os.open, path / place / name, os.O_WRONLY | os.O_CREAT) == "ENAMETOOLONG"
    (path / "incoming" / ("n" * 255)).write_bytes(b"long name")
    assert os.listdir(path / "incoming") == ["n" * 255]
    assert refused(os.mkdir, path / "tags" / ("n" * 255)) in {"", "EINVAL"}
    assert refused(os.stat, f"{path}/{'x/' * 2100}") == "ENAMETOOLONG"
    assert refused(os.symlink, "x" * 4096, path / "incoming/link") == "ENAMETOOLONG"
    assert refused(os.symlink, "x" * 4095, path / "incoming/link") == "EPERM"


def test_deep_directories_of_incoming_have_an_end(mount: Mount, tmp_path: Path) -> None:
    """A path over 4096 bytes is refused when it is made, not when it is met."""
    store = builders.ross_store(tmp_path / "store")
    mounted = mount(store.root)
    before = os.open(".", os.O_RDONLY)
    answer = ""
    try:
        os.chdir(mounted.path / "incoming")
        for _ in range(40):
            answer = refused(os.mkdir, "d" * 200)
            if answer:
                break
            os.chdir("d" * 200)
        assert answer == "ENAMETOOLONG"
        answer = refused(os.open, "f" * 200, os.O_WRONLY | os.O_CREAT)
        assert answer == "ENAMETOOLONG"
    finally:
        os.fchdir(before)
        os.close(before)
    assert len(list(walk(mounted.path / "incoming"))) > 10


def test_deep_repositories_have_an_end(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    path = mount(store.root).path / "tags"
    answer = ""
    for _ in range(40):
        path /= "d" * 100
        answer = refused(os.mkdir, path)
        if answer:
            break
    assert answer in {"EINVAL", "ENAMETOOLONG"}


def test_tags_of_ross_outside_the_grammar_are_not_shown(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    image = builders.image(store, "good", tag="lab/app:v1")
    for repository, tag in (
        ("lab/app", "a b"),
        ("lab/app", "x\x1b[2J"),
        ("lab/app", ".hidden"),
        ("lab/app", "t" * 129),
        ("lab/UPPER", "v1"),
        ("lab/ space", "v1"),
        ("lab/..x", "v1"),
        (".", "toplevel"),
    ):
        store.set_tag(repository, tag, image.manifest)
    (store.root / os.fsdecode(b"tags/lab/app/\xff\xfe")).write_bytes(b"{}")
    path = mount(store.root).path / "tags"
    assert [entry.path for entry, _ in walk(path)] == [
        str(path / "lab"),
        str(path / "lab/app"),
        str(path / "lab/app/v1"),
    ]


def test_only_regular_files_are_content(mount: Mount, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"nobody's business")
    name = digest_of(b"nobody's business").hex
    store = builders.ross_store(tmp_path / "store")
    plants = {}
    for place in ("blobs", "manifests", "indexes"):
        directory = store.root / place / "sha256"
        (directory / name).symlink_to(secret)
        (directory / f"{name}.meta").symlink_to(secret)
        os.mkfifo(directory / f"{1:064x}")
        (directory / f"{2:064x}").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            before = os.getcwd()
            os.chdir(directory)  # the path of a socket has 107 bytes at most
            try:
                listener.bind(f"{3:064x}")
            finally:
                os.chdir(before)
        data = f"fifo as meta in {place}".encode()
        plants[place] = digest_of(data)
        (directory / plants[place].hex).write_bytes(data)
        os.mkfifo(directory / f"{plants[place].hex}.meta")
        (directory / "README").write_bytes(b"not a digest")
        (directory / f"{4:063x}").write_bytes(b"too short")
    path = mount(store.root).path
    bad = [name, *(f"{number:064x}" for number in (1, 2, 3)), f"{4:063x}", "README"]
    for place in ("blobs", "manifests", "indexes", "images"):
        listed = os.listdir(path / place / "sha256")
        assert not set(bad) & set(listed), place
        for hidden in bad:
            assert refused(os.lstat, path / place / "sha256" / hidden) == "ENOENT"
    assert refused(os.stat, path / "blobs/sha256" / plants["blobs"].hex) == ""
    assert (path / "blobs/sha256" / plants["blobs"].hex).read_bytes() == b"fifo as meta in blobs"


def test_only_regular_files_are_tags(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    builders.image(store, "good", tag="lab/app:v1")
    tags = store.root / "tags"
    os.mkfifo(tags / "lab/app/fifo")
    (tags / "lab/app/link").symlink_to("v1")
    (tags / "lab/etc").symlink_to("/etc")
    (tags / "loop").symlink_to(".")
    os.mkfifo(tags / "pipe")
    with open(tags / "lab/app/huge", "wb") as file:
        file.truncate(1 << 40)
    mounted = mount(store.root)
    path = mounted.path / "tags"
    assert os.listdir(path) == ["lab"]
    assert os.listdir(path / "lab") == ["app"]
    assert set(os.listdir(path / "lab/app")) == {"v1", "huge"}
    for name in ("lab/app/fifo", "lab/app/link", "lab/etc", "loop", "pipe", "lab/etc/passwd"):
        assert refused(os.lstat, path / name) == "ENOENT", name
    assert refused((path / "lab/app/huge").read_bytes) == "EIO"
    mounted.expect_log("lab/app/huge")


def test_strange_things_in_incoming_are_not_followed(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    path = mount(store.root).path / "incoming"
    path.joinpath("known").write_bytes(b"known")
    incoming = store.root / "incoming"
    (incoming / "etc").symlink_to("/etc")
    (incoming / "outside").symlink_to("../../../secret")
    (incoming / "gone").symlink_to(f"../blobs/sha256/{5:064x}")
    os.mkfifo(incoming / "fifo")
    assert set(os.listdir(path)) <= {"known", "gone", "etc", "outside", "fifo"}
    for name in ("etc", "outside", "fifo", "etc/passwd"):
        assert refused(os.lstat, path / name) == "ENOENT", name
    assert refused((path / "gone").read_bytes) == "ENOENT"
    assert (path / "known").read_bytes() == b"known"
    assert refused(os.lstat, path / ".tmp") == "ENOENT"
    assert refused(os.mkdir, path / ".tmp") in {"EPERM", "EEXIST"}
    assert refused(os.rename, path / "known", path / ".tmp") == "EPERM"


def test_directories_of_the_store_that_are_missing_or_wrong(mount: Mount, tmp_path: Path) -> None:
    root = tmp_path / "store"
    (root / "blobs").mkdir(parents=True)
    (root / "blobs/sha256").symlink_to("/etc")
    (root / "manifests").write_bytes(b"a file")
    mounted = mount(root)
    for place in ("blobs", "manifests", "indexes", "images", "tags"):
        listed = os.listdir(mounted.path / place)
        assert listed == ([] if place == "tags" else ["sha256"])
    for place in ("manifests", "indexes", "images"):
        assert os.listdir(mounted.path / place / "sha256") == []
    assert refused(os.lstat, mounted.path / "blobs/sha256/passwd") == "ENOENT"
    mounted.expect_log("cannot watch|manifests")
