"""Layers in overlay form, mounted over one another by the kernel, are what umoci unpacks.

A real file in the lowest directory of an overlay and in the root filesystem is the same inode, so
hard links are seen across layers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from rossfs.oci.digest import Digest
from tests import builders, mounts, realimages, treecompare
from tests.image.merging import picture, rootfs_of
from tests.image.stacks import Made, layer_of, stacks
from tests.layers import Layer, image_of
from tests.mount import hostilelayers, hostilepaths
from tests.mount.lab import Lab
from tests.mount.realmount import KINDS, RealStore, import_into
from tests.mount.test_rootfs_images import KNOWN, NO_ROOT_ENTRY, made_alone, manifests_of
from tests.mounts import Mounted
from tests.requirements import require_root
from tests.treecompare import compare, unexpected

pytestmark = pytest.mark.fuse

CASES = {**hostilelayers.CASES, **hostilepaths.CASES}

COMMAND = (sys.executable, "-m", "tests.mount.overlaymount")


@contextlib.contextmanager
def mounted(store: Path, top: Path) -> Iterator[Mounted]:
    """A mount of *store* that has overlay/."""
    require_root("mount an overlay")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mounts, "ROSSFS", COMMAND)
        with mounts.mounted(store, top / "mnt", top / "log", "dev", "suid") as server:
            yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    top = tmp_path_factory.mktemp("overlays")
    store = builders.ross_store(top / "store")
    with mounted(store.root, top) as server:
        server.expect_log("WARNING")
        yield Lab(store, server)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, real_store: RealStore) -> Iterator[Mounted]:
    with mounted(real_store.path, tmp_path_factory.mktemp("realoverlays")) as server:
        yield server


def form(mount: Path, digest: Digest, position: int, alone: str = "") -> Path:
    """The directory of a layer in overlay form."""
    return mount / "overlay" / f"{digest.hex}-{position}{alone}"


@contextlib.contextmanager
def overlaid(
    mount: Path, digest: Digest, count: int, place: Path, alone: str = "", options: str = "ro"
) -> Iterator[Path]:
    """All layers of an image, *count*, mounted over one another on *place*."""
    layers = [form(mount, digest, position, alone) for position in reversed(range(count))]
    # One directory alone cannot be mounted.
    lower = ":".join(map(str, [*layers, mount / "overlay/empty"]))
    place.mkdir(exist_ok=True)
    command = ("mount", "-t", "overlay", "overlay", "-o", f"{options},lowerdir={lower}", place)
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    try:
        yield place
    finally:
        subprocess.run(("umount", place), check=True, timeout=60)


def differences(lab: Lab, layers: Sequence[Layer], place: Path, alone: str = "") -> list[str]:
    """In what *layers* mounted differ from their root filesystem, which test_rootfs_umoci.py
    compares with what umoci makes."""
    digest = image_of(*layers, packing="plain").put(lab.store)
    expected = picture(rootfs_of(*layers))
    with overlaid(lab.mounted.path, digest, len(layers), place, alone) as top:
        found = treecompare.picture(top)
        ghosts = [
            path
            for path, _, names in os.walk(bytes(top))
            for name in names
            if not os.path.lexists(os.path.join(path, name))
        ]
    assert ghosts == []
    return [
        f"{path!r}: {what}: {found.get(path, {}).get(what)!r}, "
        f"but {expected.get(path, {}).get(what)!r}"
        for path in sorted(found.keys() | expected.keys())
        for what in sorted(found.get(path, {}).keys() | expected.get(path, {}).keys())
        if found.get(path, {}).get(what) != expected.get(path, {}).get(what)
    ]


@pytest.mark.parametrize("name", CASES)
def test_what_layers_mean_to_overlayfs(lab: Lab, tmp_path: Path, name: str) -> None:
    assert differences(lab, CASES[name].layers, tmp_path / "top") == []


TABLE = {
    "removed and made again": (
        Layer().file("a/x"),
        Layer().whiteout("a").directory("a").file("a/y"),
        {"a/y"},
    ),
    "made again before it is removed": (
        Layer().file("b/x"),
        Layer().directory("b").file("b/y").whiteout("b"),
        {"b/y"},
    ),
    "a file removed after it is made": (
        Layer().file("d", b"lower"),
        Layer().file("d", b"upper").whiteout("d"),
        {"d"},
    ),
    "opaque, with a whiteout": (
        Layer().file("c/x"),
        Layer().directory("c").opaque("c").whiteout("c/x").file("c/y"),
        {"c/y"},
    ),
    "removed, and what is in it too": (
        Layer().file("e/x"),
        Layer().whiteout("e").whiteout("e/x"),
        set(),
    ),
}
"""contracts.md 2.1: lower layer, upper layer, paths of the files that there are."""


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("alone", ["", "-alone"])
def test_what_unpacking_gets_wrong(lab: Lab, tmp_path: Path, name: str, alone: str) -> None:
    lower, upper, files = TABLE[name]
    assert differences(lab, (lower, upper), tmp_path / "top", alone) == []
    assert {
        os.fsdecode(path)
        for path, known in picture(rootfs_of(lower, upper)).items()
        if known["type"] == "file"
    } == files


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    derandomize=True,
)
@given(stack=stacks())
def test_random_layers(lab: Lab, tmp_path: Path, stack: list[list[Made]]) -> None:
    assert differences(lab, [layer_of(layer) for layer in stack], tmp_path / "top") == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(stack=stacks())
def test_many_random_layers(lab: Lab, tmp_path: Path, stack: list[list[Made]]) -> None:
    assert differences(lab, [layer_of(layer) for layer in stack], tmp_path / "top") == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_what_umoci_unpacks(
    real: Mounted, real_store: RealStore, tmp_path: Path, kind: str
) -> None:
    target = real.path / "tags/lab" / kind / "latest"
    digest = Digest.sha256(os.path.basename(os.readlink(target)))
    count = len(json.loads((target / "manifest.json").read_bytes())["layers"])
    with overlaid(real.path, digest, count, tmp_path / "top") as top:
        assert unexpected(compare(top, real_store.unpacked), KNOWN) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("layout", list(map(str, realimages.layouts())))
def test_every_image_of_a_layout_is_what_umoci_unpacks(tmp_path: Path, layout: str) -> None:
    store = tmp_path / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    import_into(store, f"oci:{layout}", "lab/further")
    with mounted(store, tmp_path) as server:
        for number, (digest, manifest) in enumerate(manifests_of(Path(layout))):
            one = made_alone(Path(layout), digest, manifest, tmp_path / f"layout{number}")
            unpacked = realimages.unpack(one, tmp_path / f"bundle{number}", tmp_path)
            count = len(manifest["layers"])
            place = tmp_path / f"top{number}"
            with overlaid(server.path, Digest.sha256(digest), count, place) as top:
                assert unexpected(compare(top, unpacked), (*KNOWN, NO_ROOT_ENTRY)) == []


def test_copies_and_whiteouts_above_it(
    real: Mounted, real_store: RealStore, tmp_path: Path
) -> None:
    """A layer that is written to lies over them, as of a container."""
    target = real.path / "tags/lab/gzip/latest"
    digest = Digest.sha256(os.path.basename(os.readlink(target)))
    layers = [form(real.path, digest, position) for position in reversed(range(5))]
    space, top = tmp_path / "space", tmp_path / "top"
    for path in (space, top):
        path.mkdir()
    # The directory of tests may be an overlay itself, which cannot be written to in one.
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", space), check=True, timeout=60)
    try:
        for name in ("upper", "work"):
            (space / name).mkdir()
        options = (
            f"lowerdir={':'.join(map(str, layers))},upperdir={space}/upper,workdir={space}/work"
        )
        subprocess.run(("mount", "-t", "overlay", "overlay", "-o", options, top), check=True)
        try:
            with (top / "etc/passwd").open("a") as file:
                file.write("more\n")
            shutil.rmtree(top / "odd/swap")
            (top / "odd/opq/old/written").write_text("written")
            assert (top / "etc/passwd").read_text().endswith("more\n")
            assert "swap" not in os.listdir(top / "odd")
            old = space / "upper/odd/opq/old"
            assert os.listdir(old) == ["written"]
            assert [name for name in os.listxattr(old) if "opaque" in name] == []
        finally:
            subprocess.run(("umount", top), check=True, timeout=60)
    finally:
        subprocess.run(("umount", space), check=True, timeout=60)


def test_a_user_may_mount_them_too(lab: Lab, tmp_path: Path) -> None:
    """With the option userxattr, as in a user namespace, opaque directories are opaque."""
    layers = Layer().file("d/x").file("e"), Layer().opaque("d").file("d/y").whiteout("e")
    digest = image_of(*layers).put(lab.store)
    with overlaid(lab.mounted.path, digest, 2, tmp_path / "top", options="userxattr") as top:
        assert os.listdir(top) == ["d"]
        assert os.listdir(top / "d") == ["y"]


def test_what_is_asked_of_the_directories(lab: Lab) -> None:
    """By whom the kernel asks nothing else: the attributes as they are in diff/."""
    layers = Layer().file("d/x").file("e"), Layer().opaque("d").file("d/y").whiteout("e")
    digest = image_of(*layers).put(lab.store)
    top = form(lab.mounted.path, digest, 1)
    assert sorted(os.listdir(top)) == ["d", "e"]
    status = (top / "e").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert os.listxattr(top / "d") == ["trusted.overlay.opaque"]
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        assert os.getxattr(top / "d", name) == b"y"
    assert os.getxattr(top / "d", "user.ross.layer").startswith(b"sha256:")
    with pytest.raises(OSError, match="No data"):
        os.getxattr(top, "trusted.overlay.opaque")
    images = lab.mounted.path / "images/sha256" / digest.hex / "rootfs"
    assert (top / "d/y").stat().st_ino == (images / "d/y").stat().st_ino
