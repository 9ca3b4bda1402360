"""Coming up, going down, and what is found on a mount point, with real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.fs import blocking, presence, unmount
from rossfs.fs.mountinfo import mounts_on
from rossfs.fs.mountpoint import Health, health
from tests import mounts
from tests.builders import RossStore, ross_store
from tests.conftest import Mount
from tests.mounts import rossfs
from tests.requirements import require_root

pytestmark = pytest.mark.fuse


@pytest.fixture
def content(tmp_path: Path) -> RossStore:
    """A store of Ross in `tmp_path/store`."""
    return ross_store(tmp_path / "store")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A mount point for servers that outlive their command; unmounted after the test."""
    path = tmp_path / "place"
    path.mkdir()
    yield path
    while there := mounts_on(str(path)):
        server = presence.find(there[-1].minor)
        assert blocking.call("detach", str(path)) == 0
        if server is not None:
            with server:
                os.kill(server.pid, signal.SIGTERM)
                assert server.wait_gone(mounts.ENDED)


def server_of(path: Path) -> int:
    """The process id of the server of the mount on *path*."""
    server = presence.find(mounts_on(str(path))[-1].minor)
    assert server is not None
    with server:
        assert server.answered
        return server.pid


def test_the_mount_answers_when_the_command_returns(content: RossStore, place: Path) -> None:
    ended = rossfs("mount", content.root, place)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert {"blobs", "manifests", "indexes", "tags"} <= set(os.listdir(place))


def test_the_daemon_holds_nothing_of_its_caller(content: RossStore, place: Path) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    command = [*mounts.ROSSFS, "mount", str(content.root), str(place)]
    subprocess.run(command, cwd=mounts.ROOT, check=True, timeout=60, close_fds=False)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""  # the end of the file: nobody else has the other end open
    pid = server_of(place)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)} == {os.devnull}
    assert os.getsid(pid) == pid


def test_umount_returns_when_the_server_has_ended(content: RossStore, place: Path) -> None:
    assert rossfs("mount", content.root, place).returncode == 0
    pid = server_of(place)
    ended = rossfs("umount", place)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert not mounts_on(str(place))
    assert not os.path.exists(f"/proc/{pid}/exe")


def test_a_plain_umount_ends_the_server_too(content: RossStore, place: Path) -> None:
    assert rossfs("mount", content.root, place).returncode == 0
    server = presence.find(mounts_on(str(place))[-1].minor)
    assert server is not None
    with server:
        assert blocking.call("umount", str(place)) == 0
        assert server.wait_gone(mounts.ENDED)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(content: RossStore, mount: Mount, number: signal.Signals) -> None:
    mounted = mount(content.root)
    assert mounted.end(number) == 0
    assert mounted.in_table() is None


def test_a_signal_unmounts_even_when_somebody_uses_the_mount(
    content: RossStore, mount: Mount
) -> None:
    mounted = mount(content.root)
    opened = [os.open(mounted.path / "README", os.O_RDONLY), os.open(mounted.path, os.O_RDONLY)]
    os.read(opened[0], 1)
    try:
        assert mounted.end() == 0
        assert mounted.in_table() is None
    finally:
        for descriptor in opened:
            with contextlib.suppress(OSError):  # ENOTCONN: nobody hears of it any more
                os.close(descriptor)


