"""Tar-split data against what podman writes when it pulls the same layers."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.image.conftest import Tool
from tests.image.merging import Tabled, rootfs_of
from tests.image.test_tarsplit import Raw, split
from tests.layers import Layer, image_of
from tests.requirements import require_root, require_tools

LONG = "/".join(["name" * 30] * 4)


def plain() -> Layer:
    return (
        Layer()
        .directory("./")
        .directory("d", 0o1777, xattrs={"user.x": b"\0\xff"})
        .file("d/empty")
        .file("d/512", b"1" * 512)
        .file("d/513", b"2" * 513)
        .file("./d/dot", b"dot")
        .symlink("d/s", "nowhere")
        .link("d/h", "d/513")
        .device("d/null", b"3", 1, 3)
        .entry("d/pipe", b"6")
        .file("d/time", b"t", pax={"mtime": b"1500000000.000000123"})
    )


def named() -> Layer:
    odd = b'<a>&"\\\n\t\r\x01\x08\x0c\x7f\xe2\x80\xa8\xc3\xa9'
    return (
        Layer()
        .file(odd, b"odd")
        .file(b"latin-\xe9\xff", b"bytes")
        .file(f"pax/{LONG}", b"long")
        .file(f"gnu/{LONG}", b"longer", long="gnu")
        .symlink("to", "x" * 200)
        .link("hard", f"pax/{LONG}", long="gnu")
        .pax({"comment": b"for all"}, b"x")
        .file("commented", b"c")
    )


def changed() -> Layer:
    return (
        Layer()
        .whiteout("d/512")
        .file("d/513", b"new")
        .directory("o")
        .opaque("o")
        .file("o/f", b"o" * 3000)
    )


def image() -> list[Layer]:
    """Layers that podman unpacks."""
    return [
        plain(),
        named(),
        changed(),
        Raw(bytes(Layer().file("end/none", b"e" * 700))),
        Raw(bytes(Layer().file("end/unpadded", b"e" * 700))[: 512 + 700]),
        Raw(bytes(Layer().file("end/one", b"e")) + bytes(512)),
        Raw(bytes(Layer().file("end/blocked", b"e")) + bytes(20 * 512)),
        Layer(),
    ]


@pytest.fixture
def pulled(tmp_path: Path, tool: Tool) -> Iterator[tuple[Sequence[Layer], Path]]:
    """The layers, and where podman has its data of them."""
    require_root("pull with podman")
    require_tools("podman")
    layout = image_of(*image()).write_layout(tmp_path / "layout")
    # Podman takes a runroot of up to 50 characters only.
    top = Path(tempfile.mkdtemp(prefix="rossfs-podman-"))
    try:
        own = ("--root", top / "root", "--runroot", top / "run", "--runtime", "runc")
        tool("podman", *own, "pull", "-q", f"oci:{layout}:latest")
        yield image(), top / "root/overlay-layers"
    finally:
        command = ("umount", "-l", top / "root/overlay")
        subprocess.run(command, capture_output=True, timeout=60, check=False)
        shutil.rmtree(top)


def test_it_is_what_podman_writes(pulled: tuple[Sequence[Layer], Path]) -> None:
    layers, directory = pulled
    rootfs = rootfs_of(*layers)
    name = ""
    for position, layer in enumerate(rootfs.layers):
        assert isinstance(layer, Tabled)
        diff_id = hashlib.sha256(layer.tar).hexdigest()
        name = hashlib.sha256(f"{name}+{diff_id}".encode()).hexdigest() if name else diff_id
        theirs = gzip.decompress((directory / f"{name}.tar-split.gz").read_bytes())
        assert split(rootfs, position).splitlines() == theirs.splitlines()
