"""incoming/ of a real mount, for tests: what is written there, and what must have come of it."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import mounts
from tests.mounts import Mounted

DEADLINE = 100.0
"""Seconds for one program, on a machine that does much else."""

ERROR = "user.ross.error"


def some_bytes(seed: object, size: int = 200_001) -> bytes:
    """Bytes that no other test writes, the same each time."""
    return random.Random(str(seed)).randbytes(size)


def sha256(data: bytes) -> str:
    """The hexadecimal digest, by hashlib."""
    return hashlib.sha256(data).hexdigest()


class Inbox:
    """incoming/ of the mount *mounted* of *store*.  `inbox / NAME` is a path in it."""

    def __init__(self, mounted: Mounted, store: Path) -> None:
        self.mounted = mounted
        self.store = store
        self.path = mounted.path / "incoming"

    def __truediv__(self, name: str | bytes) -> Path:
        return self.path / os.fsdecode(name)

    def pin(self, path: Path) -> str:
        """What readlink(2) says; "" for what is no link."""
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return ""

    def blob(self, path: Path) -> Path:
        """The blob that the link *path* names."""
        return self.mounted.path / "blobs" / self.pin(path).partition("/blobs/")[2]

    def require(self, path: Path, data: bytes) -> None:
        """*path* must be a link to *data*, and the blob there, whole, in mount and store."""
        self.require_link(path, data)
        assert (self.store / "blobs/sha256" / sha256(data)).read_bytes() == data

    def require_link(self, path: Path, data: bytes) -> None:
        """*path* must be a link to *data*, as the mount shows it."""
        digest = sha256(data)
        up = "../" * (len(path.relative_to(self.path).parts))
        assert self.pin(path) == f"{up}blobs/sha256/{digest}"
        assert path.read_bytes() == data
        assert (self.mounted.path / "blobs/sha256" / digest).read_bytes() == data

    def require_manifest(self, path: Path, data: bytes, area: str = "manifests") -> None:
        """As `require`, and *data* must be filed in *area*."""
        self.require_link(path, data)
        digest = sha256(data)
        assert (self.mounted.path / area / "sha256" / digest).read_bytes() == data
        assert (self.store / area / "sha256" / digest).read_bytes() == data
        assert not (self.store / "blobs/sha256" / digest).exists()

    def require_waiting(self, path: Path, data: bytes, reason: str = "") -> None:
        """*path* must be a plain file with *data*, refused if there is a *reason*, which then is
        part of what it says; nothing of it is stored."""
        status = os.lstat(path)
        assert stat.S_ISREG(status.st_mode)
        assert status.st_size == len(data)
        assert path.read_bytes() == data
        assert reason in self.reason(path)
        assert bool(reason) == bool(self.reason(path))
        assert not self.has(data)

    def reason(self, path: Path) -> str:
        """Why the file was refused; "" if it was not."""
        try:
            return os.getxattr(path, ERROR, follow_symlinks=False).decode()
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            return ""

    def has(self, data: bytes) -> bool:
        """Whether *data* is stored, as the mount and the store have it."""
        digest = sha256(data)
        there = os.path.lexists(self.mounted.path / "blobs/sha256" / digest)
        areas = ("blobs", "manifests", "indexes")
        assert there == any((self.store / area / "sha256" / digest).exists() for area in areas)
        return there

    def clear(self) -> None:
        """Remove all names in incoming/."""
        for entry in list(os.scandir(self.path)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        assert os.listdir(self.path) == []

    def require_sound(self) -> None:
        """Nothing is wrong with the store, and nothing unfinished is left in it."""
        with Store.open(str(self.store)) as store:
            assert list(store.fsck()) == []
        assert os.listdir(self.store / "incoming/.tmp") == []


@pytest.fixture(scope="module")
def shared_inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """One mount for all tests of a module; in the end the store must be sound."""
    top = tmp_path_factory.mktemp("inbox")
    store = top / "store"
    Store.create(str(store)).close()
    with mounts.mounted(store, top / "mnt", top / "log") as mounted:
        inbox = Inbox(mounted, store)
        yield inbox
    inbox.require_sound()


@pytest.fixture
def inbox(shared_inbox: Inbox) -> Iterator[Inbox]:
    """incoming/ of a mount with nothing in it; cleared after the test."""
    yield shared_inbox
    shared_inbox.clear()
    shared_inbox.mounted.check_log()


def run(*command: str | Path, status: int = 0, data: bytes | None = None) -> str:
    """Run a program, give it *data* as its input; it must end with *status*.  What it printed."""
    ended = subprocess.run(
        [os.fspath(part) for part in command],
        input=b"" if data is None else data,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    printed = ended.stdout.decode(errors="replace")
    assert ended.returncode == status, f"{command} ended with {ended.returncode}: {printed}"
    return printed


def shell(script: str, *arguments: str | Path, status: int = 0, program: str = "sh") -> str:
    """Run *script*; $1, $2 ... are *arguments*."""
    return run(program, "-c", f"set -e\n{script}", program, *arguments, status=status)


def failure(task: Callable[..., object], *arguments: object) -> str:
    """The name of the errno with which `task(*arguments)` fails; "" if it does not."""
    try:
        task(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""
