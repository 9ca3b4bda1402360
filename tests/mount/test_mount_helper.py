"""mount(8), fstab(5) and umount(8) with the helper mount.rossfs.

Each test is a shell script in a mount namespace of its own, where /sbin holds our helper and
/etc/fstab is ours, whatever this machine has there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import mounts
from tests.builders import ross_store
from tests.requirements import require_root, require_tools

pytestmark = pytest.mark.fuse

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_NAMESPACE = """
set -eu
mount --bind "$PWD/sbin" "$(realpath /sbin)"
mount --bind "$PWD/fstab" /etc/fstab
eval "$SCRIPT"
"""

_HELPER = """#!/bin/sh
echo "$@" >>{log}
PYTHONPATH={root} exec {python} -c 'from rossfs.cli.main import mount_helper; mount_helper()' "$@"
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a script as root in `tmp_path`, with `store` and `place` there; `called` gets the
    arguments of the helper."""
    require_root("call mount(8)")
    (tmp_path / "place").mkdir()
    (tmp_path / "sbin").mkdir()
    helper = tmp_path / "sbin" / "mount.rossfs"
    python, root = shlex.quote(sys.executable), shlex.quote(str(mounts.ROOT))
    helper.write_text(_HELPER.format(log=tmp_path / "called", root=root, python=python))
    helper.chmod(0o755)
    ross_store(tmp_path / "store")

    def run(script: str, fstab: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "fstab").write_text(fstab)
        return subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", _NAMESPACE],
            cwd=tmp_path,
            env={**os.environ, "SCRIPT": script},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def test_mount_mounts_and_umount_ends_the_server(run: Run, tmp_path: Path) -> None:
    ended = run(
        """
        mount -t rossfs "$PWD/store" "$PWD/place"
        findmnt -n -o FSTYPE,SOURCE "$PWD/place"
        ls place
        umount place
        findmnt "$PWD/place" || echo gone
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"fuse.rossfs {tmp_path}/store\n")
    assert "blobs" in ended.stdout.split()
    assert ended.stdout.endswith("gone\n")


def test_options_reach_the_mount(run: Run) -> None:
    ended = run(
        """
        mount -t rossfs -o ro,noexec,uid=33,nofail,x-systemd.automount,comment=x store place -v
        findmnt -n -o OPTIONS "$PWD/place"
        stat -c %u place
        umount place
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {"ro", "noexec"} <= set(ended.stdout.split("\n")[1].split(","))
    assert ended.stdout.endswith("\n33\n")


def test_a_line_of_fstab_is_enough(run: Run, tmp_path: Path) -> None:
    line = f"{tmp_path}/store {tmp_path}/place rossfs defaults,nofail,_netdev,noauto,user 0 0\n"
    ended = run(
        """
        mount place
        mount -a
        mount -a -t rossfs
        ls place
        umount place
        """,
        line,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "blobs" in ended.stdout.split()
    assert len((tmp_path / "called").read_text().splitlines()) == 1


def test_mount_all_does_not_mount_again(run: Run, tmp_path: Path) -> None:
    ended = run(
        """
        mount -a
        mount -a
        umount place
        """,
        f"{tmp_path}/store {tmp_path}/place rossfs defaults 0 0\n",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len((tmp_path / "called").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("store place -o bogus", 'unknown mount option "bogus"'),
        ("missing place", "no store at"),
        ("store missing", "does not exist"),
    ],
)
def test_what_is_wrong_is_told(run: Run, arguments: str, words: str) -> None:
    ended = run(f"mount -t rossfs {arguments}")
    assert ended.returncode in {1, 32}
    assert words in ended.stderr


def test_a_fake_mount_mounts_nothing(run: Run) -> None:
    ended = run("mount -f -t rossfs store place && sh -c 'ls place'")
    assert (ended.returncode, ended.stdout) == (0, "")


def test_a_sloppy_mount_ignores_what_it_does_not_know(run: Run) -> None:
    ended = run("mount -s -t rossfs -o bogus store place && umount place")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_type_fuse_rossfs_mounts_too(run: Run, tmp_path: Path) -> None:
    require_tools("mount.fuse3")
    fuse = shutil.which("mount.fuse3", path="/sbin:/usr/sbin")
    assert fuse is not None
    shutil.copy(fuse, tmp_path / "sbin" / "mount.fuse")
    program = tmp_path / "sbin" / "rossfs"
    helper = (tmp_path / "sbin" / "mount.rossfs").read_text()
    program.write_text(helper.replace("mount_helper", "main"))
    program.chmod(0o755)
    ended = run(
        """
        # mount(8) has a search path of its own.
        mount --bind "$PWD/sbin" /usr/local/bin
        mount -t fuse.rossfs -o ro "$PWD/store" "$PWD/place"
        findmnt -n -o FSTYPE,OPTIONS "$PWD/place"
        mount -o remount,rw "$PWD/place" || echo "status $?"
        umount place
        """
    )
    called = (tmp_path / "called").read_text().splitlines()
    assert called[0].startswith(f"{tmp_path}/store {tmp_path}/place -o ro,")
    assert ended.returncode == 0
    told, status = ended.stdout.splitlines()
    assert {"fuse.rossfs", "ro", "nosuid", "nodev"} <= set(told.replace(",", " ").split())
    assert status.startswith("status ")
    assert ended.stderr.count("\n") == 1
    assert "rossfs cannot be remounted" in ended.stderr
