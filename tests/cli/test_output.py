"""Sizes, times and tables for people, and progress on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.cli.output import (
    count_text,
    print_json,
    print_json_array,
    print_table,
    size_text,
    time_text,
)
from rossfs.store.store import Store
from tests.builders import image_parts
from tests.image.sources import layout_of, tar_of
from tests.mounts import ROOT, ROSSFS


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (86_070_570, "86.1 MB"),
        (5 * 10**21, "5000.0 EB"),
    ],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert size_text(size) == text
    assert size_text(size, exact=True) == str(size)


def test_times_are_those_of_rfc_3339() -> None:
    assert time_text(1699564800) == "2023-11-09T21:20:00Z"
    assert time_text(1 << 61) == str(1 << 61)


def test_one_is_not_many() -> None:
    assert (count_text(1, "blob"), count_text(0, "blob")) == ("1 blob", "0 blobs")


def test_columns_are_as_wide_as_they_need_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("xyz", "1"), ("x", "")])
    assert capsys.readouterr().out == "A    LONG\nxyz  1\nx\n"


@pytest.mark.parametrize("print_", [print_json, lambda value: print_json_array([value])])
def test_json_is_ascii_whatever_is_in_it(
    print_: Callable[[object], None], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A name that is no UTF-8 would make the whole no JSON, and a terminal acts on U+009B."""
    value = {"path": os.fsdecode(b"/\xff"), "text": "\x1b\x9b\u202e\ud800"}
    print_(value)
    out = capsysbinary.readouterr().out
    assert out.isascii()
    assert json.loads(out) in (value, [value])


def test_progress_is_drawn_on_a_terminal_only(store: Store, tmp_path: Path) -> None:
    """The blob comes slowly: half of it, and the rest once a bar was seen."""
    data = tar_of(layout_of({"lab/app:v1": image_parts()}) | {"blobs/x.tar": bytes(8_000_000)})
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    terminal, their_end = pty.openpty()
    process = subprocess.Popen(
        [*ROSSFS, "--store", store.paths.root, "import", str(fifo)],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.DEVNULL,
        stderr=their_end,
    )
    os.close(their_end)
    seen = bytearray()
    drawn = threading.Event()

    def read() -> None:
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # EIO: the process has closed its end
                return
            seen.extend(piece)
            if b"MB" in seen:
                drawn.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with open(fifo, "wb") as file:
            position = 0
            while not drawn.wait(0.05) and position < 5_000_000:
                file.write(data[position : position + 100_000])
                file.flush()
                position += 100_000
            file.write(data[position:])
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(30)
        reader.join(30)
        os.close(terminal)
    assert drawn.is_set()
    assert b"imported 1 image" in seen
