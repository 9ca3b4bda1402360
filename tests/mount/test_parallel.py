"""Four writers at once: each finds the digest of each of its files right after cp has ended."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.mount.inbox import DEADLINE, Inbox, sha256

pytestmark = pytest.mark.fuse

WRITERS = 4
FILES = 125

# For each file: cp, readlink at once, the blob at once; a line for each that is not right.
SCRIPT = """
for file in "$1"/*; do
    name=$2-${file##*/}
    cp "$file" "$3/$name" || echo "$name: cp failed"
    link=$(readlink "$3/$name") || echo "$name: no link"
    [ "$link" = "../blobs/sha256/$(sha256sum < "$file" | cut -d' ' -f1)" ] || echo "$name: $link"
    cmp -s "$file" "$3/$link" || echo "$name: another blob"
done
"""


def end(writers: list[subprocess.Popen[bytes]]) -> None:
    """None of *writers* goes on after this."""
    for writer in writers:
        writer.kill()
        with writer:  # waits, and closes the pipe
            pass


def test_every_copy_is_content_when_cp_has_ended(inbox: Inbox, tmp_path: Path) -> None:
    sizes = [1, 100, 4096, 4097, 65_536, 131_072, 300_000]
    expected = {}
    for writer in range(WRITERS):
        directory = tmp_path / f"source{writer}"
        directory.mkdir()
        for number in range(FILES):
            data = (b"%d %d " % (writer, number) * 50_000)[: sizes[number % len(sizes)] + 20]
            (directory / f"file{number}").write_bytes(data)
            expected[f"{writer}-file{number}"] = data
    writers = [
        subprocess.Popen(
            ["sh", "-c", SCRIPT, "sh", tmp_path / f"source{n}", str(n), inbox.path],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for n in range(WRITERS)
    ]
    try:
        wrong = b"".join(writer.communicate(timeout=DEADLINE)[0] for writer in writers)
    finally:
        end(writers)
    assert wrong == b""
    assert set(os.listdir(inbox.path)) == set(expected)
    for name, data in expected.items():
        inbox.require(inbox / name, data)


def test_equal_content_is_written_by_all_at_once(inbox: Inbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"the same for all" * 20_000)
    script = 'n=0; while [ $n -lt 15 ]; do cp "$1" "$2/$3-$n" || exit 1; n=$((n + 1)); done'
    writers = [
        subprocess.Popen(["sh", "-c", script, "sh", source, inbox.path, str(n)])
        for n in range(WRITERS)
    ]
    try:
        assert [writer.wait(DEADLINE) for writer in writers] == [0] * WRITERS
    finally:
        end(writers)
    digest = sha256(source.read_bytes())
    links = {os.readlink(path) for path in inbox.path.iterdir()}
    assert links == {f"../blobs/sha256/{digest}"}
    inbox.require(inbox / "0-0", source.read_bytes())


def test_listings_beside_writers_show_every_file_that_was_closed(inbox: Inbox) -> None:
    script = 'n=0; while [ $n -lt 60 ]; do echo $n > "$1/file$n"; echo $n; n=$((n + 1)); done'
    writer = subprocess.Popen(["sh", "-c", script, "sh", inbox.path], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        for line in writer.stdout:
            number = int(line)
            with os.scandir(inbox.path) as listing:
                entries = {entry.name: entry for entry in listing}
            for closed in range(number + 1):
                assert entries[f"file{closed}"].is_symlink()
        assert writer.wait(DEADLINE) == 0
    finally:
        end([writer])
