"""Podman pulls from a registry through als/: it fetches no layer, and keeps none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests import mounts
from tests.mount.realmount import RealStore, import_into
from tests.mount.registry import Registry, registry
from tests.mounts import Mounted
from tests.requirements import require_tools

pytestmark = [pytest.mark.fuse, pytest.mark.timeout(240)]

DEADLINE = 100.0
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
RUN = ("run", "--rm", "--pull=never", "--network=none", *LIMITS)
NAME = "lab/app:v1"


class Podman:
    """Podman with a storage of its own below *top* and an additional layer store *als*."""

    def __init__(self, top: Path, als: str) -> None:
        self.top = top
        self._options = (
            *("--root", top / "root", "--runroot", top / "run", "--runtime", "runc"),
            *("--storage-driver", "overlay"),
            *("--storage-opt", f"additionallayerstore={als}"),
        )

    def __call__(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            list(map(str, ("podman", *self._options, *arguments))),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        self.told = done.stderr
        return done.stdout

    def pull(self, name: str) -> str:
        """The id of the image."""
        return self("pull", "-q", "--tls-verify=false", name).strip()

    def stored(self) -> int:
        """Bytes of files in its own storage."""
        files = (path for path in (self.top / "root").rglob("*") if path.is_file())
        return sum(path.lstat().st_size for path in files if not path.is_symlink())


class Place(NamedTuple):
    """A store of the image, a registry that has it too, and what is in it."""

    top: Path
    store: Path
    registry: Registry
    name: str
    layers: list[str]
    diff_ids: list[str]
    config: str

    def mounted(self, *options: str) -> Mounted:
        return mounts.start(self.store, self.top / "mnt", self.top / "log", "dev", "suid", *options)

    def uses(self) -> dict[str, int]:
        """What podman uses, and how often."""
        with Store.open(str(self.store), read_only=True) as store:
            known = {str(asked): store.uses.get(asked) for asked in store.uses.asked()}
        return {asked: use.times for asked, use in known.items() if use is not None}

    def collect(self) -> set[str]:
        """Collect all that may be; the digests of what is gone."""
        options = ("gc", "--delete-untagged", "--grace", "0", "--json")
        done = mounts.rossfs("--store", self.store, *options)
        assert done.returncode == 0, done.stderr
        with Store.open(str(self.store), read_only=True) as store:
            left = {str(digest) for digest in store.list_blobs()}
        return {*self.layers, self.config} - left


@pytest.fixture(scope="module")
def shared_registry(
    tmp_path_factory: pytest.TempPathFactory, real_store: RealStore
) -> Iterator[Registry]:
    """With the image in it."""
    with registry(tmp_path_factory.mktemp("registry")) as made:
        made.push(f"oci:{real_store.images.gzip}:latest", NAME)
        yield made


@pytest.fixture
def place(tmp_path: Path, real_store: RealStore, shared_registry: Registry) -> Place:
    layout = real_store.images.gzip
    shared_registry.asked_for()
    store = tmp_path / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    import_into(store, f"oci:{layout}", NAME)
    with Store.open(str(store), read_only=True) as opened:
        digest, _ = opened.resolve_tag("lab/app", "v1")
        manifest = json.loads(opened.get_manifest(digest)[0])
        config = manifest["config"]["digest"]
        diff_ids = json.loads(opened.get_blob(Digest.parse(config)))["rootfs"]["diff_ids"]
    layers = [layer["digest"] for layer in manifest["layers"]]
    name = f"{shared_registry.host}/{NAME}"
    return Place(tmp_path, store, shared_registry, name, layers, diff_ids, config)


@pytest.fixture
def mounted(place: Place) -> Iterator[Mounted]:
    server = place.mounted()
    yield server
    server.clear()
    server.check_log()


@contextlib.contextmanager
def podman_with(als: str) -> Iterator[Podman]:
    """Podman with a storage for the length of the block."""
    require_tools("podman", "runc")
    # Podman takes a runroot of up to 50 characters only.
    top = Path(tempfile.mkdtemp(prefix="rossfs-als-"))
    try:
        yield Podman(top, als)
    finally:
        subprocess.run(("umount", "-l", top / "root/overlay"), capture_output=True, check=False)
        shutil.rmtree(top)


@pytest.fixture
def podman(place: Place) -> Iterator[Podman]:
    with podman_with(f"{place.top}/mnt/als") as made:
        yield made


def test_a_pull_fetches_no_layer_and_rmi_releases_them(
    place: Place, mounted: Mounted, podman: Podman
) -> None:
    image = podman.pull(place.name)
    assert place.registry.asked_for() == [place.config]
    assert podman.told == ""
    assert place.config == f"sha256:{image}"
    assert place.uses() == dict.fromkeys(place.layers, 1)
    assert sorted(os.listdir(mounted.path / "als")) == sorted(place.layers)
    assert podman.stored() < 1 << 20
    script = "cat /etc/new /odd/swap/content; ls /odd | wc -l; find /odd -xdev | wc -l"
    writing = f"echo new > /etc/new; rm /etc/passwd; {script}; ls /etc/passwd 2>&1 | wc -l"
    rootfs = mounted.path / "tags/lab/app/v1/rootfs"
    lines = subprocess.check_output(("find", rootfs / "odd", "-xdev")).count(b"\n")
    expected = f"new\nafter, and longer{len(os.listdir(rootfs / 'odd'))}\n{lines}\n1\n"
    assert podman(*RUN, image, "/bin/sh", "-c", writing) == expected
    assert podman.told == ""
    saved = podman.top / "saved.tar"
    podman("save", "-q", "--format", "oci-archive", "-o", saved, image)
    assert diff_ids_in(saved) == place.diff_ids
    podman("rmi", image)
    assert podman.told == ""
    assert place.uses() == {}
    assert os.listdir(mounted.path / "als") == []
    assert place.registry.asked_for() == []


def diff_ids_in(archive: Path) -> list[str]:
    """The hashes of the uncompressed layers of an archive, bottom first."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        def blob(digest: str) -> bytes:
            return read(f"blobs/{digest.replace(':', '/')}")

        (entry,) = json.loads(read("index.json"))["manifests"]
        hashed = []
        for layer in json.loads(blob(entry["digest"]))["layers"]:
            done = subprocess.run(
                ["gzip", "-dcf"], input=blob(layer["digest"]), stdout=subprocess.PIPE, check=True
            )
            hashed.append(f"sha256:{hashlib.sha256(done.stdout).hexdigest()}")
        return hashed


