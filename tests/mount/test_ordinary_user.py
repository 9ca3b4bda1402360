"""Mounting without being root: fusermount3 does it, and what it refuses is told.

Each test is a shell script that runs as the user nobody in a mount namespace of its own, in which
that user can reach the interpreter and /dev/fuse wherever root keeps them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import mounts
from tests.builders import ross_store
from tests.requirements import require_root

pytestmark = pytest.mark.fuse

USER = "nobody"

Run = Callable[[str], "subprocess.CompletedProcess[str]"]

# $1: directory for what is needed here; then the directories that the user must reach.
_NAMESPACE = """
set -eu
hold=$1; shift
mount -t tmpfs -o mode=755 hold "$hold"
mknod -m 666 "$hold/fuse" c 10 229
mount --bind "$hold/fuse" /dev/fuse
echo "# no user_allow_other" >"$hold/fuse.conf"
[ ! -e /etc/fuse.conf ] || mount --bind "$hold/fuse.conf" /etc/fuse.conf
number=0
for directory; do
  number=$((number + 1))
  mkdir "$hold/$number"
  mount --bind "$directory" "$hold/$number"
done
# Directories that only root may pass are covered by empty ones that everybody may.
for directory; do
  part=
  for name in $(echo "$directory" | tr / ' '); do
    part=$part/$name
    [ -e "$part" ] || break
    case $(stat -c %A "$part") in
      d????????[xt]) ;;
      *) mount -t tmpfs -o mode=755 cover "$part"; break ;;
    esac
  done
done
number=0
for directory; do
  number=$((number + 1))
  mkdir -p "$directory"
  mount --bind "$hold/$number" "$directory"
done
cd /
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all sh -eu -c "$SCRIPT"
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a script as an ordinary user, with the command `rossfs`, and `store` and `place` in the
    working directory."""
    require_root("become another user")
    missing = [tool for tool in ("unshare", "setpriv", "fusermount3") if shutil.which(tool) is None]
    assert not missing
    home = tmp_path / "home"
    (home / "place").mkdir(parents=True)
    # Not in tmp_path: that is covered.
    hold = Path(tempfile.mkdtemp(prefix="rossfs-user-"))
    ross_store(home / "store")
    shutil.chown(home, USER)
    subprocess.run(["chown", "-R", USER, home], check=True, timeout=60)

    def run(script: str) -> subprocess.CompletedProcess[str]:
        command = " ".join(map(shlex.quote, mounts.ROSSFS))
        unshare = ["unshare", "--mount", "--propagation=private"]
        needed = {sys.prefix, sys.base_prefix, str(mounts.ROOT), str(home)}
        return subprocess.run(
            [*unshare, "sh", "-c", _NAMESPACE, "sh", str(hold), *sorted(needed)],
            env={
                **os.environ,
                "SCRIPT": f'cd {shlex.quote(str(home))}\nrossfs() {{ {command} "$@"; }}\n{script}',
                "PYTHONPATH": str(mounts.ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                "HOME": "/",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    yield run
    hold.rmdir()


def test_a_user_mounts_looks_writes_and_unmounts(run: Run) -> None:
    ended = run(
        """
        id -un
        rossfs mount store place
        ls place
        stat -c %U place
        echo hello >place/incoming/greeting
        cat place/incoming/greeting
        rossfs status place | grep state
        rossfs umount place
        ls place
        """
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{USER}\n")
    assert {"blobs", "incoming", USER, "hello", "answers"} <= set(ended.stdout.split())


def test_a_dead_mount_of_a_user_is_replaced(run: Run) -> None:
    ended = run(
        """
        rossfs mount store place
        kill -9 "$(rossfs status --json place | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')"
        while ls place >/dev/null 2>&1; do sleep 0.05; done
        rossfs mount store place
        ls place >/dev/null
        rossfs umount place
        grep -c '/place ' /proc/self/mountinfo || true
        """
    )
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "0\n")


def test_the_reason_of_fusermount_is_told(run: Run) -> None:
    ended = run("rossfs mount store place -o allow_other")
    assert ended.returncode == 8
    assert "user_allow_other" in ended.stderr
    assert ended.stderr.startswith("rossfs: mounting ")
    assert ended.stderr.count("\n") == 1


def test_a_busy_mount_of_a_user_is_told_as_one(run: Run) -> None:
    ended = run(
        """
        rossfs mount store place
        exec 3<place/README
        rossfs umount place && exit 1 || echo "status $?"
        exec 3<&-
        rossfs umount place
        """
    )
    assert (ended.returncode, ended.stdout) == (0, "status 5\n")
    assert "in use" in ended.stderr