def test_umount_of_a_busy_mount_says_who_uses_it(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    with open(mounted.path / "README", "rb"):
        ended = rossfs("umount", mounted.path)
        assert ended.returncode == 5
        assert f"({os.getpid()})".encode() in ended.stderr
        assert mounted.in_table() is not None
    assert rossfs("umount", mounted.path).returncode == 0


def test_umount_waits_for_a_user_that_is_about_to_end(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    file = open(mounted.path / "README", "rb")  # noqa: SIM115 - closed by the timer
    timer = threading.Timer(0.3, file.close)
    timer.start()
    unmount.unmount(str(mounted.path), patience=30)
    timer.join()
    assert mounted.process.wait(mounts.ENDED) == 0


def test_a_lazy_umount_takes_a_busy_mount_away(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    with open(mounted.path / "README", "rb") as file:
        assert rossfs("umount", "--lazy", mounted.path).returncode == 0
        assert mounted.in_table() is None
        assert file.read(4) != b""  # it is served until it is closed
    assert mounted.process.wait(mounts.ENDED) == 0


def test_a_living_mount_is_not_mounted_over(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    ended = rossfs("mount", content.root, mounted.path)
    assert ended.returncode == 5
    assert b"already" in ended.stderr
    assert len(mounts_on(str(mounted.path))) == 1


def test_a_dead_mount_is_noticed_and_replaced(
    content: RossStore, mount: Mount, tmp_path: Path
) -> None:
    mounted = mount(content.root)
    os.stat(mounted.path)
    mounted.kill()
    dead = mounted.in_table()
    assert dead is not None
    assert health(dead) is Health.DEAD
    assert rossfs("status", mounted.path).returncode == 8
    again = mount(content.root, path=mounted.path)
    assert os.listdir(again.path)
    assert len(mounts_on(str(again.path))) == 1


def test_umount_clears_a_dead_mount_away(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    mounted.kill()
    ended = rossfs("umount", mounted.path)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert mounted.in_table() is None


def test_a_connection_that_was_aborted_leaves_no_mount(content: RossStore, mount: Mount) -> None:
    require_root("end a connection from outside")
    mounted = mount(content.root)
    there = mounted.in_table()
    assert there is not None
    assert presence.abort(there.minor)
    assert mounted.process.wait(mounts.ENDED) == 0
    assert mounted.in_table() is None


def test_a_stopped_server_hangs_but_lives(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    there = mounted.in_table()
    assert there is not None
    mounted.process.send_signal(signal.SIGSTOP)
    try:
        assert health(there, deadline=1.0) is Health.HANGS
        assert not presence.is_gone(there.minor)
    finally:
        mounted.process.send_signal(signal.SIGCONT)
    assert health(there) is Health.ANSWERS


def test_two_mounts_of_one_store_answer(content: RossStore, mount: Mount) -> None:
    one, two = mount(content.root), mount(content.root)
    assert os.listdir(one.path) == os.listdir(two.path)


def test_a_mount_point_need_not_be_empty(content: RossStore, mount: Mount, tmp_path: Path) -> None:
    path = tmp_path / "full"
    path.mkdir()
    (path / "file").write_text("hidden")
    mounted = mount(content.root, path=path)
    assert "file" not in os.listdir(path)
    mounted.end()
    assert os.listdir(path) == ["file"]


def test_relative_paths_are_meant_from_where_the_command_runs(
    content: RossStore, place: Path, tmp_path: Path
) -> None:
    command = [*mounts.ROSSFS, "mount", "store", "place", "-o", "log=here.log"]
    environment = {**os.environ, "PYTHONPATH": str(mounts.ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60)
    assert mounts_on(str(place))[-1].source == str(content.root)
    assert (tmp_path / "here.log").exists()


def test_a_mount_point_behind_a_symlink_is_found_again(
    content: RossStore, place: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(place)
    assert rossfs("mount", content.root, link).returncode == 0
    assert rossfs("mount", content.root, link).returncode == 5
    assert rossfs("umount", link).returncode == 0


def test_the_table_names_the_store_and_the_type(content: RossStore, mount: Mount) -> None:
    there = mount(content.root, "ro").in_table()
    assert there is not None
    assert there.kind == "fuse.rossfs"
    assert there.source == str(content.root)
    assert {"ro", "nosuid", "nodev", "default_permissions"} <= set(there.options.split(","))


def test_a_store_with_an_odd_name_is_mounted(mount: Mount, tmp_path: Path) -> None:
    store = ross_store(tmp_path / "a b,c\\é")
    there = mount(store.root, path=tmp_path / "m n").in_table()
    assert there is not None
    assert there.source == str(store.root)


def test_the_kernel_reads_ahead_as_far_as_it_was_told(content: RossStore, mount: Mount) -> None:
    require_root("set how far the kernel reads ahead")
    for options, kib in [((), "2048"), (("readahead=1024",), "1024")]:
        there = mount(content.root, *options).in_table()
        assert there is not None
        path = f"/sys/class/bdi/0:{there.minor}/read_ahead_kb"
        assert Path(path).read_text().strip() == kib


def test_a_signal_shows_the_stacks(content: RossStore, mount: Mount) -> None:
    mounted = mount(content.root)
    mounted.process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + 30
    while "most recent call first" not in mounted.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert os.listdir(mounted.path)


@pytest.mark.parametrize(
    ("store", "where", "status", "words"),
    [
        ("missing", "place", 3, b"no store at"),
        (".", "place", 3, b"no store at"),
        ("store", "missing", 3, b"does not exist"),
        ("store", "file", 2, b"is not a directory"),
        ("store", "store", 2, b"lies in the mount point"),
        ("store", ".", 2, b"lies in the mount point"),
        ("store", "store/tags", 2, b"belongs to the store"),
    ],
)
def test_what_cannot_be_mounted_is_told_in_one_line(
    content: RossStore,
    place: Path,
    tmp_path: Path,
    store: str,
    where: str,
    status: int,
    words: bytes,
) -> None:
    (tmp_path / "file").touch()
    for extra in ((), ("-f",)):
        ended = rossfs("mount", tmp_path / store, tmp_path / where, *extra)
        assert ended.returncode == status
        assert words in ended.stderr
        assert ended.stderr.count(b"\n") == 1
    assert not mounts_on(str(place))


def test_an_unknown_option_is_named_and_nothing_is_mounted(content: RossStore, place: Path) -> None:
    ended = rossfs("mount", content.root, place, "-o", "ro,bogus")
    assert ended.returncode == 2
    assert ended.stderr == b'rossfs: unknown mount option "bogus"\n'
    assert not mounts_on(str(place))


def test_a_store_of_a_newer_format_is_not_mounted(content: RossStore, place: Path) -> None:
    Path(content.root, "format").write_bytes(b"\x81\xa7version\x63")
    ended = rossfs("mount", content.root, place)
    assert ended.returncode == 6
    assert not mounts_on(str(place))
