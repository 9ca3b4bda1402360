from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from rossfs.fs.notices import Notices

PATIENCE = 20.0


def notice(parent: int, name: bytes) -> bytes:
    """struct fuse_out_header, struct fuse_notify_inval_entry_out, the name, and its end."""
    length = 16 + 16 + len(name) + 1
    header = struct.pack("=IiQ", length, 3, 0)  # FUSE_NOTIFY_INVAL_ENTRY
    return header + struct.pack("=QII", parent, len(name), 0) + name + b"\0"


def threads() -> list[threading.Thread]:
    """Those that send notices."""
    return [thread for thread in threading.enumerate() if thread.name == "notices"]


def ended() -> None:
    """Wait until none is left."""
    for thread in threads():
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Kernel:
    """The other side of a device."""

    def __init__(self) -> None:
        self._end, self.device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.settimeout(PATIENCE)

    def hears(self) -> bytes:
        """The next thing that it is told; nothing at the end."""
        return self._end.recv(1 << 16)

    def hang_up(self) -> None:
        self._end.close()

    def close(self) -> None:
        self._end.close()
        self.device.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.fixture
def notices() -> Iterator[Notices]:
    notices = Notices()
    yield notices
    notices.close()
    ended()


def test_the_kernel_is_told_in_its_words(notices: Notices, kernel: Kernel) -> None:
    notices.begin(kernel.device.fileno())
    notices.forget_name(7 << 40 | 5, b"name")
    assert kernel.hears() == notice(7 << 40 | 5, b"name")
    assert notice(1, b"abc") == (
        struct.pack("=I", 36) + struct.pack("=I", 3) + bytes(8)
        + struct.pack("=Q", 1) + struct.pack("=I", 3) + bytes(4) + b"abc\0"
    )  # fmt: skip


@pytest.mark.parametrize("name", [b"n", b"n" * 255, b"\xff\xfe", b"a b\nc"])
def test_any_name_can_be_forgotten(notices: Notices, kernel: Kernel, name: bytes) -> None:
    notices.begin(kernel.device.fileno())
    notices.forget_name((1 << 64) - 1, name)
    assert kernel.hears() == notice((1 << 64) - 1, name)


def test_notices_come_in_order_each_by_itself(notices: Notices, kernel: Kernel) -> None:
    notices.begin(kernel.device.fileno())
    for number in range(100):
        notices.forget_name(number, b"%d" % number)
    for number in range(100):
        assert kernel.hears() == notice(number, b"%d" % number)


def test_what_was_said_before_the_beginning_is_told_then(notices: Notices, kernel: Kernel) -> None:
    notices.forget_name(1, b"one")
    notices.forget_name(2, b"two")
    assert threads() == []
    notices.begin(kernel.device.fileno())
    notices.forget_name(3, b"three")
    assert kernel.hears() == notice(1, b"one")
    assert kernel.hears() == notice(2, b"two")
    assert kernel.hears() == notice(3, b"three")


def test_after_the_end_nothing_is_told(kernel: Kernel) -> None:
    notices = Notices()
    notices.begin(kernel.device.fileno())
    notices.forget_name(1, b"before")
    notices.close()
    notices.forget_name(1, b"after")
    ended()
    kernel.device.close()
    assert kernel.hears() == notice(1, b"before")
    assert kernel.hears() == b""  # nobody has the device any more


def test_what_never_began_ends() -> None:
    notices = Notices()
    notices.forget_name(1, b"name")
    notices.close()
    assert threads() == []


def test_the_device_may_be_closed_meanwhile(notices: Notices, kernel: Kernel) -> None:
    notices.begin(kernel.device.fileno())
    kernel.device.close()
    notices.forget_name(1, b"name")
    assert kernel.hears() == notice(1, b"name")


class Answers:
    """What write(2) answers, one after the other, before it does what it should."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self._write = os.write

    def write(self, fd: int, data: bytes) -> int:
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._write(fd, data)


def test_a_name_that_the_kernel_does_not_know_is_no_news(
    notices: Notices,
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "rossfs")
    monkeypatch.setattr(os, "write", Answers(errno.ENOENT).write)
    notices.begin(kernel.device.fileno())
    notices.forget_name(1, b"unknown")
    notices.forget_name(1, b"known")
    assert kernel.hears() == notice(1, b"known")
    assert not caplog.records


def test_after_an_error_the_next_is_told(
    notices: Notices,
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "rossfs")
    monkeypatch.setattr(os, "write", Answers(errno.ENOTDIR, errno.EINVAL).write)
    notices.begin(kernel.device.fileno())
    for name in (b"one", b"two", b"three"):
        notices.forget_name(1, name)
    assert kernel.hears() == notice(1, b"three")
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]


def test_a_kernel_that_is_gone_does_no_harm(kernel: Kernel) -> None:
    notices = Notices()
    notices.begin(kernel.device.fileno())
    kernel.hang_up()
    for _ in range(3):
        notices.forget_name(1, b"name")
    notices.close()
    ended()


def test_who_gives_a_notice_does_not_wait(
    notices: Notices, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = threading.Event()
    write = os.write

    def slow(fd: int, data: bytes) -> int:
        assert taken.wait(PATIENCE)
        return write(fd, data)

    monkeypatch.setattr(os, "write", slow)
    notices.begin(kernel.device.fileno())
    before = time.monotonic()
    for _ in range(1000):
        notices.forget_name(1, b"name")
    assert time.monotonic() - before < PATIENCE / 2
    taken.set()
    assert kernel.hears() == notice(1, b"name")
    # What the kernel does not read is more than it has room for: so that the thread can end.
    kernel.hang_up()
