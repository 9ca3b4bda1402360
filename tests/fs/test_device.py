from __future__ import annotations

import errno
import gc
import os
import resource
import socket
from collections.abc import Callable

import pytest

from rossfs.fs import wire
from rossfs.fs.boundary import Boundary
from rossfs.fs.device import Device
from rossfs.fs.direct import NONE, Body
from rossfs.fs.notices import Notices
from tests.fs.asking import over, small_tree
from tests.fs.connection import (
    IOCTL,
    OPENDIR,
    PATIENCE,
    RELEASEDIR,
    TMPFILE,
    WRITE,
    Answers,
    Place,
    answer,
    request,
)
from tests.fs.listing import listed, reading

# Answers


@pytest.mark.parametrize(
    "body", [b"", b"x", b"x" * 100_000, bytearray(b"some"), memoryview(b"part of it")[5:7]]
)
def test_an_answer_is_sent(place: Place, answers: Answers, body: Body) -> None:
    answers.next = body
    assert place.ask(request(wire.LOOKUP, b"name\0", ino=7)) is False
    assert place.heard() == answer(bytes(body))
    assert answers.asked == [(7, b"name\0")]
    assert place.heard() is None
    assert place.is_back()


def test_an_error_is_sent_as_a_negative_number(place: Place, answers: Answers) -> None:
    answers.next = errno.ENAMETOOLONG
    assert place.ask(request(wire.LOOKUP, b"name\0")) is False
    assert place.heard() == answer(error=-errno.ENAMETOOLONG)


def test_each_reply_names_its_request(place: Place) -> None:
    for unique in (2, 1 << 63 | 4, (1 << 64) - 1):
        place.ask(request(wire.GETATTR, bytes(16), unique=unique))
        assert place.heard() == answer(unique=unique)


def test_an_answer_sees_nothing_of_the_request_before(place: Place, answers: Answers) -> None:
    for name in (b"a long name\0", b"short\0", b""):
        place.ask(request(wire.LOOKUP, name))
    assert [body for _, body in answers.asked] == [b"a long name\0", b"short\0", b""]


def test_there_may_be_no_request(place: Place) -> None:
    assert place.device.serve() is None
    place.ask(request(wire.LOOKUP))
    assert place.device.serve() is None


@pytest.mark.parametrize("opcode", [wire.FORGET, wire.NOTIFY_REPLY])
def test_to_some_requests_there_is_no_reply(place: Place, answers: Answers, opcode: int) -> None:
    answers.next = NONE
    assert place.ask(request(opcode, bytes(8))) is False
    assert len(answers.asked) == 1
    assert place.heard() is None


@pytest.mark.parametrize("opcode", [IOCTL, TMPFILE, 4095, 4096, (1 << 32) - 1])
def test_what_libfuse_does_not_know_is_never_asked_again(place: Place, opcode: int) -> None:
    assert place.ask(request(opcode, b"anything")) is False
    assert place.heard() == answer(error=-errno.ENOSYS)
    assert place.is_back()


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ESTALE, "is gone"), errno.ESTALE),
        (FileNotFoundError(errno.ENOENT, "is absent"), errno.ENOENT),
        (OSError("without a number"), errno.EIO),
        (OSError(errno.ENOSYS, "would never be asked again"), errno.EOPNOTSUPP),
    ],
)
def test_what_is_raised_is_answered(
    place: Place, answers: Answers, error: Exception, number: int
) -> None:
    answers.next = error
    assert place.ask(request(wire.LOOKUP, b"name\0")) is False
    assert place.heard() == answer(error=-number)


def test_what_nobody_foresaw_is_logged(
    place: Place, answers: Answers, expects_warnings: list[object]
) -> None:
    answers.next = RuntimeError("bug")
    assert place.ask(request(wire.LOOKUP, b"name\0")) is False
    assert place.heard() == answer(error=-errno.EIO)
    assert len(expects_warnings) == 1
    answers.next = b"goes on"
    assert place.ask(request(wire.LOOKUP, b"name\0")) is False
    assert place.heard() == answer(b"goes on")


def test_a_request_that_is_cut_off_is_a_failure(expects_warnings: list[object]) -> None:
    with over(small_tree()) as operations:
        place = Place(dict(operations.direct.answers()))
        assert place.ask(request(wire.READ)) is False
        assert place.heard() == answer(error=-errno.EIO)
        place.close()
    assert len(expects_warnings) == 1


