"""Names of incoming/ that are written again and again, by many at once, while others read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.mount.competing import NAMES, Competitor, competing, content, is_whole
from tests.mount.inbox import DEADLINE, Inbox, shell

pytestmark = pytest.mark.fuse

WRITERS = 4
REWRITES = 500


def test_readers_beside_writers_see_whole_contents_only(inbox: Inbox) -> None:
    paths = [inbox / f"name{number}" for number in range(NAMES)]
    for number, path in enumerate(paths):
        path.write_bytes(content(number))
    readers = [Competitor("look", inbox.path, number, 0) for number in range(2)]
    writers = [Competitor("rewrite", inbox.path, n, REWRITES) for n in range(WRITERS)]
    with competing(*readers, *writers):
        for writer in writers:
            assert writer.result(DEADLINE) == {"written": REWRITES}
        for reader in readers:
            result = reader.result(DEADLINE)
            assert result["wrong"] == []
            assert int(str(result["read"])) > 10
    for path in paths:
        data = path.read_bytes()
        assert is_whole(data)
        inbox.require(path, data)


def test_nothing_that_is_appended_one_after_the_other_is_lost(inbox: Inbox) -> None:
    expected = b""
    for turn in range(60):
        shell('echo "$2" >> "$1"', inbox / "name0", Path(str(turn)))
        expected += b"%d\n" % turn
    inbox.require(inbox / "name0", expected)


def test_lines_that_are_appended_at_once_stay_whole(inbox: Inbox) -> None:
    (inbox / "name0").write_bytes(b"first\n")
    writers = [Competitor("append", inbox.path, number, 50) for number in range(2)]
    with competing(*writers):
        for writer in writers:
            assert writer.result(DEADLINE) == {"written": 50}
    data = (inbox / "name0").read_bytes()
    inbox.require(inbox / "name0", data)
    lines = data.splitlines()
    assert lines[0] == b"first"
    for number in range(2):
        turns = [int(line.split()[1]) for line in lines[1:] if line.startswith(b"%d " % number)]
        assert turns == sorted(turns)
        assert turns[-1] == 49


def test_two_mounts_write_one_name(inbox: Inbox, mount: object) -> None:
    assert callable(mount)
    other = Inbox(mount(inbox.store), inbox.store)
    for turn in range(20):
        first, second = (inbox, other) if turn % 2 else (other, inbox)
        (first / "name").write_bytes(b"turn %d" % turn)
        # close(2) promises that to those who look through the same mount.
        first.require(first / "name", b"turn %d" % turn)
        second.require(second / "name", b"turn %d" % turn)
        with open(second / "name", "ab") as file:
            file.write(b" and more")
        second.require(second / "name", b"turn %d and more" % turn)
        first.require(first / "name", b"turn %d and more" % turn)
    os.unlink(other / "name")
    assert os.listdir(inbox.path) == []
