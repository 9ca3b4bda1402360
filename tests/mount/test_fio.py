"""fio: what it wrote elsewhere it reads back from a mount, and it writes inside incoming/."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mount.inbox import Inbox, run, sha256
from tests.mounts import ROSSFS

pytestmark = pytest.mark.fuse

SIZE = 8 << 20
ENGINES = ("psync", "mmap")


def fio(path: Path, *options: str, status: int = 0) -> str:
    """Run one job on *path*; fio puts a checksum into each block, and checks it with --verify."""
    return run(
        *("fio", "--name=job", f"--filename={path}", "--verify=crc32c", "--fallocate=none"),
        *("--verify_fatal=1", "--verify_state_save=0", "--thread", *options),
        status=status,
    )


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that fio wrote on another file system."""
    path = tmp_path_factory.mktemp("fio") / "pattern"
    fio(path, "--rw=write", "--bs=4k", f"--size={SIZE}", "--do_verify=0")
    assert path.stat().st_size == SIZE
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", ["cp", "rossfs put"])
def test_what_fio_wrote_is_read_back_at_random(
    inbox: Inbox, pattern: Path, how: str, engine: str
) -> None:
    if how == "cp":
        run("cp", pattern, inbox / "pattern")
    else:
        run(*ROSSFS, "--store", inbox.store, "put", pattern)
    blob = inbox.mounted.path / "blobs/sha256" / sha256(pattern.read_bytes())
    options = f"--ioengine={engine}", "--bs=4k", f"--size={SIZE}", "--allow_file_create=0"
    assert "err= 0" in fio(blob, "--rw=randread", *options)


def test_fio_notices_one_wrong_bit(inbox: Inbox, pattern: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    shutil.copyfile(pattern, wrong)
    with open(wrong, "r+b") as file:
        file.seek(SIZE // 2 + 2000)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    run("cp", wrong, inbox / "wrong")
    inbox.require(inbox / "wrong", wrong.read_bytes())
    options = "--rw=randread", "--bs=4k", f"--size={SIZE}", "--allow_file_create=0"
    assert "verify" in fio(inbox / "wrong", *options, status=1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pattern_of", ["randwrite", "randrw"])
def test_fio_writes_at_random_and_verifies(inbox: Inbox, engine: str, pattern_of: str) -> None:
    path = inbox / "name"
    options = f"--ioengine={engine}", f"--rw={pattern_of}", f"--size={SIZE}"
    assert "err= 0" in fio(path, *options, "--bsrange=4k-64k")
    inbox.require(path, path.read_bytes())
    assert path.stat().st_size == SIZE
    # And once more over what is committed now.
    assert "err= 0" in fio(path, *options, "--bs=16k", "--randseed=7")
    inbox.require(path, path.read_bytes())


def test_fio_verifies_while_it_still_writes(inbox: Inbox) -> None:
    path = inbox / "name"
    options = "--rw=randwrite", "--bs=8k", f"--size={SIZE // 2}", "--verify_backlog=64"
    assert "err= 0" in fio(path, *options, "--fsync=100")
    inbox.require(path, path.read_bytes())


def test_four_jobs_of_fio_write_four_files(inbox: Inbox) -> None:
    run(
        *("fio", "--name=job", f"--directory={inbox.path}", "--numjobs=4", "--thread"),
        *("--rw=randwrite", "--bs=16k", f"--size={SIZE // 4}", "--verify=crc32c"),
        *("--fallocate=none", "--verify_fatal=1", "--verify_state_save=0"),
    )
    paths = sorted(inbox.path.iterdir())
    assert len(paths) == 4
    for path in paths:
        inbox.require(path, path.read_bytes())
