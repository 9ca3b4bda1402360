"""Layers that are small and unpack to much: memory and cache stay bounded."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from pathlib import Path

import pytest

from tests import builders
from tests.builders import RossStore
from tests.conftest import Mount
from tests.layers import OCI_LAYER_ZSTD, PACKINGS, Layer, LayeredImage, block, packed_image
from tests.mount.hostilelayers import look
from tests.mount.lab import GOOD
from tests.mounts import Mounted
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

MIB = 1 << 20
SIZE = 256 * MIB
"""Bytes of the file that a bomb unpacks to."""

MEMORY = 160 * MIB
"""What a server may need beyond what it had, at most, at any time."""

CACHE = 64 * MIB

HEAD = block(b"bomb", b"0", size=SIZE)
END = Layer().file("after", b"still here").closed()


def highest_memory(mounted: Mounted) -> int:
    """Bytes of memory that the server had at most, its children not counted."""
    with open(f"/proc/{mounted.process.pid}/status") as file:
        [line] = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def diff_id() -> str:
    """The diff ID of the layer: a file of zeros, and one behind it."""
    hasher = hashlib.sha256(HEAD)
    zeros = bytes(MIB)
    for _ in range(SIZE // MIB):
        hasher.update(zeros)
    hasher.update(END)
    return f"sha256:{hasher.hexdigest()}"


def gzip_bomb() -> bytes:
    """One member."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    parts = [packer.compress(HEAD)]
    zeros = bytes(MIB)
    parts += [packer.compress(zeros) for _ in range(SIZE // MIB)]
    return b"".join([*parts, packer.compress(END), packer.flush()])


def members_bomb() -> bytes:
    """Many members."""
    zeros = gzip.compress(bytes(16 * MIB), mtime=0)
    return gzip.compress(HEAD, mtime=0) + zeros * (SIZE // (16 * MIB)) + gzip.compress(END, mtime=0)


def zstd_bomb(window: int = 23) -> bytes:
    """One frame, of blocks of one repeated byte (RFC 8878, section 3.1.1), four bytes for 128 KiB;
    *window* is the logarithm of what a decoder must remember."""
    frame = io.BytesIO()
    frame.write(bytes.fromhex("28b52ffd") + bytes([0, (window - 10) << 3]))
    frame.write((len(HEAD) << 3).to_bytes(3, "little") + HEAD)
    repeated = (((128 << 10) - 1) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    count, rest = divmod(SIZE, (128 << 10) - 1)
    frame.write(repeated * count)
    frame.write((rest << 3 | 1 << 1).to_bytes(3, "little") + b"\0")
    frame.write((len(END) << 3 | 1).to_bytes(3, "little") + END)
    return frame.getvalue()


def frames_bomb() -> bytes:
    """Many frames, each far larger than what is worth keeping."""
    pack = PACKINGS["zstd"].pack
    return pack(HEAD) + pack(bytes(64 * MIB)) * (SIZE // (64 * MIB)) + pack(END)


BOMBS = {
    "gzip": (gzip_bomb, builders.OCI_LAYER_GZIP),
    "gzip in members": (members_bomb, builders.OCI_LAYER_GZIP),
    "zstd": (zstd_bomb, OCI_LAYER_ZSTD),
    "zstd in frames": (frames_bomb, OCI_LAYER_ZSTD),
}


@pytest.fixture
def bombed(tmp_path: Path) -> RossStore:
    store = builders.ross_store(tmp_path / "store")
    GOOD.put(store, "lab/good:v1")
    return store


def require_bounded(mounted: Mounted, before: int) -> None:
    assert highest_memory(mounted) - before < MEMORY
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_read_where_it_is_asked_for(
    mount: Mount, bombed: RossStore, tmp_path: Path, name: str
) -> None:
    make, media_type = BOMBS[name]
    image = packed_image([make()], [diff_id()], [media_type])
    image.put(bombed, "lab/bomb:v1")
    mounted = mount(bombed.root)
    before = highest_memory(mounted)
    rootfs = mounted.path / "tags/lab/bomb/v1/rootfs"
    assert sorted(os.listdir(rootfs)) == ["after", "bomb"]
    assert os.lstat(rootfs / "bomb").st_size == SIZE
    assert (rootfs / "after").read_bytes() == b"still here"
    with open(rootfs / "bomb", "rb", buffering=0) as file:
        for place in (SIZE - 5, SIZE // 2, 0, SIZE // 3):
            assert os.pread(file.fileno(), 4096, place) == bytes(min(4096, SIZE - place))
    require_bounded(mounted, before)
    used = sum(entry.stat().st_size for entry in os.scandir(tmp_path / "store/cache"))
    assert used < CACHE


def test_a_window_that_nobody_can_have_is_refused(mount: Mount, bombed: RossStore) -> None:
    mounted = mount(bombed.root)
    mounted.expect_log("WARNING")
    before = highest_memory(mounted)
    for window in (28, 31):
        image = packed_image([zstd_bomb(window)], [diff_id()], [OCI_LAYER_ZSTD])
        image.put(bombed, f"lab/bomb:w{window}")
        assert refused(os.listdir, mounted.path / f"tags/lab/bomb/w{window}/rootfs") == "EIO"
        require_bounded(mounted, before)


def test_xattrs_that_are_much_and_compress_well(mount: Mount, bombed: RossStore) -> None:
    """64 MiB of them, in a blob of 70 KiB."""
    layer = Layer()
    for number in range(1000):
        layer.file(f"f{number}", xattrs={"user.large": b"L" * 65_000})
    image = _gzip(layer)
    image.put(bombed, "lab/bomb:v1")
    mounted = mount(bombed.root)
    before = highest_memory(mounted)
    rootfs = mounted.path / "tags/lab/bomb/v1/rootfs"
    assert os.getxattr(rootfs / "f999", "user.large") == b"L" * 65_000
    require_bounded(mounted, before)


def _gzip(layer: Layer) -> LayeredImage:
    data = layer.closed()
    blob = gzip.compress(data, 1, mtime=0)
    return packed_image([blob], [str(builders.digest_of(data))], [builders.OCI_LAYER_GZIP])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_million_entries_are_walked(mount: Mount, bombed: RossStore) -> None:
    """The memory of the server does not grow with what the kernel has forgotten."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    hasher = hashlib.sha256()
    parts = []
    for directory in range(1000):
        layer = Layer().directory(f"d{directory}")
        for number in range(1000):
            layer.file(f"d{directory}/f{number}")
        parts.append(packer.compress(bytes(layer)))
        hasher.update(bytes(layer))
    blob = b"".join([*parts, packer.flush()])
    image = packed_image([blob], [f"sha256:{hasher.hexdigest()}"], [builders.OCI_LAYER_GZIP])
    image.put(bombed, "lab/bomb:v1")
    mounted = mount(bombed.root)
    before = highest_memory(mounted)
    rootfs = mounted.path / "tags/lab/bomb/v1/rootfs"
    count = 0
    for name in os.listdir(rootfs):
        with os.scandir(rootfs / name) as entries:
            count += sum(entry.stat().st_size == 0 for entry in entries)
    assert count == 1_000_000
    require_bounded(mounted, before)
