"""Programs that write into incoming/: what they wrote is content when they have ended."""

from __future__ import annotations

import mmap
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mount.inbox import Inbox, run, sha256, shell, some_bytes

pytestmark = pytest.mark.fuse


class Task(NamedTuple):
    """What a writer is to do."""

    source: Path
    """A file on another file system."""
    target: Path
    before: bytes
    """What the target holds until now; b"" if it is not there."""

    @property
    def data(self) -> bytes:
        return self.source.read_bytes()


Writer = Callable[[Task], bytes]
"""Writes, and returns what must be in the target now."""


def _command(*command: str) -> Writer:
    def write(task: Task) -> bytes:
        names = {"SOURCE": task.source, "TARGET": task.target}
        run(*(names.get(part, part) for part in command))
        return task.data

    return write


def _script(script: str) -> Writer:
    def write(task: Task) -> bytes:
        shell(script, task.source, task.target)
        return task.data

    return write


def _appending(script: str) -> Writer:
    def write(task: Task) -> bytes:
        shell(script, task.source, task.target)
        return task.before + task.data

    return write


def _move(task: Task) -> bytes:
    data = task.data
    run("mv", task.source, task.target)
    assert not task.source.exists()
    return data


def _dd_backwards(task: Task) -> bytes:
    block = 4096
    data = task.data
    for number in reversed(range(0, len(data), 10 * block)):
        where = f"seek={number // block}", f"skip={number // block}", "count=10", f"bs={block}"
        run("dd", f"if={task.source}", f"of={task.target}", "conv=notrunc", "status=none", *where)
    return data + task.before[len(data) :]


def _unpack(task: Task) -> bytes:
    archive = task.source.parent / "archive.tar"
    with tarfile.open(archive, "w") as file:
        file.add(task.source, task.target.name)
    run("tar", "-xf", archive, "-C", task.target.parent)
    archive.unlink()
    return task.data


def _python(mode: str) -> Writer:
    def write(task: Task) -> bytes:
        data = task.data
        with open(task.target, mode) as file:
            for start in range(0, len(data), 50_000):
                file.write(data[start : start + 50_000])
        if "a" in mode:
            return task.before + data
        return data + task.before[len(data) :] if "r" in mode else data

    return write


def _unbuffered(task: Task) -> bytes:
    data = task.data[:20_000]
    with open(task.target, "wb", buffering=0) as file:
        for start in range(0, len(data), 100):
            file.write(data[start : start + 100])
    return data


def _copy_file_range(task: Task) -> bytes:
    data = task.data
    with open(task.source, "rb") as source, open(task.target, "wb") as target:
        left = len(data)
        while left:
            left -= os.sendfile(target.fileno(), source.fileno(), None, left)
    return data


def _copy2(task: Task) -> bytes:
    shutil.copy2(task.source, task.target)
    return task.data


def _copyfile(task: Task) -> bytes:
    shutil.copyfile(task.source, task.target)
    return task.data


def _mapped(task: Task) -> bytes:
    data = task.data
    with open(task.target, "w+b") as file:
        file.truncate(len(data))
        with mmap.mmap(file.fileno(), len(data), mmap.MAP_SHARED) as memory:
            memory[100_000:] = data[100_000:]
            memory[:100_000] = data[:100_000]
            memory.flush()
    return data


def _mapped_after_close(task: Task) -> bytes:
    data = task.data
    with open(task.target, "w+b") as file:
        file.truncate(len(data))
        memory = mmap.mmap(file.fileno(), len(data), mmap.MAP_SHARED)
    memory[:] = data
    memory.close()
    return data


def _allocated(task: Task) -> bytes:
    data = task.data
    with open(task.target, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, len(data) + 5000)
        file.write(data)
    return data + bytes(5000)


def _lengthened(task: Task) -> bytes:
    with open(task.target, "wb") as file:
        file.write(task.data)
        file.truncate(len(task.data) + 12_345)
    return task.data + bytes(12_345)


def _truncated_by_name(task: Task) -> bytes:
    run("cp", task.source, task.target)
    run("truncate", "-s", "70000", task.target)
    assert task.target.read_bytes() == task.data[:70_000]
    run("truncate", "-s", "+7", task.target)
    return task.data[:70_000] + bytes(7)


def _edit(task: Task) -> bytes:
    lines = b"".join(
        b"line %d of %b\n" % (n, task.data[n : n + 8].hex().encode()) for n in range(99)
    )
    task.source.write_bytes(lines)
    run("cp", task.source, task.target)
    run("sed", "-i", "s/^line/LINE/", task.target)
    return lines.replace(b"line", b"LINE")


def _holes(task: Task) -> bytes:
    data = task.data[:5000] + bytes(300_000) + task.data[:100]
    task.source.write_bytes(data)
    run("cp", "--sparse=always", task.source, task.target)
    return data


