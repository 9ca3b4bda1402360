"""podman runs, commits and saves images from podman/ of a mount: nothing is pulled or copied."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from rossfs.oci.digest import Digest
from tests import mounts
from tests.builders import RossStore, ross_store
from tests.layers import Layer, image_of
from tests.mount.waiting import eventually
from tests.mounts import Mounted
from tests.requirements import PATH, require_root, require_tools

pytestmark = [pytest.mark.fuse, pytest.mark.timeout(240)]

DEADLINE = 100.0

OPTIONS = ("--rm", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
"""Podman asks for more than a process without CAP_SYS_RESOURCE may have."""

APPLETS = ("sh", "ls", "cat", "find", "rm", "mkdir", "echo", "test", "stat", "sort", "touch")


class Podman:
    """podman with a storage of its own in *top*, and a mount whose images it may use."""

    def __init__(self, top: Path, mounted: Mounted, store: RossStore) -> None:
        self.top = top
        self.mounted = mounted
        self.store = store
        self.own = (f"--root={top}/root", f"--runroot={top}/run", "--runtime=runc")

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run podman, which must end with *status*; what it prints."""
        images = f"--storage-opt=additionalimagestore={self.mounted.path}/podman"
        return self.execute("podman", *self.own, images, *arguments, status=status)

    def run(self, image: str, script: str) -> str:
        """What a shell in a container of *image* prints."""
        return self("run", "--pull=never", *OPTIONS, image, "sh", "-c", script)

    def execute(self, *command: str, status: int = 0, **environment: str) -> str:
        done = subprocess.run(
            command,
            cwd=mounts.ROOT,
            env={**os.environ, "PATH": PATH, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def names(self) -> list[str]:
        """The names of all images, as podman shows them."""
        shown = self("images", "--format={{.Repository}}:{{.Tag}} {{.ReadOnly}}")
        lines = [line.split() for line in shown.splitlines()]
        assert {read_only for _, read_only in lines} <= {"true"}
        return sorted(name for name, _ in lines)

    def size(self) -> int:
        """Bytes of all files of its own storage."""
        files = (place / name for place, _, names in os.walk(self.top) for name in map(Path, names))
        return sum(path.lstat().st_size for path in files)


def base() -> Layer:
    """busybox, and what the layers above it change."""
    layer = Layer().directory("./")
    for name in ("bin", "etc", "proc", "sys", "dev", "run", "tmp"):
        layer.directory(name)
    busybox = shutil.which("busybox")
    assert busybox
    layer.file("bin/busybox", Path(busybox).read_bytes(), 0o755)
    for name in APPLETS:
        layer.symlink(f"bin/{name}", "busybox")
    for name in "abce":
        layer.directory(name).file(f"{name}/x", b"lower")
    return layer.file("d", b"lower").file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")


def table() -> Layer:
    """The forms of whiteouts that podman's own unpacking gets wrong, and one that it does not."""
    return (
        Layer()
        .whiteout("a")
        .directory("a")
        .file("a/y", b"upper")
        .directory("b")
        .file("b/y", b"upper")
        .whiteout("b")
        .file("d", b"upper")
        .whiteout("d")
        .directory("c")
        .opaque("c")
        .whiteout("c/x")
        .file("c/y", b"upper")
        .whiteout("e")
        .whiteout("e/x")
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mounted, RossStore]]:
    require_root("run containers")
    require_tools("podman", "runc", "busybox")
    top = tmp_path_factory.mktemp("podman")
    store = ross_store(top / "store")
    image_of(base(), table(), packing=["gzip", "plain"]).put(store, "lab/table:v1")
    image_of(base(), packing="zstd").put(store, "library/box:latest")
    with mounts.mounted(store.root, top / "mnt", top / "log", "platform=linux/amd64") as mounted:
        yield mounted, store


@pytest.fixture
def podman(served: tuple[Mounted, RossStore]) -> Iterator[Podman]:
    # Podman takes a runroot of up to 50 characters only.
    top = Path(tempfile.mkdtemp(prefix="rossfs-podman-"))
    yield Podman(top, *served)
    eventually(lambda: is_cleared(top))


def is_cleared(top: Path) -> bool:
    """Remove podman's storage.  It stays mounted on itself, and what podman leaves to a process in
    the background may still be under way."""
    unmount = ("umount", "-l", top / "root/overlay")
    subprocess.run(unmount, capture_output=True, timeout=60, check=False)
    shutil.rmtree(top, ignore_errors=True)
    return not top.exists()


def tag(podman: Podman, name: str, digest: Digest) -> None:
    """Tag an image as another process does."""
    done = mounts.rossfs("--store", podman.store.root, "tag", str(digest), name)
    assert done.returncode == 0, done.stderr


def test_podman_shows_the_images_of_the_store(podman: Podman) -> None:
    table = ["docker.io/lab/table:v1", "localhost/lab/table:v1"]
    box = ["docker.io/library/box:latest", "localhost/library/box:latest"]
    assert podman.names() == sorted(table + box)
    (shown,) = json.loads(podman("inspect", "box"))
    assert shown["Config"]["Cmd"] == ["/bin/sh"]
    assert len(shown["RootFS"]["Layers"]) == 1


def test_podman_shows_tags_as_they_change(podman: Podman) -> None:
    before = podman.names()
    digest = image_of(base(), packing="zstd").digest
    tag(podman, "quay.io/some/box:v1", digest)
    assert podman.names() == sorted([*before, "quay.io/some/box:v1"])
    link = podman.mounted.path / "tags/quay.io/some/box/v2"
    link.symlink_to(f"../../../../images/sha256/{digest.hex}")
    assert "quay.io/some/box:v2" in podman.names()
    for name in ("v1", "v2"):
        (link.parent / name).unlink()
    assert podman.names() == before


def test_whiteouts_mean_what_the_specification_says(podman: Podman) -> None:
    script = "find /a /b /c /d /e 2>&1 | sort; for f in /a/y /b/y /c/y /d; do cat $f; echo; done"
    assert podman.run("lab/table:v1", script).split("\n") == [
        *("/a", "/a/y", "/b", "/b/y", "/c", "/c/y", "/d"),
        "find: /e: No such file or directory",
        *("upper",) * 4,
        "",
    ]


@pytest.mark.parametrize("count", [26, 130])
def test_images_of_many_layers_run(podman: Podman, count: int) -> None:
    """Podman itself can name 69 of them in a mount with a short path, and 128 of its own."""
    steps = [
        Layer().file(f"f{number}", b"x").file("top", b"%d" % number) for number in range(count)
    ]
    undone = Layer().whiteout("f1").directory("e").opaque("e")
    image_of(base(), *steps[1:], undone).put(podman.store, "lab/deep:v1")
    options = ("--name=deep", *OPTIONS[1:], "--pull=never", "lab/deep:v1", "sh", "-c")
    script = "cat /top; ls / | grep -c f; ls /e; echo more >>/top; rm /f2 /a/x; mkdir /new"
    assert podman("run", *options, script) == f"{count - 1}{count - 2}\n"
    changes = set(podman("diff", "deep").split("\n"))
    assert {"C /top", "D /f2", "D /a/x", "A /new"} <= changes
    podman("commit", "-q", "deep", "localhost/deeper:v1")
    assert podman.run("localhost/deeper:v1", "cat /top; ls / | grep -c f") == (
        f"{count - 1}more\n{count - 3}\n"
    )
    podman("rm", "deep")
    podman("rmi", "localhost/deeper:v1")
    mounts.rossfs("--store", podman.store.root, "untag", "lab/deep:v1")


def test_a_container_writes_and_is_committed(podman: Podman) -> None:
    script = "echo new >/etc/new; echo more >>/etc/passwd; rm -r /a; mkdir /a; touch /a/z"
    options = ("--name=one", *OPTIONS[1:], "--pull=never")
    podman("run", *options, "lab/table:v1", "sh", "-c", script)
    assert podman.size() < 1 << 20
    podman("commit", "-q", "one", "localhost/changed:v1")
    script = "cat /etc/new /etc/passwd; ls /a; cat /b/y"
    expected = "new\nroot:x:0:0:root:/:/bin/sh\nmore\nz\nupper"
    assert podman.run("localhost/changed:v1", script) == expected
    assert "more" not in podman.run("lab/table:v1", "cat /etc/passwd")
    saved = podman.top / "changed.tar"
    podman("save", "-q", "-o", str(saved), "localhost/changed:v1")
    assert check_saved(saved) == 3
    podman("rm", "one")
    podman("rmi", "localhost/changed:v1")


@pytest.mark.parametrize("image", ["lab/table:v1", "box"])
def test_a_saved_image_has_the_layers_that_its_config_names(podman: Podman, image: str) -> None:
    saved = podman.top / "saved.tar"
    podman("save", "-q", "--format=oci-archive", "-o", str(saved), image)
    with tarfile.open(saved) as archive:

        def stored(digest: str) -> bytes:
            data = read(archive, f"blobs/{digest.replace(':', '/')}")
            assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
            return data

        index = json.loads(read(archive, "index.json"))
        manifest = json.loads(stored(index["manifests"][0]["digest"]))
        shown = json.loads(podman("inspect", image))
        assert manifest["config"]["digest"] == f"sha256:{shown[0]['Id']}"
        for layer in manifest["layers"]:
            stored(layer["digest"])


def test_an_image_saved_for_docker_has_its_layers(podman: Podman) -> None:
    saved = podman.top / "saved.tar"
    podman("save", "-q", "-o", str(saved), "lab/table:v1")
    assert check_saved(saved) == 2


def test_an_image_of_unknown_lengths_is_saved_the_second_time(podman: Podman) -> None:
    """Podman must know the length of a layer before it reads it."""
    layer = Layer().file("long", bytes(100_000))
    image_of(base(), layer, packing="gzip in members").put(podman.store, "lab/members:v1")
    saved = str(podman.top / "saved.tar")
    podman("save", "-q", "-o", saved, "lab/members:v1", status=125)
    podman("save", "-q", "-o", saved, "lab/members:v1")
    assert check_saved(Path(saved)) == 2
    mounts.rossfs("--store", podman.store.root, "untag", "lab/members:v1")


def check_saved(path: Path) -> int:
    """That the layers of a docker archive hash to the diff IDs of its config; how many."""
    with tarfile.open(path) as archive:
        (manifest,) = json.loads(read(archive, "manifest.json"))
        config = json.loads(read(archive, manifest["Config"]))
        hashed = [hashlib.sha256(read(archive, name)).hexdigest() for name in manifest["Layers"]]
    assert [f"sha256:{one}" for one in hashed] == config["rootfs"]["diff_ids"]
    return len(hashed)


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file: IO[bytes] | None = archive.extractfile(name)
    assert file is not None
    return file.read()


def test_nothing_is_opened_by_looking_at_images(podman: Podman) -> None:
    image_of(base(), Layer().file("unopened", b"1")).put(podman.store, "lab/unopened:v1")
    podman("images")
    podman("inspect", "lab/unopened:v1")
    subprocess.run(
        ["find", podman.mounted.path / "podman", "-maxdepth", "2"], check=True, capture_output=True
    )
    tables = set(os.listdir(podman.store.root / "cache"))
    podman.run("lab/unopened:v1", "ls /unopened")
    assert set(os.listdir(podman.store.root / "cache")) - tables
    mounts.rossfs("--store", podman.store.root, "untag", "lab/unopened:v1")


def test_what_cannot_be_shown_harms_no_other(podman: Podman) -> None:
    """A wrong diff ID is found when the layer is opened; then the image is gone."""
    wrong = image_of(base(), diff_ids=["sha256:" + "1" * 64])
    podman.mounted.expect_log("when uncompressed; the config says")
    wrong.put(podman.store, "lab/wrong:v1")
    podman("run", "--pull=never", *OPTIONS, "lab/wrong:v1", "true", status=125)
    assert "docker.io/lab/wrong:v1" not in podman.names()
    assert podman.run("box", "echo as before") == "as before\n"
    log = (podman.mounted.path / ".ross/log").read_text()
    assert log.count("lab/wrong:v1 is not in podman/") == 1
    mounts.rossfs("--store", podman.store.root, "untag", "lab/wrong:v1")


def test_a_running_container_does_not_mind_changes(podman: Podman) -> None:
    """Tags move, the store is collected and checked, and the container reads on."""
    image_of(base(), Layer().file("mine", b"mine")).put(podman.store, "lab/mine:v1")
    script = (
        "echo begin; cat /tmp/go; while ! test -e /tmp/go; do cat /mine >/dev/null; done; cat /mine"
    )
    own = ("run", "-d", "--name=two", "--pull=never", *OPTIONS[1:])
    podman(*own, "lab/mine:v1", "sh", "-c", script)
    for number in range(3):
        tag(podman, f"lab/other:v{number}", image_of(base(), packing="zstd").digest)
        for command in (("gc", "--grace=0s"), ("fsck", "--fast")):
            done = mounts.rossfs("--store", podman.store.root, *command)
            assert done.returncode == 0, done.stdout + done.stderr
    podman("exec", "two", "touch", "/tmp/go")
    assert podman("wait", "two") == "0\n"
    eventually(lambda: podman("logs", "two").endswith("mine"))
    podman("rm", "two")


# --- commands ---


def rossfs(podman: Podman, *arguments: str, status: int = 0) -> str:
    command = (*mounts.ROSSFS, "--store", str(podman.store.root), *arguments)
    return podman.execute(*command, status=status)


def test_the_printed_configuration_works(podman: Podman) -> None:
    file = podman.top / "storage.conf"
    file.write_text(rossfs(podman, "podman-config"))
    apart = "; ".join(
        f"mkdir -p {path} && mount -t tmpfs tmpfs {path}"
        for path in ("/var/lib/containers", "/run/containers")
    )
    command = (
        "unshare",
        "--mount",
        "sh",
        "-euc",
        f'{apart}; "$@"; umount /var/lib/containers/storage/overlay || true',
        "sh",
        "podman",
        "--runtime=runc",
        "run",
        "--pull=never",
        *OPTIONS,
        "box",
        "echo",
        "it runs",
    )
    assert podman.execute(*command, CONTAINERS_STORAGE_CONF=str(file)) == "it runs\n"
    assert rossfs(podman, "podman-config", str(podman.mounted.path)) == rossfs(
        podman, "podman-config"
    )


def test_run_starts_podman(podman: Podman) -> None:
    own = [f"--podman={option}" for option in podman.own]
    for name in ("box", image_of(base(), packing="zstd").digest.hex):
        split = [word for option in OPTIONS for word in option.split("=", 1)]
        words = ("run", *own, *split, name, "sh", "-c", 'echo "it $1"', "x", "runs --rm")
        assert rossfs(podman, *words) == "it runs --rm\n"
    assert rossfs(podman, "run", *own, *OPTIONS, "box", "sh", "-c", "exit 7", status=7) == ""


def test_run_prints_what_it_would_start(podman: Podman) -> None:
    printed = shlex.split(
        rossfs(podman, "run", "--print", "-it", "--name=a b", "lab/table:v1", "ls")
    )
    (shown,) = json.loads(podman("inspect", "lab/table:v1"))
    assert printed == [
        *("podman", "--storage-opt", f"additionalimagestore={podman.mounted.path}/podman"),
        *("run", "--pull=never", "-it", "--name=a b", shown["Id"], "ls"),
    ]
    assert shlex.split(rossfs(podman, "run", "--print", shown["Id"][:12]))[-1] == shown["Id"]


def test_run_says_what_is_wrong(podman: Podman) -> None:
    assert rossfs(podman, "run", "--rm", status=2) == ""
    assert rossfs(podman, "run", "lab/none", status=3) == ""
    assert rossfs(podman, "run", "--mountpoint=/proc", "box", status=3) == ""
