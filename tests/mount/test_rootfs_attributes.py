"""Names, attributes and sparse files of layers, through a real mount."""

from __future__ import annotations

import os
import stat

import pytest

from tests.layers import Layer, image_of
from tests.mount.hostilelayers import DIRECTORY, look
from tests.mount.lab import Lab
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

# --- names ---


@pytest.mark.parametrize(
    "name",
    [
        b"n" * 255,
        b"new\nline",
        b"\xff\xfe not UTF-8",
        b"\x01\x1b[31m",
        b"caf\xc3\xa9",
        b"back\\slash",
        b"...",
        b"-",
        b".wh",
        b".who",
        b" ",
        b"PaxHeader",
    ],
)
@pytest.mark.parametrize("long", ["pax", "gnu"])
def test_names_are_bytes(lab: Lab, name: bytes, long: str) -> None:
    prefix = b"p" * 101 + b"/"  # so that the names are too long for a header
    layer = Layer().file(prefix + name, b"x", long=long).symlink("s", b"t" * 4095, long=long)
    rootfs = os.fsencode(lab.rootfs(layer))
    assert os.listdir(rootfs + b"/" + prefix) == [name]
    with open(rootfs + b"/" + prefix + name, "rb") as file:
        assert file.read() == b"x"
    assert os.readlink(rootfs + b"/s") == b"t" * 4095


def test_a_name_over_255_bytes_is_not_shown(lab: Lab) -> None:
    layer = Layer().file("n" * 256).file("d/" + "m" * 300 + "/f").file("a", b"1")
    found = look(lab.rootfs(layer))
    assert found.pop("d", DIRECTORY) == DIRECTORY
    assert found == {"a": b"1"}


def test_ten_thousand_directories_in_one_another(lab: Lab) -> None:
    depth = 10_000
    layer = Layer().file("d/" * depth + "f", b"deep").file("a", b"1")
    rootfs = lab.rootfs(layer)
    directory = os.open(rootfs, os.O_RDONLY)
    try:
        for _ in range(depth):
            assert os.listdir(directory) in (["d"], ["a", "d"], ["d", "a"])
            below = os.open("d", os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = below
        with open(os.open("f", os.O_RDONLY, dir_fd=directory), "rb") as file:
            assert file.read() == b"deep"
    finally:
        os.close(directory)


# --- attributes ---


def test_extended_attributes_of_any_bytes_and_size(lab: Lab) -> None:
    values = {
        "user.binary": bytes(range(256)),
        "user.empty": b"",
        "user.newline": b"a\n12 b=c\n",
        "user.large": b"L" * 65_536,
        "trusted.thing": b"t",
        "security.capability": bytes.fromhex("0100000200240000" + "00" * 12),
    }
    layer = Layer().file("f", xattrs=values).directory("d", xattrs={"user.x": b"\0"})
    rootfs = lab.rootfs(layer)
    assert {name: os.getxattr(rootfs / "f", name) for name in os.listxattr(rootfs / "f")} == values
    assert os.getxattr(rootfs / "d", "user.x") == b"\0"
    assert refused(os.getxattr, rootfs / "d", "user.binary") == "ENODATA"


def test_an_extended_attribute_over_the_limit_of_the_kernel(lab: Lab) -> None:
    """XATTR_SIZE_MAX is 64 KiB; the file is there all the same."""
    rootfs = lab.rootfs(Layer().file("f", b"x", xattrs={"user.huge": b"h" * 100_000}))
    assert (rootfs / "f").read_bytes() == b"x"
    assert refused(os.getxattr, rootfs / "f", "user.huge") in {"E2BIG", "ERANGE", "ENODATA"}


def test_attributes_that_overlayfs_would_believe_are_not_shown(lab: Lab) -> None:
    names = [
        f"{space}.overlay.{name}"
        for space in ("trusted", "user")
        for name in ("opaque", "redirect", "whiteout", "metacopy", "origin")
    ]
    lower = Layer().directory("d").file("d/x", b"x")
    top = Layer().directory("d", xattrs=dict.fromkeys(names, b"y") | {"user.mine": b"1"})
    rootfs = lab.rootfs(lower, top)
    assert os.listxattr(rootfs / "d") == ["user.mine"]
    for name in names:
        assert refused(os.getxattr, rootfs / "d", name) == "ENODATA"
    assert (rootfs / "d/x").read_bytes() == b"x"


def test_attributes_of_libarchive(lab: Lab) -> None:
    records = {"LIBARCHIVE.xattr.user.an%20name": b"AP8K", "LIBARCHIVE.xattr.user.both": b"Zm9v"}
    both = {**records, "SCHILY.xattr.user.both": b"schily"}
    found = lab.rootfs(Layer().file("f", pax=both)) / "f"
    assert os.getxattr(found, "user.an name") == b"\0\xff\n"
    assert os.getxattr(found, "user.both") == b"schily"


def test_owners_modes_times_and_numbers_of_devices(lab: Lab) -> None:
    layer = (
        Layer()
        .file("f", mode=0o106755, uid=4_000_000_000, gid=3_000_000_000)
        .file("pax", pax={"uid": b"4000000001", "gid": b"70000", "mtime": b"-12.25"})
        .file("ns", pax={"mtime": b"4102444800.000000001"})
        .file("negative", mtime=-5)
        .file("late", mtime=(1 << 33) + 5)
        .device("c", b"3", 4095, 1_048_575, 0o666)
        .device("b", b"4", 259, 300)
    )
    rootfs = lab.rootfs(layer)
    status = os.lstat(rootfs / "f")
    assert stat.S_IMODE(status.st_mode) == 0o6755
    assert (status.st_uid, status.st_gid) == (4_000_000_000, 3_000_000_000)
    status = os.lstat(rootfs / "pax")
    assert (status.st_uid, status.st_gid) == (4_000_000_001, 70_000)
    assert status.st_mtime_ns == -12_250_000_000
    assert os.lstat(rootfs / "ns").st_mtime_ns == 4_102_444_800_000_000_001
    assert os.lstat(rootfs / "negative").st_mtime_ns == -5 * 10**9
    assert os.lstat(rootfs / "late").st_mtime_ns == ((1 << 33) + 5) * 10**9
    assert os.lstat(rootfs / "c").st_rdev == os.makedev(4095, 1_048_575)
    assert os.lstat(rootfs / "b").st_rdev == os.makedev(259, 300)


def test_global_headers_are_for_all_that_follow(lab: Lab) -> None:
    layer = (
        Layer()
        .file("a")
        .pax({"uid": b"7", "comment": b"x"}, b"g")
        .file("b")
        .file("c", pax={"uid": b"8"})
    )
    rootfs = lab.rootfs(layer)
    assert [os.lstat(rootfs / name).st_uid for name in "abc"] == [0, 7, 8]


def test_parents_that_nobody_wrote_are_those_of_the_lower_layer(lab: Lab) -> None:
    lower = Layer().directory("d", 0o700, uid=5, mtime=99, xattrs={"user.x": b"1"}).file("d/x")
    rootfs = lab.rootfs(lower, Layer().file("d/new").file("n/new"))
    status = os.lstat(rootfs / "d")
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, 5)
    assert status.st_mtime_ns == 99 * 10**9
    assert os.getxattr(rootfs / "d", "user.x") == b"1"
    status = os.lstat(rootfs / "n")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime_ns) == (0o755, 0, 0)


