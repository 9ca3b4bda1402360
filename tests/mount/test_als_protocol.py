"""What podman does in als/, done by hand: all versions of it, and what none of them should do."""

from __future__ import annotations

import base64
import errno
import json
import os
import stat
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests.image.chunked import Chunked, estargz, put, zstd_chunked
from tests.layers import Layer, image_of
from tests.mount.lab import Lab

pytestmark = pytest.mark.fuse

REFERENCE = base64.b64encode(b"quay.io/lab/app:v1").decode()


def chunked_layer(text: bytes) -> Layer:
    return Layer().directory("etc").file("etc/motd", text).whiteout("etc/gone")


def failure(change: object, *arguments: object) -> int:
    """The errno with which a call fails, 0 if it does not."""
    assert callable(change)
    try:
        change(*arguments)
    except OSError as error:
        return error.errno or 0
    return 0


def begin(layer: Path) -> int:
    return failure(os.open, layer / "use", os.O_CREAT | os.O_RDWR, 0o666)


def uses(layer: Path) -> int:
    return int(os.getxattr(layer, "user.ross.uses"))


@pytest.mark.parametrize("above", ["", REFERENCE])
def test_the_protocol_by_the_digest_of_a_layer(lab: Lab, above: str) -> None:
    data = above.encode() or b"none"
    built = image_of(Layer().file("file", data).whiteout("gone"))
    lab.show(built)
    (digest,) = built.layers
    layer = lab.mounted.path / "als" / above / str(digest)
    for name in ("diff", "info", "blob"):
        os.stat(layer / name)
    assert begin(layer) == errno.ENOENT
    assert json.loads((layer / "info").read_bytes())["compression"] == 2
    assert begin(layer) == errno.ENOENT
    assert uses(layer) == 2
    assert not (layer / "use").exists()
    assert failure(os.rmdir, layer) == errno.ENOENT
    assert uses(layer) == 1
    assert stat.S_ISCHR(os.lstat(layer / "diff/gone").st_mode)
    assert (layer / "diff/file").read_bytes() == data
    assert (layer / "blob").read_bytes() == built.blobs[0]
    assert failure(os.rmdir, layer) == errno.ENOENT
    assert uses(layer) == 0
    # It is all there still.
    assert sorted(os.listdir(layer)) == ["blob", "diff", "info"]


@pytest.mark.parametrize("make", [estargz, zstd_chunked])
def test_the_protocol_by_the_digest_of_a_table_of_contents(lab: Lab, make: object) -> None:
    assert callable(make)
    chunked: Chunked = make(chunked_layer(b"hello"))
    put(lab.store, chunked)
    layer = lab.mounted.path / "als" / str(chunked.toc)
    assert json.loads((layer / "info").read_bytes())["toc-digest"] == str(chunked.toc)
    assert begin(layer) == errno.ENOENT
    assert (layer / "diff/etc/motd").read_bytes() == b"hello"
    assert stat.S_ISCHR(os.lstat(layer / "diff/etc/gone").st_mode)
    assert (layer / "blob").read_bytes() == chunked.blob
    assert os.listdir(lab.mounted.path / "als") == [str(chunked.toc)]
    with Store.open(str(lab.store.root)) as store:
        assert store.uses.is_used(chunked.digest)
    assert failure(os.rmdir, layer) == errno.ENOENT
    assert os.listdir(lab.mounted.path / "als") == []


def test_nothing_else_happens_in_it(lab: Lab) -> None:
    built = image_of(Layer().file("file", b"another"))
    lab.show(built)
    als = lab.mounted.path / "als"
    layer = als / str(built.layers[0])
    flags = os.O_CREAT | os.O_WRONLY
    for path in (layer / "new", als / "use", layer / "diff/use", layer / "diff/file"):
        assert failure(os.open, path, flags, 0o666) == errno.EROFS, path
    assert failure(os.mkdir, als / "new") == errno.EROFS
    assert failure(os.rmdir, als / "nothing") == errno.ENOENT
    assert failure(os.rmdir, layer / "diff") == errno.EROFS
    assert failure(os.rename, layer, als / "other") == errno.EROFS
    assert failure(os.stat, als / f"sha256:{'0' * 64}") == errno.ENOENT
    assert failure(os.stat, als / "sha256:short") == errno.ENOENT
    assert uses(layer) == 0
