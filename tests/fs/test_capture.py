"""What goes to descriptor 2 while a mount is made."""

from __future__ import annotations

import os
import subprocess

import pytest

from rossfs.fs.capture import standard_error


def test_what_is_written_is_caught_and_then_no_more(capfd: pytest.CaptureFixture[str]) -> None:
    with standard_error() as captured:
        os.write(2, b"fuse: no\n\n  really \n")
        subprocess.run(["sh", "-c", "echo of a child >&2"], check=True, timeout=30)
        assert captured.lines() == ["fuse: no", "really", "of a child"]
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_an_error_gives_the_descriptor_back(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with standard_error():
            os.write(2, b"lost\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
