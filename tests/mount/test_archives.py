"""Images as archives, and layers uncompressed, read by the tools that they are for."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests import mounts, realimages
from tests.conftest import Mount
from tests.layers import Layer, image_of
from tests.mount.lab import Lab
from tests.mount.realmount import KINDS, RealMount
from tests.requirements import require_tools
from tests.tree.browsing import bottom, middle

pytestmark = [pytest.mark.fuse, pytest.mark.timeout(240)]

ARCHIVES = ("oci", "docker")


def image(real: RealMount, kind: str) -> Path:
    return Path(os.path.realpath(real.path / "tags/lab" / kind / "latest"))


def archive(real: RealMount, kind: str, form: str) -> Path:
    return image(real, kind) / f"archive/{form}.tar"


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashed(file)


def hashed(file: IO[bytes] | None) -> str:
    assert file is not None
    hasher = hashlib.sha256()
    while data := file.read(1 << 20):
        hasher.update(data)
    return hasher.hexdigest()


def config_of(directory: Path) -> bytes:
    return (directory / "config.json").read_bytes()


def diff_ids(directory: Path) -> list[str]:
    found: list[str] = json.loads(config_of(directory))["rootfs"]["diff_ids"]
    return found


@pytest.fixture(scope="module")
def second(real: RealMount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMount]:
    """Another mount of the store, that reads only."""
    top = tmp_path_factory.mktemp("second")
    with mounts.mounted(real.content.path, top / "mnt", top / "log", "ro") as mounted:
        yield RealMount(mounted, real.content)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_uncompressed_hash_to_the_diff_ids(real: RealMount, kind: str) -> None:
    top = image(real, kind)
    tars = sorted((top / "layers").glob("*.tar"))
    done = subprocess.run(["sha256sum", *tars], capture_output=True, text=True, check=True)
    found = [f"sha256:{line.split()[0]}" for line in done.stdout.splitlines()]
    assert found == diff_ids(top)
    assert all(path.is_symlink() == (kind == "plain") for path in tars)


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("kind", KINDS)
def test_two_mounts_give_the_same_bytes(
    real: RealMount, second: RealMount, kind: str, form: str
) -> None:
    one, other = archive(real, kind, form), archive(second, kind, form)
    assert sha256(one) == sha256(other)
    assert one.stat().st_size == other.stat().st_size
    assert one.stat().st_size % 10240 == 0


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_any_range_is_that_of_the_whole(
    real: RealMount, mount: Mount, kind: str, form: str
) -> None:
    whole = archive(real, kind, form).read_bytes()
    fresh = mount(real.content.path, "ro").path  # whose pages the kernel does not have
    chance = random.Random(f"{kind} {form}")
    path = fresh / "tags/lab" / kind / "latest/archive" / f"{form}.tar"
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for _ in range(200):
            offset = chance.randrange(len(whole) + 1000)
            length = chance.choice([1, 511, 4096, 70_000, 1 << 20])
            right = whole[offset : offset + length]
            assert os.pread(file.fileno(), length, offset) == right


@pytest.mark.parametrize("kind", KINDS)
def test_tarfile_reads_the_archives(real: RealMount, kind: str) -> None:
    top = image(real, kind)
    with tarfile.open(archive(real, kind, "oci")) as tar:
        for member in tar:
            if member.name.startswith("blobs/sha256/") and member.isfile():
                assert hashed(tar.extractfile(member)) == member.name[-64:]
        assert f"blobs/sha256/{top.name}" in tar.getnames()
    with tarfile.open(archive(real, kind, "docker")) as tar:
        for member in tar:
            if member.name != "manifest.json":
                assert hashed(tar.extractfile(member)) == member.name[:64]
        layers = [name for name in tar.getnames() if name.endswith(".tar")]
        assert layers == [f"{diff_id[7:]}.tar" for diff_id in diff_ids(top)]


def test_gnu_tar_lists_an_archive(real: RealMount) -> None:
    path = archive(real, "zstd", "docker")
    done = subprocess.run(["tar", "-tvf", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "manifest.json" in done.stdout


@pytest.mark.parametrize("kind", ["gzip", "zstd", "plain"])
def test_skopeo_copies_an_oci_archive(real: RealMount, tmp_path: Path, kind: str) -> None:
    source = f"oci-archive:{archive(real, kind, 'oci')}"
    command = ("skopeo", "copy", "--preserve-digests", source, f"dir:{tmp_path}/out")
    realimages.run(*command, home=tmp_path)
    assert sha256(tmp_path / "out/manifest.json") == image(real, kind).name


@pytest.mark.parametrize("kind", KINDS)
def test_skopeo_copies_a_docker_archive(real: RealMount, tmp_path: Path, kind: str) -> None:
    source = f"docker-archive:{archive(real, kind, 'docker')}"
    command = ("skopeo", "copy", source, f"dir:{tmp_path}/out")
    realimages.run(*command, home=tmp_path)
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    config = (tmp_path / "out" / manifest["config"]["digest"][7:]).read_bytes()
    assert config == config_of(image(real, kind))
    assert len(manifest["layers"]) == len(diff_ids(image(real, kind)))


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_podman_loads_an_archive(lab: Lab, packing: str, form: str) -> None:
    require_tools("podman")
    lower = Layer().directory("etc").file("etc/motd", b"old").file("big", os.urandom(300_000))
    upper = Layer().directory("etc").file("etc/motd", b"new").whiteout("big")
    made = image_of(lower, upper, packing=packing)
    path = lab.show(made) / f"archive/{form}.tar"
    # Podman takes a runroot of up to 50 characters only.
    top = Path(tempfile.mkdtemp(prefix="rossfs-podman-"))
    own = ("podman", "--root", top / "root", "--runroot", top / "run", "--storage-driver", "vfs")
    try:
        said = realimages.run(*own, "load", "-q", "-i", path, home=top)
        shown = realimages.run(*own, "images", "-q", "--no-trunc", home=top)
        layers = "{{range .RootFS.Layers}}{{.}} {{end}}"
        inspect = ("image", "inspect", "--format", layers, shown.strip())
        loaded = realimages.run(*own, *inspect, home=top)
    finally:
        unmount = ("umount", "-l", top / "root/vfs")
        subprocess.run(unmount, capture_output=True, timeout=60, check=False)
        shutil.rmtree(top)
    expected = hashlib.sha256(made.config).hexdigest()
    assert f"Loaded image: sha256:{expected}" in said
    assert shown.split() == [f"sha256:{expected}"]
    assert loaded.split() == json.loads(made.config)["rootfs"]["diff_ids"]


def test_rossfs_imports_its_archives(real: RealMount, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    for kind in KINDS:
        done = mounts.rossfs("--store", store, "import", archive(real, kind, "oci"), f"a/{kind}")
        assert done.returncode == 0, done.stderr
        assert image(real, kind).name.encode() in done.stdout
        source = f"docker-archive:{archive(real, kind, 'docker')}"
        done = mounts.rossfs("--store", store, "import", source, f"b/{kind}")
        assert done.returncode == 0, done.stderr


def test_reading_archives_stores_nothing(lab: Lab) -> None:
    top = lab.show(image_of(bottom(), middle()))

    def stored() -> set[Path]:
        return {p for p in lab.store.root.rglob("*") if "cache" not in p.parts}

    before = stored()
    for name in os.listdir(top / "archive"):
        assert (top / "archive" / name).read_bytes()
    assert stored() == before


def test_damaged_content_is_an_error_and_never_wrong(lab: Lab) -> None:
    layers = [Layer().file("a", os.urandom(200_000)), Layer().file("b", os.urandom(200_000))]
    made = image_of(*layers)
    made.put(lab.store)
    path = lab.store.path(made.layers[0])
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(blob)
    top = lab.mounted.path / "images/sha256" / made.digest.hex
    with open(top / "archive/oci.tar", "rb", buffering=0) as file:
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            file.readall()
        # What follows the damaged layer is there all the same.
        size = os.fstat(file.fileno()).st_size
        assert made.blobs[1][-1000:] in os.pread(file.fileno(), 20_000, size - 20_000)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        (top / "archive/docker.tar").stat()
    names = os.listdir(top / "layers")
    (tar,) = [name for name in names if name.startswith("00-") and name.endswith(".tar")]
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        (top / "layers" / tar).read_bytes()


def test_archives_cannot_be_written(lab: Lab) -> None:
    top = lab.show(image_of(bottom()))
    for path in (top / "archive/oci.tar", top / "archive/docker.tar", top / "archive/new"):
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            path.write_bytes(b"new")