def test_what_podman_has_is_kept_mounted_or_not_until_it_is_removed(
    place: Place, podman: Podman
) -> None:
    server = place.mounted()
    try:
        image = podman.pull(place.name)
        assert mounts.rossfs("--store", place.store, "untag", NAME).returncode == 0
        assert place.collect() == {place.config}
        layer = place.layers[0].replace(":", "/")
        with pytest.raises(OSError, match="busy"):
            (server.path / "blobs" / layer).unlink()
        assert server.end() == 0
        assert place.collect() == {place.config}
        server.clear()
        server = place.mounted()
        assert podman(*RUN, image, "cat", "/etc/passwd").startswith("root:")
        podman("rmi", image)
        assert place.uses() == {}
        assert place.collect() == {place.config, *place.layers}
        assert place.registry.asked_for() == [place.config]
    finally:
        server.clear()
    server.check_log()
    assert mounts.rossfs("--store", place.store, "fsck").returncode == 0


def test_two_storages_are_counted_apart_and_one_may_ask_by_reference(
    place: Place, mounted: Mounted, podman: Podman
) -> None:
    image = podman.pull(place.name)
    with podman_with(f"{mounted.path}/als:ref") as other:
        assert other.pull(place.name) == image
        assert place.registry.asked_for() == [place.config] * 2
        assert place.uses() == dict.fromkeys(place.layers, 2)
        assert other(*RUN, image, "cat", "/odd/swap/content") == "after, and longer"
        other("rmi", image)
        assert other.told == ""
    assert place.uses() == dict.fromkeys(place.layers, 1)
    podman("rmi", image)
    assert place.uses() == {}


def test_a_layer_that_is_not_stored_or_damaged_is_fetched(
    place: Place, mounted: Mounted, podman: Podman
) -> None:
    mounted.expect_log("damaged")
    missing, damaged = place.layers[1], place.layers[3]
    with Store.open(str(place.store)) as store:
        store.delete_blob(Digest.parse(missing))
        path = Path(store.contents.settle(Digest.parse(damaged)).path)  # type: ignore[union-attr]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    image = podman.pull(place.name)
    assert set(place.registry.asked_for()) == {place.config, missing, damaged}
    assert place.uses() == dict.fromkeys(set(place.layers) - {missing, damaged}, 1)
    assert podman(*RUN, image, "cat", "/odd/swap/content") == "after, and longer"
    podman("rmi", image)
    assert place.uses() == {}


def test_a_mount_that_is_read_only_serves_and_counts_nothing(place: Place, podman: Podman) -> None:
    server = place.mounted("ro")
    try:
        image = podman.pull(place.name)
        assert place.registry.asked_for() == [place.config]
        assert podman(*RUN, image, "cat", "/odd/swap/content") == "after, and longer"
        podman("rmi", image)
        assert place.uses() == {}
    finally:
        server.clear()
    server.check_log()