def test_the_answers_of_a_mount_are_sent() -> None:
    with over(small_tree()) as operations:
        place = Place(dict(operations.direct.answers()))
        for opcode, body in (
            (wire.FORGET, bytes(8)),
            (wire.BATCH_FORGET, wire.FORGOTTEN_MANY.pack(1) + wire.FORGOTTEN_ONE.pack(1, 1)),
            (wire.INTERRUPT, bytes(8)),
            (wire.NOTIFY_REPLY, bytes(40)),
        ):
            assert place.ask(request(opcode, body)) is False
            assert place.heard() is None
        for opcode in (OPENDIR, RELEASEDIR):  # so that the kernel asks for neither any more
            assert place.ask(request(opcode, bytes(24))) is False
            assert place.heard() == answer(error=-errno.ENOSYS)
        assert place.ask(request(wire.READDIRPLUS, bytes(reading(0, 4096)))) is False
        heard = place.heard()
        assert heard is not None
        assert [entry.name for entry in listed(heard[wire.OUT :])][:2] == [b".", b".."]
        assert place.ask(request(wire.GETATTR, bytes(16))) is True
        assert os.read(place.libfuse, 1 << 16) == request(wire.GETATTR, bytes(16))
        place.close()


# What goes wrong


@pytest.mark.parametrize("limit", [0, 100])
def test_a_request_that_cannot_be_handed_on_whole_is_refused(
    place: Place, expects_warnings: list[object], limit: int
) -> None:
    whole = request(WRITE, b"y" * 2000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        assert place.ask(whole) is False
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert place.is_back()
    assert place.heard() == answer(error=-errno.EIO)
    for following in whole, request(WRITE, b"z"):
        assert place.ask(following) is True
        assert os.read(place.libfuse, wire.LARGEST) == following
        place.device.back()
    assert expects_warnings


def _failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EINTR, errno.EAGAIN])
def test_a_request_that_was_given_up_is_none(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "readv", _failing(number))
    assert place.device.serve() is None


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EIO, errno.ECONNABORTED])
def test_an_error_of_the_device_is_for_libfuse_to_find(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "readv", _failing(number))
    assert place.device.serve() is True
    assert place.is_back()


def test_who_hung_up_is_for_libfuse_to_find(place: Place) -> None:
    place.ask(request(wire.LOOKUP))
    place.kernel.close()  # with a reply that was not read: ECONNRESET
    assert place.device.serve() is True
    assert place.is_back()


def test_who_waits_no_more_needs_no_reply(
    place: Place, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reply in (b"body", errno.ESTALE):
        answers.next = reply
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _failing(errno.ENOENT))
            patch.setattr(os, "writev", _failing(errno.ENOENT))
            assert place.ask(request(wire.LOOKUP)) is False
        assert place.heard() is None


@pytest.mark.parametrize("reply", [b"body", errno.ESTALE])
def test_a_reply_that_nobody_takes_is_logged(
    place: Place, answers: Answers, reply: bytes | int, expects_warnings: list[object]
) -> None:
    answers.next = reply
    place.kernel.send(request(wire.LOOKUP))
    place.kernel.close()
    assert place.device.serve() is False
    assert len(expects_warnings) == 1


# Notices, and the end


def test_notices_reach_the_kernel_while_libfuse_reads(answers: Answers) -> None:
    notices = Notices()
    kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kernel.settimeout(PATIENCE)
    device = Device(answers.all(), Boundary().failure, notices)
    device.connect(ours.fileno())
    kernel.send(request(WRITE))
    assert device.serve() is True
    notices.forget_name(5, b"name")
    assert kernel.recv(1 << 10).endswith(b"name\0")
    device.close()
    ours.close()
    kernel.close()


def test_nothing_is_left_open() -> None:
    def descriptors() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))

    gc.collect()  # what earlier tests left to it
    before = descriptors()
    place = Place({})
    place.ask(request(WRITE))
    place.close()
    assert place.device.fd == -1
    assert descriptors() == before
    Device({}, Boundary().failure, Notices()).close()  # was never connected
    assert descriptors() == before