def test_the_root_has_the_attributes_of_its_entry(lab: Lab) -> None:
    lower = Layer().directory("./", 0o711, uid=3, mtime=77).file("a")
    for layers in ((lower,), (lower, Layer().file("b"))):
        status = os.lstat(lab.rootfs(*layers))
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o711, 3)
        assert status.st_mtime_ns == 77 * 10**9
    status = os.lstat(lab.rootfs(Layer().file("a")))
    assert stat.S_IMODE(status.st_mode) == 0o755


# --- sparse files ---

PIECES = [(4096 * number * 3, b"%04d" % number * 1024) for number in range(30)]
SIZE = 1 << 20


def _sparse_content() -> bytes:
    content = bytearray(SIZE)
    for offset, data in PIECES:
        content[offset : offset + len(data)] = data
    return bytes(content)


def test_sparse_files_of_every_form(lab: Lab) -> None:
    pieces = [*PIECES, (SIZE, b"")]  # GNU tar closes the map where the file ends in a hole
    layer = Layer().gnu_sparse("gnu", pieces, SIZE).file("after", b"1")
    for version in ("0.0", "0.1", "1.0"):
        layer.pax_sparse(f"pax{version}", pieces, SIZE, version).file(f"after{version}", b"2")
    layer.gnu_sparse("hole", [(SIZE, b"")], SIZE).pax_sparse("empty", [], 0)
    for packing in ("gzip", "zstd", "plain"):
        rootfs = lab.show(image_of(layer, packing=packing)) / "rootfs"
        for name in ("gnu", "pax0.0", "pax0.1", "pax1.0"):
            assert (rootfs / name).read_bytes() == _sparse_content(), name
        assert (rootfs / "hole").read_bytes() == bytes(SIZE)
        assert (rootfs / "empty").read_bytes() == b""
        assert {(rootfs / f"after{version}").read_bytes() for version in ("0.0", "1.0")} == {b"2"}


def test_files_over_8_gib(lab: Lab) -> None:
    size = 9 << 30
    pieces = [(0, b"first"), (size - 4, b"last")]
    layer = (
        Layer().gnu_sparse("gnu", pieces, size).pax_sparse("pax", pieces, size).file("after", b"1")
    )
    rootfs = lab.rootfs(layer)
    for name in ("gnu", "pax"):
        assert os.lstat(rootfs / name).st_size == size
        with open(rootfs / name, "rb", buffering=0) as file:
            assert file.read(6) == b"first\0"
            assert os.pread(file.fileno(), 10, size - 6) == b"\0\0last"
            assert os.pread(file.fileno(), 100_000, size // 2) == bytes(100_000)
    assert (rootfs / "after").read_bytes() == b"1"
