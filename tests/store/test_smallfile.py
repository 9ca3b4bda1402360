import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.store import smallfile


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert smallfile.read(str(tmp_path / "file"), 7) == b"content"


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(OSError, match="more than 6 bytes") as caught:
        smallfile.read(str(tmp_path / "file"), 6)
    assert caught.value.errno == errno.EFBIG


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (os.mkfifo, errno.EINVAL),
        (os.mkdir, errno.EINVAL),
        (make_socket, errno.EINVAL),
        (lambda path: path.symlink_to("/dev/zero"), errno.ELOOP),
        (lambda path: path.symlink_to("nowhere"), errno.ELOOP),
    ],
    ids=["fifo", "directory", "socket", "symlink", "dangling symlink"],
)
def test_nothing_but_a_regular_file_is_opened(
    tmp_path: Path, make: Callable[[Path], None], code: int
) -> None:
    path = tmp_path / "thing"
    make(path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="thing") as caught:
        smallfile.read(str(path), 10)
    assert caught.value.errno == code
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_whose_size_is_not_known_is_read(tmp_path: Path) -> None:
    assert smallfile.read("/proc/self/comm", 100)
