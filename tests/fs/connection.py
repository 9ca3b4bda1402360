"""A device over a pair of sockets: the kernel's end, and the descriptor that libfuse has."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from rossfs.fs import wire
from rossfs.fs.boundary import Boundary
from rossfs.fs.device import Device
from rossfs.fs.direct import DONE, Answer, Body
from rossfs.fs.notices import Notices

UNIQUE = 0x1234_5678_9ABC_DEF0
PATIENCE = 20.0

WRITE = 16
OPENDIR = 27
RELEASEDIR = 29
IOCTL = 39
TMPFILE = 51
"""Requests that nobody answers directly (enum fuse_opcode); libfuse knows of the first only."""


def request(opcode: int, body: bytes = b"", ino: int = 1, unique: int = UNIQUE) -> bytes:
    """A request as the kernel writes it."""
    header = 40 + len(body), opcode, unique, ino, 1000, 1000, os.getpid(), 0, 0
    return struct.pack("=IIQQIIIHH", *header) + body  # struct fuse_in_header


def answer(body: bytes = b"", error: int = 0, unique: int = UNIQUE) -> bytes:
    """A reply as the kernel reads it."""
    return wire.OUT_HEADER.pack(wire.OUT + len(body), error, unique) + body


class Answers:
    """What is answered, and what was asked."""

    def __init__(self) -> None:
        self.next: Body | int | Exception | None = DONE
        self.asked: list[tuple[int, bytes]] = []

    def __call__(self, ino: int, body: memoryview) -> Body | int | None:
        self.asked.append((ino, bytes(body)))
        if isinstance(self.next, Exception):
            raise self.next
        return self.next

    def all(self) -> dict[int, Answer]:
        answers = wire.LOOKUP, wire.FORGET, wire.READ, wire.GETATTR, wire.NOTIFY_REPLY
        return dict.fromkeys(answers, self)


class Place:
    """A device, the kernel's side of it, and the descriptor that libfuse has."""

    def __init__(self, answers: dict[int, Answer]) -> None:
        self.kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.kernel.setblocking(False)
        self.libfuse = ours.detach()
        self.device = Device(answers, Boundary().failure, Notices())
        self.device.connect(self.libfuse)

    def ask(self, request: bytes) -> bool | None:
        """Let this request come."""
        self.kernel.send(request)
        return self.device.serve()

    def heard(self) -> bytes | None:
        """What the kernel was told; None: nothing."""
        try:
            return self.kernel.recv(1 << 18)
        except BlockingIOError:
            return None

    def is_back(self) -> bool:
        """libfuse's descriptor is the device."""
        return os.path.sameopenfile(self.libfuse, self.device.fd)

    def close(self) -> None:
        self.device.close()
        os.close(self.libfuse)
        self.kernel.close()
        for thread in threading.enumerate():
            if thread.name == "notices":
                thread.join(PATIENCE)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def place(answers: Answers) -> Iterator[Place]:
    place = Place(answers.all())
    yield place
    place.close()