WRITERS: dict[str, Writer] = {
    "cp": _command("cp", "SOURCE", "TARGET"),
    "cp -p": _command("cp", "-p", "SOURCE", "TARGET"),
    "cp -a": _command("cp", "-a", "SOURCE", "TARGET"),
    "cp -f": _command("cp", "-f", "SOURCE", "TARGET"),
    "cp --remove-destination": _command("cp", "--remove-destination", "SOURCE", "TARGET"),
    "cp --sparse=always": _holes,
    "install": _command("install", "SOURCE", "TARGET"),
    "install -m -p": _command("install", "-p", "-m", "600", "SOURCE", "TARGET"),
    "mv": _move,
    "cat >": _script('cat "$1" > "$2"'),
    "cat >>": _appending('cat "$1" >> "$2"'),
    "exec 3>": _script('exec 3> "$2"; head -c 1000 "$1" >&3; tail -c +1001 "$1" >&3; exec 3>&-'),
    "tee": _script('tee "$2" < "$1" > /dev/null'),
    "tee -a": _appending('tee -a "$2" < "$1" > /dev/null'),
    "dd": _script('dd if="$1" of="$2" bs=5000 status=none'),
    "dd conv=fsync": _script('dd if="$1" of="$2" bs=64k conv=fsync status=none'),
    "dd oflag=sync": _script('dd if="$1" of="$2" bs=64k oflag=sync status=none'),
    "dd oflag=append": _appending('dd if="$1" of="$2" oflag=append conv=notrunc status=none'),
    "dd backwards": _dd_backwards,
    "rsync": _command("rsync", "SOURCE", "TARGET"),
    "rsync -a": _command("rsync", "-a", "SOURCE", "TARGET"),
    "tar -x": _unpack,
    "sed -i": _edit,
    "sort -o": _script('sort -o "$2" "$1"; cp "$2" "$1"'),
    "truncate": _truncated_by_name,
    "open wb": _python("wb"),
    "open w+b": _python("w+b"),
    "open ab": _python("ab"),
    "open r+b": _python("r+b"),
    "open xb": _python("xb"),
    "unbuffered": _unbuffered,
    "sendfile": _copy_file_range,
    "shutil.copy2": _copy2,
    "shutil.copyfile": _copyfile,
    "mmap": _mapped,
    "mmap after close": _mapped_after_close,
    "posix_fallocate": _allocated,
    "ftruncate larger": _lengthened,
}


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file on another file system than the mount."""
    path = tmp_path / "source"
    path.write_bytes(some_bytes(request.node.name))
    return path


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "open r+b"])
def test_what_a_program_writes_is_content_when_it_ends(
    inbox: Inbox, source: Path, writer: str
) -> None:
    target = inbox / "name"
    expected = WRITERS[writer](Task(source, target, b""))
    inbox.require(target, expected)


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "open xb"])
def test_a_program_writes_a_committed_name_again(inbox: Inbox, source: Path, writer: str) -> None:
    target = inbox / "name"
    before = some_bytes(f"before {writer}", 300_007)
    target.write_bytes(before)
    inbox.require(target, before)
    expected = WRITERS[writer](Task(source, target, before))
    inbox.require(target, expected)
    assert (inbox.mounted.path / "blobs/sha256" / sha256(before)).read_bytes() == before


def test_split_writes_many_files(inbox: Inbox, source: Path) -> None:
    data = source.read_bytes()
    run("split", "-b", "30000", "-d", source, inbox / "part.")
    parts = [data[start : start + 30_000] for start in range(0, len(data), 30_000)]
    assert sorted(os.listdir(inbox.path)) == [f"part.{n:02}" for n in range(len(parts))]
    for number, part in enumerate(parts):
        inbox.require(inbox / f"part.{number:02}", part)


@pytest.mark.parametrize("tool", ["cp -r", "cp -a", "rsync -a", "tar", "mv"])
def test_whole_trees_are_copied(inbox: Inbox, tmp_path: Path, tool: str) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    contents = {
        f"{where}{n}": some_bytes((tool, where, n), 9000 + n)
        for where in ("", "a/", "a/b/")
        for n in range(5)
    }
    for name, data in contents.items():
        (tree / name).write_bytes(data)
    (tree / "empty").touch()
    (tree / "nothing").mkdir()
    if tool == "tar":
        shell('tar -C "$1" -c tree | tar -C "$2" -x', tmp_path, inbox.path)
    elif tool == "mv":
        run("mv", tree, inbox.path)
    elif tool == "cp -r":
        run("cp", "-r", tree, inbox.path)
    else:
        run(*tool.split(), tree, inbox.path)
    for name, data in contents.items():
        inbox.require(inbox / "tree" / name, data)
    inbox.require_waiting(inbox / "tree/empty", b"")
    assert os.listdir(inbox / "tree/nothing") == []


def test_rsync_sends_only_what_changed_the_second_time(inbox: Inbox, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for n in range(5):
        (tree / f"file{n}").write_bytes(some_bytes(("rsync", n), 5000))
    run("rsync", "-rc", f"{tree}/", f"{inbox.path}/")
    (tree / "file3").write_bytes(some_bytes("other", 5000))
    # The names are links here, so -L compares what they lead to.
    run("rsync", "-rcL", f"{tree}/", f"{inbox.path}/")
    for n in range(5):
        inbox.require(inbox / f"file{n}", (tree / f"file{n}").read_bytes())


def test_a_program_may_change_mode_owner_and_times_after_it_closed(
    inbox: Inbox, source: Path
) -> None:
    target = inbox / "name"
    data = source.read_bytes()
    target.write_bytes(data)
    os.chmod(target, 0o600)
    os.chown(target, os.getuid(), os.getgid())
    os.utime(target, (1, 2))
    run("touch", target)
    run("touch", "-h", target)
    inbox.require(target, data)
    assert os.stat(target).st_mode & 0o777 == 0o644


def test_what_was_written_before_a_program_was_killed_is_content(inbox: Inbox) -> None:
    # The kernel closes what a dead process had open, as it does for everybody.
    shell("sh -c 'echo beginning; kill -9 $$' > \"$1\" || true", inbox / "name")
    inbox.require(inbox / "name", b"beginning\n")
