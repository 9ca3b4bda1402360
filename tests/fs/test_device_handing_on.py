from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import pytest

from rossfs.fs import wire
from rossfs.fs.boundary import Boundary
from rossfs.fs.device import Device, Handlers
from rossfs.fs.notices import Notices
from tests.fs.connection import (
    WRITE,
    Answers,
    Place,
    answer,
    request,
)


def test_libfuse_reads_what_is_handed_on_and_writes_to_the_kernel(
    place: Place, answers: Answers
) -> None:
    answers.next = None
    for opcode in (WRITE, wire.LOOKUP):
        whole = request(opcode, b"name\0")
        assert place.ask(whole) is True
        assert place.heard() is None
        assert not place.is_back()
        assert os.read(place.libfuse, wire.LARGEST) == whole
        assert os.read(place.libfuse, wire.LARGEST) == b""
        place.device.back()
        assert place.is_back()
        os.write(place.libfuse, answer(b"by libfuse"))
        assert place.heard() == answer(b"by libfuse")


def test_what_is_back_stays(place: Place, answers: Answers) -> None:
    place.device.back()
    assert place.is_back()
    answers.next = None
    place.ask(request(wire.LOOKUP))
    place.device.back()
    place.device.back()
    assert place.is_back()


def test_what_libfuse_answers_without_a_handler_reaches_the_kernel(
    place: Place, answers: Answers
) -> None:
    for _ in range(2):
        whole = request(WRITE, b"something that libfuse refuses")
        assert place.ask(whole) is True
        assert os.read(place.libfuse, wire.LARGEST) == whole
        os.write(place.libfuse, answer(error=-errno.EIO))
        place.device.waits()
        assert place.heard() == answer(error=-errno.EIO)
        assert place.heard() is None
        assert place.is_back()
        place.device.waits()
        assert place.heard() is None


def test_a_kernel_with_larger_requests_gets_a_larger_buffer(
    place: Place, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.readv
    asked: list[int] = []

    def readv(fd: int, buffers: Sequence[memoryview]) -> int:
        asked.append(len(buffers[0]))
        if asked[-1] < 4 * wire.LARGEST:
            raise OSError(errno.EINVAL, "too small")
        return read(fd, buffers)

    monkeypatch.setattr(os, "readv", readv)
    assert place.ask(request(wire.LOOKUP, b"name\0")) is False
    assert place.device.serve() is False
    assert place.device.serve() is False
    assert place.heard() == answer()
    assert asked == [wire.LARGEST, 2 * wire.LARGEST, 4 * wire.LARGEST]


def test_a_reply_goes_to_the_kernel_whatever_libfuse_has(place: Place, answers: Answers) -> None:
    assert place.ask(request(WRITE)) is True
    assert place.ask(request(wire.LOOKUP, b"name\0")) is False
    assert place.heard() == answer()
    assert os.read(place.libfuse, wire.LARGEST) == request(WRITE)


def test_asking_for_a_handler_gives_the_descriptor_back(place: Place) -> None:
    class Operations:
        def __init__(self) -> None:
            self.supports_dot_lookup = False

        def mkdir(self) -> str:
            assert place.is_back()
            return "made"

    handlers: object = Handlers(Operations(), place.device)
    for name in ("mkdir", "supports_dot_lookup"):
        place.ask(request(WRITE))
        assert not place.is_back()
        got = getattr(handlers, name)
        assert place.is_back()
        assert got() == "made" if callable(got) else got is False
    place.ask(request(WRITE))
    with pytest.raises(AttributeError):
        _ = handlers.absent  # type: ignore[attr-defined]
    assert place.is_back()


SMALL = request(WRITE, b"small")
LARGE = request(WRITE, os.urandom(1 << 20) + bytes(40))
"""A WRITE of 1 MiB: 80 bytes more, with its headers."""


@pytest.mark.parametrize(
    "requests",
    [
        [LARGE],
        [SMALL, LARGE],
        [LARGE, SMALL],
        [SMALL, LARGE, SMALL, SMALL, LARGE],
        [request(WRITE, b"x" * size) for size in (0, 1, 3, 2, 4096, 4095, 4096, 0)],
    ],
    ids=["large", "small large", "large small", "in turn", "nearly the same"],
)
def test_requests_of_any_size_are_handed_on_whole(requests: list[bytes]) -> None:
    """By a file in place of the device: no user may send that much through a socket at once."""
    libfuse, given = os.memfd_create("libfuse"), os.memfd_create("given")
    device = Device({}, Boundary().failure, Notices())
    os.dup2(given, libfuse)
    device.connect(libfuse)
    try:
        for whole in requests:
            os.ftruncate(given, 0)
            os.pwrite(given, whole, 0)
            os.lseek(given, 0, os.SEEK_SET)
            assert device.serve() is True
            assert os.read(libfuse, 2 * wire.LARGEST) == whole
            device.back()
            assert os.path.sameopenfile(libfuse, given)
    finally:
        device.close()
        os.close(libfuse)
        os.close(given)
