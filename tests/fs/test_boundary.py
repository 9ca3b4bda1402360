from __future__ import annotations

import errno
import logging

import pytest
import trio
from pyfuse3 import FUSEError

from rossfs.errors import DigestMismatch, Referenced, RossfsError
from rossfs.fs.boundary import Boundary


def answered(error: Exception) -> int:
    return Boundary().failure("test", error).errno


def test_a_fuse_error_stays_what_it_is() -> None:
    assert answered(FUSEError(errno.ESTALE)) == errno.ESTALE


def test_a_deliberate_error_brings_its_errno() -> None:
    assert answered(DigestMismatch("not what it says")) == errno.EBADMSG
    assert answered(Referenced("still needed")) == errno.EBUSY
    assert answered(RossfsError("something")) == errno.EIO


def test_a_system_call_brings_its_errno() -> None:
    assert answered(FileNotFoundError(errno.ENOENT, "no")) == errno.ENOENT
    assert answered(OSError(errno.ENOTEMPTY, "full of names")) == errno.ENOTEMPTY


@pytest.mark.expects_warnings
def test_trouble_of_the_machine_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert answered(OSError(errno.ENOSPC, "No space left on device", "/store")) == errno.ENOSPC
    assert [r.getMessage() for r in caplog.records] == [
        "test: [Errno 28] No space left on device: '/store'"
    ]


def test_a_refusal_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answered(OSError(errno.EROFS, "read-only"))
    answered(Referenced("still needed"))
    assert not caplog.records


@pytest.mark.parametrize(
    "error",
    [OSError("without a number"), OSError(0, "success"), OSError(-5, "?"), OSError(1000, "?")],
)
def test_a_number_that_cannot_be_sent_is_eio(error: OSError) -> None:
    assert answered(error) == errno.EIO


def test_enosys_never_reaches_the_kernel() -> None:
    assert answered(OSError(errno.ENOSYS, "no such call")) == errno.EOPNOTSUPP


@pytest.mark.expects_warnings
def test_the_unforeseen_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError) as raised:
        raise KeyError("bug")
    assert answered(raised.value) == errno.EIO
    (record,) = caplog.records
    assert record.name == "rossfs.fs"
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[1] is raised.value
    assert "test" in record.getMessage()


@pytest.mark.expects_warnings
async def test_what_a_nursery_wraps_is_unwrapped() -> None:
    async def full() -> None:
        raise OSError(errno.EDQUOT, "quota")

    with pytest.raises(ExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(full)
    assert answered(raised.value) == errno.EDQUOT


def test_failures_are_counted_by_errno() -> None:
    boundary = Boundary()
    for number in (errno.EROFS, errno.EROFS, errno.EIO):
        boundary.failure("test", FUSEError(number))
    assert boundary.counts == {errno.EROFS: 2, errno.EIO: 1}
