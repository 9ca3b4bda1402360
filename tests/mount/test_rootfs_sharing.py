"""Inodes of root filesystems: what is one file is one inode, and stays it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.builders import compact, descriptor
from tests.conftest import Mount
from tests.layers import Layer, image_of
from tests.mount.hostilelayers import DIRECTORY, look
from tests.mount.lab import Lab
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

KINDS = ("plain", "gzip", "zstd")


def walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(path from *top*, status) of everything below it."""
    for place, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = os.path.join(place, name)
            yield os.path.relpath(path, top), os.lstat(path)


def base() -> Layer:
    return (
        Layer()
        .directory("d", 0o750)
        .file("d/a", b"shared")
        .file("d/b", b"replaced above")
        .link("d/c", "d/a")
        .link("e", "d/a")
        .symlink("s", "d")
    )


def test_a_file_of_a_shared_layer_is_one_inode_in_every_image(lab: Lab) -> None:
    """And in the directory of the layer alone; so the page cache has it once."""
    first = lab.show(image_of(base()))
    second = lab.show(image_of(base(), Layer().file("d/b", b"mine").file("new", b"n")))
    third = lab.show(image_of(Layer().file("below"), base()))
    inodes = [dict(walk(image / "rootfs")) for image in (first, second, third)]
    for path in ("d/a", "d/c", "e", "s"):
        assert len({found[path].st_ino for found in inodes}) == 1, path
        assert len({found[path] for found in inodes}) == 1, path
    assert inodes[0]["d/b"].st_ino == inodes[2]["d/b"].st_ino != inodes[1]["d/b"].st_ino
    assert len({found["d"].st_ino for found in inodes}) == 3
    [alone] = [path for path in (first / "layers").iterdir() if path.is_dir()]
    assert os.lstat(alone / "d/a").st_ino == inodes[0]["d/a"].st_ino
    assert (first / "rootfs/d/a").samefile(third / "rootfs/e")


def test_hard_links_are_one_inode_with_the_count_of_their_layer(lab: Lab) -> None:
    rootfs = lab.rootfs(base(), Layer().link("f", "d/a").file("d/c", b"copied up"))
    inodes = dict(walk(rootfs))
    assert inodes["d/a"].st_ino == inodes["e"].st_ino == inodes["f"].st_ino
    assert inodes["d/c"].st_ino != inodes["d/a"].st_ino
    assert inodes["d/a"].st_nlink == 3
    assert inodes["d/c"].st_nlink == inodes["d/b"].st_nlink == inodes["s"].st_nlink == 1
    assert inodes["d"].st_nlink == 1  # not counted: find(1) must not conclude from it


def test_numbers_are_what_listings_say(lab: Lab) -> None:
    rootfs = lab.rootfs(base(), Layer().file("d/new").directory("d/sub").file("d/sub/x"))
    for place, _, _ in os.walk(rootfs):
        with os.scandir(place) as entries:
            for entry in entries:
                assert entry.inode() == entry.stat(follow_symlinks=False).st_ino
                assert entry.inode() == os.lstat(entry.path).st_ino
    seen: dict[int, str] = {}
    for path, status in walk(rootfs):
        if path not in {"d/c", "e"}:
            assert seen.setdefault(status.st_ino, path) == path


def test_numbers_stay_when_the_kernel_forgets(lab: Lab) -> None:
    layer = base()
    for number in range(300):
        layer.file(f"many/f{number}", b"%d" % number)
    rootfs = lab.rootfs(layer, Layer().file("many/f3", b"above").directory("d/sub"))
    before = dict(walk(rootfs))
    with open(rootfs / "d/a", "rb") as file:  # held across
        for _ in range(3):
            _drop()
            assert dict(walk(rootfs)) == before
            assert os.fstat(file.fileno()) == before["d/a"]
        assert file.read() == b"shared"


def test_numbers_stay_when_other_things_are_seen_first(lab: Lab) -> None:
    """They are computed, not given in turn: another mount of the store has the same for files."""
    image = lab.show(image_of(base(), Layer().file("z/y/x", b"deep")))
    deep = os.lstat(image / "rootfs/z/y/x").st_ino
    _drop()
    rest = dict(walk(image / "rootfs"))
    _drop()
    assert os.lstat(image / "rootfs/z/y/x").st_ino == rest["z/y/x"].st_ino == deep


def _drop() -> None:
    """Let the kernel forget what nobody uses (proc_sys_vm(5): dentries and inodes)."""
    if os.geteuid() == 0:
        Path("/proc/sys/vm/drop_caches").write_text("2")


def test_a_directory_that_is_open_stays_what_it_was(lab: Lab) -> None:
    rootfs = lab.rootfs(base())
    directory = os.open(rootfs / "d", os.O_RDONLY)
    try:
        _drop()
        assert sorted(os.listdir(directory)) == ["a", "b", "c"]
        descriptor = os.open("a", os.O_RDONLY, dir_fd=directory)
        with open(descriptor, "rb") as file:
            _drop()
            assert file.read() == b"shared"
        parent = os.open("..", os.O_RDONLY, dir_fd=directory)
        assert os.fstat(parent).st_ino == os.lstat(rootfs).st_ino
        os.close(parent)
    finally:
        os.close(directory)


