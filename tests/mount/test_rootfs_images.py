"""Root filesystems of real images are what umoci unpacks, in every property of every entry."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders, mounts, realimages
from tests.conftest import Mount
from tests.layers import OCI_LAYER_ZSTD, Layer, image_of
from tests.mount.realmount import KINDS, RealMount, RealStore, import_into, without_cache
from tests.treecompare import ABSENT, Difference, Known, compare, unexpected

pytestmark = pytest.mark.fuse


def _has_no_value(difference: Difference) -> bool:
    return difference.what.startswith("xattr ") and difference[2:] == (b"", ABSENT)


def _is_label(difference: Difference) -> bool:
    return difference.what == "xattr security.selinux"


KNOWN = (
    Known("umoci drops extended attributes without a value", _has_no_value),
    Known("umoci keeps the labels of the machine on which it unpacks", _is_label),
)
"""What may differ, the mount on the left and umoci on the right."""

NO_ROOT_ENTRY = Known(
    "no layer has an entry for the root, so umoci leaves the time of unpacking",
    lambda difference: difference.path == b"" and difference.what == "mtime",
)


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_image_is_what_umoci_unpacks(real: RealMount, kind: str) -> None:
    found = compare(real.rootfs(kind), real.content.unpacked)
    assert unexpected(found, KNOWN) == []


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_an_image_that_was_never_imported_is_the_same(
    mount: Mount, real_store: RealStore, tmp_path: Path, kind: str
) -> None:
    """Its tables are made at first use, and kept elsewhere than usual."""
    shutil.copytree(real_store.path, tmp_path / "store")
    without_cache(tmp_path / "store")
    cache = tmp_path / "elsewhere"
    cache.mkdir()
    path = mount(tmp_path / "store", f"cache={cache}", "dev", "suid").path
    found = compare(path / f"tags/lab/{kind}/latest/rootfs", real_store.unpacked)
    assert unexpected(found, KNOWN) == []
    assert os.listdir(cache)
    assert not (tmp_path / "store/cache").exists() or not os.listdir(tmp_path / "store/cache")


def test_the_comparison_sees_every_kind_of_difference(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for tree in (one, other):
        tree.mkdir()
        for name in ("content", "size", "mode", "owner", "mtime", "xattr user.x", "type", "links"):
            (tree / name).write_bytes(b"1")
            os.utime(tree / name, ns=(0, 0))
        (tree / "target").symlink_to("here")
        os.utime(tree / "target", ns=(0, 0), follow_symlinks=False)
        (tree / "presence").mkdir()
        os.mknod(tree / "device", 0o20600, os.makedev(1, 3))
        (tree / "linked").hardlink_to(tree / "links")
        for name in ("presence", "device", "."):
            os.utime(tree / name, ns=(0, 0))
    assert list(compare(one, other)) == []
    (other / "content").write_bytes(b"2")
    (other / "size").write_bytes(b"11")
    (other / "mode").chmod(0o600)
    os.chown(other / "owner", 1, 2)
    (other / "target").unlink()
    (other / "target").symlink_to("gone")
    os.setxattr(other / "xattr user.x", "user.x", b"")
    for name in ("type", "device", "linked"):
        (other / name).unlink()
    os.mkfifo(other / "type", 0o644)
    os.mknod(other / "device", 0o20600, os.makedev(1, 5))
    (other / "linked").write_bytes(b"1")
    (other / "presence").rmdir()
    for name in os.listdir(other):
        os.utime(other / name, ns=(0, 0), follow_symlinks=False)
    os.utime(other / "mtime", ns=(0, 1))
    os.utime(other, ns=(0, 0))
    found = {(each.path.decode(), each.what) for each in compare(one, other)}
    names = {"content", "size", "mode", "owner", "mtime", "target", "presence", "device", "links"}
    assert found == {
        *((name, name) for name in names),
        ("xattr user.x", "xattr user.x"),
        ("size", "content"),
        ("linked", "links"),
        ("type", "type"),
        ("type", "size"),
        ("type", "content"),
    }


# --- further images ---


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["index", *map(str, realimages.layouts())])
def test_every_image_of_a_layout_is_what_umoci_unpacks(
    mount: Mount, tmp_path: Path, name: str
) -> None:
    layout = _index(tmp_path / "index") if name == "index" else Path(name)
    store = tmp_path / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    import_into(store, f"oci:{layout}", "lab/further")
    path = mount(store, "dev", "suid").path
    for number, (digest, manifest) in enumerate(manifests_of(layout)):
        one = made_alone(layout, digest, manifest, tmp_path / f"layout{number}")
        unpacked = realimages.unpack(one, tmp_path / f"bundle{number}", tmp_path)
        found = compare(path / "images/sha256" / digest / "rootfs", unpacked)
        assert unexpected(found, (*KNOWN, NO_ROOT_ENTRY)) == []


def _index(path: Path) -> Path:
    """A layout with an index of two platforms, whose layers are of all kinds."""
    images = {}
    for platform in ("linux/amd64", "linux/arm64/v8"):
        base = Layer().directory("./", 0o750).directory("bin").directory("etc", 0o711)
        base.file("bin/tool", platform.encode(), 0o755)
        top = Layer().whiteout("bin/tool").symlink("bin/link", "tool").file("etc/platform", b"x")
        images[platform] = image_of(base, top, packing=["gzip in members", "zstd"])
    data = builders.index([(image.manifest, name) for name, image in images.items()])
    for image in images.values():
        image.write_layout(path)
    (path / "blobs/sha256" / builders.digest_of(data).hex).write_bytes(data)
    _name(path, builders.descriptor(data, builders.OCI_INDEX))
    return path


def _name(layout: Path, entry: dict[str, object]) -> None:
    """Let the index of a layout have one entry, `latest`."""
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    document = {"schemaVersion": 2, "manifests": [entry]}
    (layout / "index.json").write_bytes(builders.compact(document))


def manifests_of(layout: Path) -> Iterator[tuple[str, dict[str, list[dict[str, object]]]]]:
    """(hex, document) of each manifest of an image, of indexes too."""
    pending = json.loads((layout / "index.json").read_bytes())["manifests"]
    while pending:
        entry = pending.pop()
        digest = entry["digest"].removeprefix("sha256:")
        document = json.loads((layout / "blobs/sha256" / digest).read_bytes())
        if "layers" in document:
            yield digest, document
        pending += document.get("manifests", [])


def made_alone(
    layout: Path, digest: str, manifest: dict[str, list[dict[str, object]]], path: Path
) -> Path:
    """A layout that umoci understands: one image, and no zstd."""
    path.mkdir()
    (path / "blobs").symlink_to(layout / "blobs")
    shutil.copy(layout / "oci-layout", path)
    data = (layout / "blobs/sha256" / digest).read_bytes()
    _name(path, builders.descriptor(data, builders.OCI_MANIFEST))
    if all(layer["mediaType"] != OCI_LAYER_ZSTD for layer in manifest["layers"]):
        return path
    packed = path.with_name(f"{path.name}-gzip")
    # skopeo decompresses into dir: only.
    skopeo = ("skopeo", "copy", "-q", "--dest-compress", "--dest-compress-format", "gzip")
    realimages.run(*skopeo, f"oci:{path}:latest", f"oci:{packed}:latest", home=path.parent)
    return packed


def test_every_layer_alone_has_its_own_entries(real: RealMount) -> None:
    """Together they have what the root filesystem has, and whiteouts."""
    layers = real.path / "tags/lab/gzip/latest/layers"
    directories = sorted(entry.path for entry in os.scandir(layers) if entry.is_dir())
    assert len(directories) == 5
    names: set[str] = set()
    for top in directories:
        for place, below, files in os.walk(top):
            names.update(
                os.path.relpath(os.path.join(place, name), top)
                for name in itertools.chain(below, files)
            )
    whiteouts = {name for name in names if os.path.basename(name).startswith(".wh.")}
    assert "odd/del/.wh.file" in whiteouts
    assert "odd/opq/old/.wh..wh..opq" in whiteouts
    rootfs = real.rootfs()
    shown = {
        os.path.relpath(os.path.join(place, name), rootfs)
        for place, below, files in os.walk(rootfs)
        for name in itertools.chain(below, files)
    }
    assert shown <= names - whiteouts
    assert not any(os.path.basename(name).startswith(".wh.") for name in shown)
