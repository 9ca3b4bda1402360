"""Redirections of shells into incoming/."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.mount.inbox import DEADLINE, Inbox, shell

pytestmark = pytest.mark.fuse

SHELLS = ("dash", "bash")


@pytest.fixture(params=[name for name in SHELLS if os.path.exists(f"/bin/{name}")])
def program(request: pytest.FixtureRequest) -> str:
    """A shell."""
    name: str = request.param
    return name


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('echo one > "$1"', b"one\n"),
        ('echo one > "$1"; echo two > "$1"', b"two\n"),
        ('echo one > "$1"; echo two >> "$1"; echo three >> "$1"', b"one\ntwo\nthree\n"),
        ('{ echo one; echo two; } > "$1"', b"one\ntwo\n"),
        ('(echo one; echo two) > "$1"', b"one\ntwo\n"),
        ('exec 3> "$1"; echo one >&3; echo two >&3; exec 3>&-', b"one\ntwo\n"),
        ('exec 3>> "$1"; echo one >&3; sh -c "echo two >&3"; exec 3>&-', b"one\ntwo\n"),
        ('exec 3> "$1" 4>&3; echo one >&3; exec 3>&-; echo two >&4; exec 4>&-', b"one\ntwo\n"),
        ('exec > "$1"; echo one; sh -c "echo two"', b"one\ntwo\n"),
        ('sh -c "echo out; echo err >&2" > "$1" 2>&1', b"out\nerr\n"),
        ('echo one | cat > "$1"', b"one\n"),
        ('set -C; echo one > "$1"', b"one\n"),
        ('cat > "$1" <<END\none\ntwo\nEND', b"one\ntwo\n"),
        ('for n in 1 2 3; do echo $n; done > "$1"', b"1\n2\n3\n"),
        ('for n in 1 2 3; do echo $n >> "$1"; done', b"1\n2\n3\n"),
        ('printf 1234567 > "$1"; printf xy 1<> "$1"', b"xy34567"),
        (': > "$1"; echo one > "$1"', b"one\n"),
        ('echo one > "$1"; : > "$1"; echo two > "$1"', b"two\n"),
        ('echo one > "$1"; cat "$1" "$1" > "$1.new"; mv "$1.new" "$1"', b"one\none\n"),
        ('echo one > "$1"; read line < "$1"; echo $line$line > "$1"', b"oneone\n"),
        ('echo one > "$1"; rm "$1"; echo two > "$1"', b"two\n"),
        ('umask 077; echo one > "$1"; chmod 400 "$1"; echo two > "$1"', b"two\n"),
    ],
)
def test_a_redirection_is_content_when_the_shell_ends(
    inbox: Inbox, program: str, script: str, expected: bytes
) -> None:
    shell(script, inbox / "name", program=program)
    inbox.require(inbox / "name", expected)


def test_the_next_command_of_the_shell_finds_the_digest(inbox: Inbox, program: str) -> None:
    script = """
    n=0
    while [ $n -lt 20 ]; do
        echo "$1 $n" > "$2/name$n"
        link=$(readlink "$2/name$n")
        set -- "$1" "$2" $(echo "$1 $n" | sha256sum)
        [ "$link" = "../blobs/sha256/$3" ]
        [ "$(cat "$2/$link")" = "$1 $n" ]
        n=$((n + 1))
    done
    """
    shell(script, program, inbox.path, program=program)
    for number in range(20):
        inbox.require(inbox / f"name{number}", f"{program} {number}\n".encode())


def test_set_c_does_not_overwrite_what_is_committed(inbox: Inbox, program: str) -> None:
    (inbox / "name").write_bytes(b"first")
    shell('set -C; ! (echo second > "$1") 2>/dev/null', inbox / "name", program=program)
    inbox.require(inbox / "name", b"first")


def test_a_redirection_without_output_leaves_an_empty_file_that_waits(
    inbox: Inbox, program: str
) -> None:
    shell(': > "$1"', inbox / "new", program=program)
    inbox.require_waiting(inbox / "new", b"")
    (inbox / "old").write_bytes(b"content of old")
    shell(': > "$1"', inbox / "old", program=program)
    assert inbox.pin(inbox / "old") == ""
    assert (inbox / "old").read_bytes() == b""
    shell('echo "something else" >> "$1"', inbox / "old", program=program)
    inbox.require(inbox / "old", b"something else\n")


def test_several_redirections_at_once(inbox: Inbox, program: str) -> None:
    paths = [inbox / f"name{number}" for number in range(8)]
    shell('echo all | tee "$@" > "$1.more"', *paths, program=program)
    for path in (*paths, inbox / "name0.more"):
        inbox.require(path, b"all\n")


def test_a_job_in_the_background_keeps_the_file_open(
    inbox: Inbox, program: str, tmp_path: Path
) -> None:
    """The shell closes its descriptor at once; the name turns when the job has ended."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = 'exec 3> "$1"; { cat "$2"; echo last; } >&3 & echo first >&3; exec 3>&-; wait'
    job = subprocess.Popen([program, "-c", script, program, str(inbox / "name"), str(fifo)])
    try:
        with open(fifo, "wb") as pipe:  # returns when cat has opened it
            pipe.write(b"second\n")
            pipe.flush()
            assert inbox.pin(inbox / "name") == ""
        assert job.wait(DEADLINE) == 0
    finally:
        job.kill()
        job.wait()
    inbox.require(inbox / "name", b"first\nsecond\nlast\n")
