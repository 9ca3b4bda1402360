"""Programs of images run on root filesystems as the mount shows them: nothing is unpacked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import mounts, realimages
from tests.mount.realmount import RealMount, import_into
from tests.requirements import PATH, require_tools
from tests.treecompare import compare

pytestmark = [pytest.mark.fuse, pytest.mark.timeout(240)]

DEADLINE = 100.0

ENVIRONMENT = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
"""Podman asks for more than a process without CAP_SYS_RESOURCE may have."""

Podman = Callable[..., "subprocess.CompletedProcess[str]"]


def run(*command: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command, which must end with *status*."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "PATH": PATH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture
def podman() -> Iterator[Podman]:
    """podman(...) with a storage of its own, as root runs it on a machine without systemd."""
    require_tools("podman")
    # Podman takes a runroot of up to 50 characters only.
    top = Path(tempfile.mkdtemp(prefix="rossfs-podman-"))

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        own = ("--root", top / "root", "--runroot", top / "run", "--runtime", "runc")
        return run("podman", *own, *arguments)

    yield call
    # It stays mounted on itself.
    unmount = ("umount", "-l", top / "root/overlay")
    subprocess.run(unmount, capture_output=True, timeout=60, check=False)
    shutil.rmtree(top)


def chroot(rootfs: Path, *command: str) -> str:
    """What a command prints that runs in *rootfs* with process and mount namespaces of its own."""
    return run("unshare", "-mpf", "chroot", rootfs, *ENVIRONMENT, *command).stdout


# --- busybox ---


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_shell_runs_in_a_root_filesystem(real: RealMount, kind: str) -> None:
    rootfs = real.rootfs(kind)
    script = """
        set -e
        mount -t proc proc /proc
        test "$(readlink /proc/1/root)" = /
        cat /etc/passwd
        find /odd -type f | wc -l
        echo lost > /odd/dev/null
        head -c 5 /odd/dev/null | wc -c
        if touch /new 2>/dev/null; then echo written; fi
        id -u
    """
    printed = chroot(rootfs, "/bin/sh", "-c", script).split("\n")
    files = sum(len(names) for _, _, names in os.walk(real.content.unpacked / "odd"))
    assert printed[0] == "root:x:0:0:root:/root:/bin/sh"
    assert 0 < int(printed[1]) < files
    assert printed[2:] == ["0", "0", ""]


def test_programs_hash_what_umoci_unpacked(real: RealMount) -> None:
    script = "cd /odd; find size hl wide sparse -type f -exec sha256sum {} + | sort"
    expected = run("sh", "-c", script.replace("/odd", f"{real.content.unpacked}/odd"))
    lines = chroot(real.rootfs(), "/bin/sh", "-c", script).splitlines()
    assert sorted(lines) == sorted(expected.stdout.splitlines())
    assert len(lines) > 500


def test_podman_runs_a_container_on_it(real: RealMount, podman: Podman) -> None:
    rootfs = real.rootfs().resolve()
    script = """
        set -e
        echo new > /etc/new
        echo more >> /etc/passwd
        rm -r /odd/hl
        mv /odd/swap /odd/moved
        chmod 700 /odd/wide
        cat /etc/new /odd/moved/content
        tail -n 1 /etc/passwd
        ls /odd | wc -l
    """
    before = len(os.listdir(rootfs / "odd"))
    options = ("run", "--rm", "--network=none", *LIMITS, "--rootfs", f"{rootfs}:O")
    done = podman(*options, "/bin/sh", "-c", script)
    assert done.stdout == f"new\nafter, and longermore\n{before - 1}\n"
    assert len(os.listdir(rootfs / "odd")) == before
    assert list(compare(rootfs / "odd/swap", real.content.unpacked / "odd/swap")) == []


def test_podman_mounts_it_as_a_volume(real: RealMount, podman: Podman) -> None:
    rootfs = real.rootfs().resolve()
    other = real.rootfs("zstd").resolve()
    options = ("run", "--rm", "--network=none", *LIMITS, "-v", f"{other}:/volume:O")
    script = (
        "echo changed > /volume/odd/swap/content; cat /volume/odd/swap/content /volume/odd/hl/a"
    )
    done = podman(*options, "--rootfs", f"{rootfs}:O", "/bin/sh", "-c", script)
    assert done.stdout == "changed\nlinked no more\n"
    assert (other / "odd/swap/content").read_text() == "after, and longer"


def test_runc_runs_a_container_on_it_read_only(real: RealMount, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    run("runc", "spec", "--bundle", bundle)
    config = json.loads((bundle / "config.json").read_bytes())
    config["root"] = {"path": str(real.rootfs().resolve()), "readonly": True}
    script = "cat /etc/group; touch /new 2>/dev/null || echo cannot be written"
    config["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", script]}
    (bundle / "config.json").write_text(json.dumps(config))
    runc = ("runc", "--root", tmp_path / "state")
    name = f"rossfs-test-{os.getpid()}"
    try:
        done = run(*runc, "run", "--bundle", bundle, name)
    finally:
        subprocess.run(
            ("env", f"PATH={PATH}", *runc, "delete", "--force", name),
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.stdout == "root:x:0:\ncannot be written\n"


OVERLAY = """
set -eu
rootfs=$1 work=$2
mount -t tmpfs -o mode=755 upper "$work"
mkdir "$work/upper" "$work/work" "$work/all"
lower=$(echo "$rootfs" | sed 's/:/\\\\:/g')
mount -t overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work$3" all "$work/all"
cd "$work/all"
echo new >new
echo more >>etc/passwd                                  # copied up
rm etc/group
rm -r odd/wide
mv odd/hl/a odd/hl/renamed
mv odd/size/4096 etc/4096
ln odd/swap/content odd/swap/second
chmod 600 odd/time/ns
setfattr -n user.new -v x odd/xa/f
mkdir odd/wide && echo again >odd/wide/again             # opaque
test "$(cat odd/wide/again)" = again
test "$(ls odd/wide)" = again
test "$(cat odd/hl/renamed)" = "linked no more"
test "$(tail -n 1 etc/passwd)" = more
test ! -e etc/group
test "$(getfattr --only-values -n user.simple odd/xa/f)" = hello
test "$(getfattr --only-values -n user.new odd/xa/f)" = x
test "$(stat -c %h odd/swap/content)" = 2
cmp etc/4096 "$rootfs/odd/size/4096"
chroot . /bin/sh -c 'ls /odd | wc -l; cat /new'
find . -xdev >/dev/null
tar -cf - odd usr | wc -c >/dev/null
"""


@pytest.mark.parametrize("options", ["", ",metacopy=on,redirect_dir=on", ",index=on,xino=on"])
def test_overlayfs_has_it_as_its_lower_directory(
    real: RealMount, tmp_path: Path, options: str
) -> None:
    """In a mount namespace, so that all of it is gone afterwards."""
    rootfs = real.rootfs("zstd").resolve()
    before = len(os.listdir(rootfs / "odd"))
    work = tmp_path / "work"
    work.mkdir()
    command = ("unshare", "-m", "sh", "-c", OVERLAY, "sh", rootfs, work, options)
    assert run(*command).stdout == f"{before}\nnew\n"
    for name in ("etc", "odd/swap", "odd/hl", "odd/xa"):
        assert list(compare(rootfs / name, real.content.unpacked / name)) == []


def test_overlayfs_stacks_single_layers_of_plain_content(real: RealMount, tmp_path: Path) -> None:
    """The layers of two images as lower directories, one above the other."""
    lowers = ":".join(str(real.rootfs(kind).resolve()) for kind in ("plain", "docker"))
    work = tmp_path / "work"
    work.mkdir()
    script = 'mount -t overlay -o "lowerdir=$1" all "$2" && cat "$2/odd/hl/a" "$2/etc/passwd"'
    done = run("unshare", "-m", "sh", "-c", script, "sh", lowers, work)
    assert done.stdout.startswith("linked no more\nroot:")


# --- programs of Debian, where such an image is there ---

DEBIAN = [path for path in realimages.layouts() if path.name.startswith("debian")]

PROGRAMS = {
    "nginx": ("nginx -t 2>&1", "syntax is ok"),
    "python": ("python3 -c 'import sys; print(14 * sys.version_info[0])'", "42"),
    "dpkg": ("dpkg -l | wc -l; dpkg -V base-files 2>&1", ""),
    "find": ("find / -xdev -ls 2>/dev/null | tail -n 1 | wc -l", "1"),
    "perl": ("perl -e 'print 6 * 7'", "42"),
    "ldd": ("ldd /bin/bash", "libc.so.6"),
}

if DEBIAN:

    @pytest.fixture(scope="module", params=DEBIAN, ids=lambda path: str(path.name))
    def debian(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Path]:
        """The root filesystem of an image of Debian."""
        top = tmp_path_factory.mktemp("debian")
        assert mounts.rossfs("--store", top / "store", "init").returncode == 0
        import_into(top / "store", f"oci:{request.param}", "lab/debian")
        with mounts.mounted(top / "store", top / "mnt", top / "log", "dev", "suid") as mounted:
            yield mounted.path / "tags/lab/debian/latest/rootfs"

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_a_program_of_debian_runs_in_chroot(debian: Path, program: str) -> None:
        command, expected = PROGRAMS[program]
        # nginx opens its log and makes directories.
        places = "/tmp /run /var/log/nginx /var/lib/nginx" if program == "nginx" else "/tmp"
        script = f"for place in {places}; do mount -t tmpfs t $place; done; {command}"
        assert expected in chroot(debian, "/bin/bash", "-c", script)

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_a_program_of_debian_runs_in_podman(debian: Path, podman: Podman, program: str) -> None:
        command, expected = PROGRAMS[program]
        options = ("run", "--rm", "--network=none", *LIMITS, "--rootfs", f"{debian.resolve()}:O")
        assert expected in podman(*options, "/bin/bash", "-c", command).stdout
