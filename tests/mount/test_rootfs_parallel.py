"""Four processes read one layer at random places while another image is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import builders, mounts
from tests.conftest import Mount
from tests.layers import PACKINGS, Layer, image_of
from tests.mount.strolling import content, names
from tests.mounts import ROOT

pytestmark = pytest.mark.fuse

READERS = 4


def _layer() -> Layer:
    layer = Layer()
    for name in names():
        layer.file(name, content(name))
    return layer


def _layout(path: Path, number: int) -> Path:
    """Another image to be imported."""
    layer = Layer()
    for each in range(300):
        layer.file(f"d{each % 9}/f{each}", content(f"{number} {each}")[:20_000])
    return image_of(layer, packing=list(PACKINGS)[number % len(PACKINGS)]).write_layout(path)


def _read(top: Path, seconds: float, number: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.mount.strolling", str(top), str(seconds), str(number)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("packing", "seconds"),
    [
        ("gzip", 3.0),
        ("zstd", 2.0),
        pytest.param("gzip", 60.0, marks=pytest.mark.long),
        pytest.param("zstd", 60.0, marks=pytest.mark.long),
        pytest.param("plain", 60.0, marks=pytest.mark.long),
        pytest.param("xz", 60.0, marks=pytest.mark.long),
        pytest.param("gzip in members", 60.0, marks=pytest.mark.long),
        pytest.param("zstd in frames", 60.0, marks=pytest.mark.long),
    ],
)
def test_readers_beside_an_import_see_right_bytes(
    mount: Mount, tmp_path: Path, packing: str, seconds: float
) -> None:
    store = builders.ross_store(tmp_path / "store")
    image_of(_layer(), packing=packing).put(store, "lab/app:v1")
    path = mount(store.root).path
    rootfs = path / "tags/lab/app/v1/rootfs"
    # All begin at once, with a layer that nobody has looked at yet.
    readers = [_read(rootfs, seconds, number) for number in range(READERS)]
    imported = 0
    try:
        while any(reader.poll() is None for reader in readers):
            layout = _layout(tmp_path / f"layout{imported}", imported)
            done = mounts.rossfs("--store", store.root, "import", layout, f"lab/new{imported}:v1")
            assert done.returncode == 0, done.stderr
            imported += 1
            assert len(list((path / f"tags/lab/new{imported - 1}/v1/rootfs/d0").iterdir())) == 34
        results = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
    assert [result["wrong"] for result in results] == [[]] * READERS
    assert all(result["read"] for result in results), results
    assert imported > 0