def test_a_path_over_4096_bytes_is_reached_step_by_step(lab: Lab) -> None:
    name = "n" * 250
    depth = 40
    layer = Layer().file("/".join([name] * depth) + "/f", b"far away")
    layer.link("/".join([name] * depth) + "/g", "/".join([name] * depth) + "/f")
    rootfs = lab.rootfs(layer)
    assert refused(os.lstat, rootfs / "/".join([name] * depth)) == "ENAMETOOLONG"
    chain = [os.open(rootfs, os.O_RDONLY)]
    try:
        for _ in range(depth):
            assert os.listdir(chain[-1]) == [name]
            chain.append(os.open(name, os.O_RDONLY, dir_fd=chain[-1]))
        assert sorted(os.listdir(chain[-1])) == ["f", "g"]
        numbers = {os.stat(each, dir_fd=chain[-1]).st_ino for each in ("f", "g")}
        assert len(numbers) == 1
        with open(os.open("f", os.O_RDONLY, dir_fd=chain[-1]), "rb") as file:
            assert file.read() == b"far away"
    finally:
        for each in chain:
            os.close(each)


# --- which images have a root filesystem ---


def test_an_index_has_the_root_filesystem_of_the_platform(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    images = {}
    for platform in ("linux/amd64", "linux/arm64/v8"):
        image = image_of(Layer().file("platform", platform.encode()))
        images[platform] = image
        image.put(store)
    index = builders.index([(image.manifest, platform) for platform, image in images.items()])
    store.set_tag("lab/multi", "v1", store.put_index(index))
    for platform in images:
        path = mount(store.root, f"platform={platform}").path / "tags/lab/multi/v1"
        assert look(path / "rootfs") == {"platform": platform.encode()}
        for each in images:
            name = each.replace("/", "-")
            assert look(path / "platforms" / name / "rootfs") == {"platform": each.encode()}
        own = path / "platforms" / platform.replace("/", "-")
        one, other = (os.lstat(place / "rootfs/platform").st_ino for place in (path, own))
        assert one == other
        assert len([entry for entry in (path / "layers").iterdir() if entry.is_dir()]) == 1
    path = mount(store.root, "platform=plan9/mips").path / "tags/lab/multi/v1"
    assert refused(os.lstat, path / "rootfs") == "ENOENT"


def test_what_is_no_image_has_no_root_filesystem(lab: Lab) -> None:
    content = Layer().file("chart.yaml", b"name: x").closed()
    config = b"name: chart\n"
    lab.store.put_blob("application/vnd.example.chart", content)
    lab.store.put_blob("application/vnd.example.chart.config", config)
    data = compact(
        {
            "schemaVersion": 2,
            "mediaType": builders.OCI_MANIFEST,
            "artifactType": "application/vnd.example.chart",
            "config": descriptor(config, "application/vnd.example.chart.config"),
            "layers": [descriptor(content, "application/vnd.example.chart")],
        }
    )
    digest = lab.store.put_manifest(data)
    image = lab.mounted.path / "images/sha256" / digest.hex
    assert set(os.listdir(image)) == {"manifest.json", "config", "layers", "archive"}
    assert refused(os.lstat, image / "rootfs") == "ENOENT"
    [name] = os.listdir(image / "layers")
    assert (image / "layers" / name).read_bytes() == content


def test_one_layer_twice_in_an_image(lab: Lab) -> None:
    """As tools that add an empty layer for each step write it."""
    empty = Layer()
    image = lab.show(image_of(base(), empty, base(), Layer().whiteout("e"), empty))
    found = look(image / "rootfs")
    assert found["d"] == DIRECTORY
    assert found["d/b"] == b"replaced above"
    assert "e" not in found
    names = [path.name for path in (image / "layers").iterdir() if path.is_dir()]
    assert sorted(name[:2] for name in names) == ["00", "01", "02", "03", "04"]


@pytest.mark.parametrize("packing", KINDS)
def test_the_top_of_a_root_filesystem_is_in_its_image(lab: Lab, packing: str) -> None:
    image = lab.show(image_of(base(), packing=packing))
    assert {"rootfs", "layers"} < set(os.listdir(image))
    assert os.lstat(image / "rootfs/..").st_ino == os.lstat(image).st_ino
    assert os.lstat(image / "rootfs/d/..").st_ino == os.lstat(image / "rootfs").st_ino
    assert os.path.realpath(image / "rootfs/s/a") == os.path.realpath(image / "rootfs/d/a")
    assert refused(os.lstat, image / "rootfs/none") == "ENOENT"
    assert refused(os.listdir, image / "rootfs/e") == "ENOTDIR"
