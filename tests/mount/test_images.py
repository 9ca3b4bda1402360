"""Images through real mounts: what is shown of what is stored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests import builders, mounts
from tests.builders import digest_of
from tests.conftest import Mount
from tests.image.conftest import Tool
from tests.mount.gallery import ARTIFACT_CONFIG, BIG, Shown, gallery
from tests.suites.mount_suite import refused, walk

pytestmark = pytest.mark.fuse

DEADLINE = 60.0


def test_an_image_shows_the_stored_bytes(shown: Shown) -> None:
    for image in (shown.content.app, shown.content.arm, shown.content.docker):
        path = shown.image(image.manifest)
        names = {"manifest.json", "config.json", "layers", "archive", "rootfs"}
        assert set(os.listdir(path)) == names
        assert (path / "manifest.json").read_bytes() == image.parts.manifest
        assert (path / "config.json").read_bytes() == image.parts.config
        stems = [f"{n:02}-{layer.hex[:12]}" for n, layer in enumerate(image.layers)]
        packed = [f"{stem}.tar.gz" for stem in stems]
        assert sorted(os.listdir(path / "layers")) == sorted(
            stems + packed + [f"{stem}.tar" for stem in stems]
        )
        for name, data in zip(packed, image.parts.layers, strict=True):
            assert (path / "layers" / name).read_bytes() == data


def test_layers_are_opened_by_tar(shown: Shown) -> None:
    layers = shown.path / "tags/library/app/latest/layers"
    for number, path in enumerate(sorted(layers.glob("*.tar.gz"))):
        printed = subprocess.run(
            ["tar", "-xzOf", path, "etc/os-release"],
            capture_output=True,
            check=True,
            timeout=DEADLINE,
        )
        assert printed.stdout == f"NAME=app\nLAYER={number}\n".encode()


def test_a_tag_says_its_digest_and_leads_to_its_image(shown: Shown) -> None:
    tag = shown.path / "tags/library/app/latest"
    hex_digest = shown.content.app.manifest.hex
    assert os.readlink(tag) == f"../../../images/sha256/{hex_digest}"
    assert tag.resolve() == shown.image(shown.content.app.manifest)
    assert os.path.samefile(tag, shown.image(shown.content.app.manifest))
    deep = shown.path / "tags/localhost:5000/team/app/v1.2_3-x"
    assert os.readlink(deep).startswith("../../../../images/sha256/")
    assert (deep / "manifest.json").read_bytes() == shown.content.docker.parts.manifest


def test_an_index_answers_for_the_platform_of_the_mount(shown: Shown) -> None:
    index = shown.path / "tags/lab/multi/v1"
    assert set(os.listdir(index)) == {
        "index.json",
        "platforms",
        "manifest.json",
        "config.json",
        "layers",
        "archive",
        "rootfs",
    }
    assert digest_of((index / "index.json").read_bytes()) == shown.content.multi
    assert (index / "manifest.json").read_bytes() == shown.content.app.parts.manifest
    assert (index / "config.json").read_bytes() == shown.content.app.parts.config
    assert set(os.listdir(index / "platforms")) == {
        "linux-amd64",
        "linux-arm64-v8",
        "linux-riscv64",
    }
    arm = index / "platforms/linux-arm64-v8"
    assert (arm / "manifest.json").read_bytes() == shown.content.arm.parts.manifest
    assert refused(os.stat, index / "platforms/linux-riscv64") == "ENOENT"


def test_a_list_that_ross_filed_as_a_manifest_is_an_index(shown: Shown) -> None:
    digest = shown.content.manifest_list
    assert digest.hex in os.listdir(shown.path / "indexes/sha256")
    assert digest.hex not in os.listdir(shown.path / "manifests/sha256")
    assert refused(os.stat, shown.path / "manifests/sha256" / digest.hex) == "ENOENT"
    platform = shown.path / "tags/lab/multi/docker/v1/platforms/linux-amd64"
    assert (platform / "manifest.json").read_bytes() == shown.content.docker.parts.manifest


def test_the_platform_is_an_option(mount: Mount, tmp_path: Path) -> None:
    content = gallery(tmp_path / "store")
    for option, expected in (
        ("platform=linux/arm64/v8", content.arm.parts),
        ("platform=linux/amd64", content.app.parts),
    ):
        mounted = mount(content.store.root, option)
        index = mounted.path / "tags/lab/multi/v1"
        assert (index / "manifest.json").read_bytes() == expected.manifest
        assert (index / "config.json").read_bytes() == expected.config


def test_an_index_without_the_platform_shows_the_others(mount: Mount, tmp_path: Path) -> None:
    content = gallery(tmp_path / "store")
    for option in ("platform=plan9/mips", "platform=linux/riscv64"):
        index = mount(content.store.root, option).path / "tags/lab/multi/v1"
        assert set(os.listdir(index)) == {"index.json", "platforms", "archive"}
        assert refused(os.stat, index / "manifest.json") == "ENOENT"
        assert (index / "platforms/linux-amd64/manifest.json").exists()


def test_a_foreign_layer_that_is_not_stored_is_a_link_to_nothing(shown: Shown) -> None:
    layers = shown.image(shown.content.windows) / "layers"
    packed_base, top, top_tar, packed_top = sorted(os.listdir(layers))
    base = packed_base.partition(".")[0]
    for name in (packed_base, base, f"{base}.tar"):
        assert refused(os.stat, layers / name) == "ENOENT"
    assert top_tar == f"{top}.tar"
    assert os.listdir(layers.parent / "archive") == ["oci.tar"]
    assert refused(os.stat, layers.parent / "archive/docker.tar") == "ENOENT"
    assert digest_of((layers / packed_top).read_bytes()).hex.startswith(top[3:])
    assert (layers / top / "app.exe").read_bytes() == b"MZ"
    assert "rootfs" not in os.listdir(layers.parent)
    assert refused(os.stat, layers.parent / "rootfs") == "ENOENT"


def test_a_manifest_that_is_no_image_has_its_parts(shown: Shown) -> None:
    chart = shown.image(shown.content.chart)
    assert set(os.listdir(chart)) == {"manifest.json", "config", "layers", "archive"}
    assert (chart / "config").read_bytes() == b"name: chart\n"
    [name] = os.listdir(chart / "layers")
    assert name.endswith(".bin")
    assert (chart / "layers" / name).read_bytes() == b"chart, packed"
    config = digest_of(b"name: chart\n")
    assert os.getxattr(shown.blob(config), "user.ross.media_type") == ARTIFACT_CONFIG.encode()


def test_ross_need_not_have_finished_its_metadata(shown: Shown) -> None:
    for digest, data in (
        (shown.content.unfinished, b"no meta"),
        (shown.content.unreadable, b"bad meta"),
    ):
        assert digest.hex in os.listdir(shown.path / "blobs/sha256")
        assert shown.blob(digest).read_bytes() == data
        assert os.getxattr(shown.blob(digest), "user.ross.size") == b"%d" % len(data)


def test_other_algorithms_have_their_directory(shown: Shown) -> None:
    assert sorted(os.listdir(shown.path / "blobs")) == ["sha256", "sha512"]
    assert os.listdir(shown.path / "manifests") == ["sha256"]
    assert os.listdir(shown.path / "blobs/sha512") == [shown.content.long.hex]
    assert shown.blob(shown.content.long).read_bytes() == b"under sha512"


def test_attributes_say_when_and_whose(shown: Shown) -> None:
    for path in (shown.blob(shown.content.big), shown.image(shown.content.app.manifest)):
        status = os.stat(path)
        assert status.st_mtime_ns == builders.CREATED * 10**9
        assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
        assert status.st_nlink == 1
    assert os.stat(shown.blob(shown.content.big)).st_blocks == -(-BIG // 512)


def test_extended_attributes_are_those_of_the_content(shown: Shown) -> None:
    values = {
        name: os.getxattr(shown.path / "tags/library/app/latest", name)
        for name in os.listxattr(shown.path / "tags/library/app/latest")
    }
    image = shown.content.app
    assert values == {
        "user.ross.digest": str(image.manifest).encode(),
        "user.ross.media_type": builders.OCI_MANIFEST.encode(),
        "user.ross.size": b"%d" % len(image.parts.manifest),
        "user.ross.created_at": b"%d" % builders.CREATED,
    }
    link = shown.path / "tags/library/app/latest"
    assert os.listxattr(link, follow_symlinks=False) == []
    assert os.listxattr(shown.path / "README") == []


def test_the_free_room_is_that_of_the_store(shown: Shown) -> None:
    here, there = os.statvfs(shown.path), os.statvfs(shown.content.store.root)
    assert here.f_blocks * here.f_frsize == there.f_blocks * there.f_frsize


# --- programs ---


def _run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE)


@pytest.fixture
def complete(mount: Mount, tmp_path: Path) -> Shown:
    """A gallery without the image that lacks a layer: who walks into that one meets an error."""
    content = gallery(tmp_path / "store")
    for path in (content.store.path, content.store.meta_path):
        path(content.windows, "manifests").unlink()
    shutil.rmtree(content.store.root / "tags/lab/windows")
    # tar warns of directories that change while it reads: nothing is noted beside what is read.
    return Shown(content, mount(content.store.root, "ro"))


def test_find_and_ls_walk_everything(complete: Shown) -> None:
    shown = complete
    names = {entry.path for entry, _ in walk(shown.path)}
    found = _run("find", shown.path, "-printf", "%p\n")
    assert (found.returncode, found.stderr) == (0, b"")
    assert set(found.stdout.decode().splitlines()) == names | {str(shown.path)}
    listed = _run("ls", "-lR", shown.path)
    assert (listed.returncode, listed.stderr) == (0, b"")
    hashed = _run(
        "find", shown.path / "blobs/sha256", "-type", "f", "-exec", "sha256sum", "{}", "+"
    )
    assert hashed.returncode == 0
    for line in hashed.stdout.decode().splitlines():
        digest, path = line.split()
        assert Path(path).name == digest


def test_tar_packs_everything(complete: Shown, tmp_path: Path) -> None:
    shown = complete
    # The figures of a young mount get longer while tar asks for them.
    options = ("--xattrs", "--exclude=./.ross/stats")
    packed = _run("tar", *options, "-cf", tmp_path / "all.tar", "-C", shown.path, ".")
    assert (packed.returncode, packed.stderr) == (0, b""), packed.stderr.decode()
    found = set()
    with tarfile.open(tmp_path / "all.tar") as archive:
        for member in archive:
            parts = member.name.split("/")[1:]
            if parts[:1] == ["blobs"] and member.isreg():
                file = archive.extractfile(member)
                assert file is not None
                assert hashlib.new(parts[1], file.read()).hexdigest() == parts[2]
                found.add(parts[2])
    assert found >= set(os.listdir(shown.path / "blobs/sha256"))


def test_cp_and_diff_find_the_same_bytes(complete: Shown, tmp_path: Path) -> None:
    shown = complete
    assert _run("cp", "-a", shown.path / "images", tmp_path / "images").returncode == 0
    assert _run("cp", "-r", shown.path / "tags", tmp_path / "tags").returncode == 0
    compared = _run("diff", "-r", "--no-dereference", shown.path / "images", tmp_path / "images")
    assert (compared.returncode, compared.stdout) == (0, b"")


def test_an_image_of_umoci_is_read_as_it_was_made(mount: Mount, tmp_path: Path, tool: Tool) -> None:
    layout = tmp_path / "layout"
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/file").write_text("in a layer")
    tool("umoci", "init", "--layout", layout)
    tool("umoci", "new", "--image", f"{layout}:v1")
    tool("umoci", "insert", "--image", f"{layout}:v1", tmp_path / "bundle", "/opt")
    tool("umoci", "config", "--image", f"{layout}:v1", "--config.cmd", "true")
    store = tmp_path / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    path = mount(store).path
    assert mounts.rossfs("--store", store, "import", layout, "lab/umoci:v1").returncode == 0
    blobs = layout / "blobs/sha256"
    [listed] = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = listed["digest"].removeprefix("sha256:")
    image = path / "tags/lab/umoci/v1"
    assert os.readlink(image).endswith(manifest)
    assert (image / "manifest.json").read_bytes() == (blobs / manifest).read_bytes()
    names = os.listdir(path / "blobs/sha256")
    assert len(names) == 3
    for name in names:
        assert (path / "blobs/sha256" / name).read_bytes() == (blobs / name).read_bytes()
