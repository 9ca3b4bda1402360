"""Layers made to do harm, through a real mount: shown as far as they mean something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import builders
from tests.builders import digest_of
from tests.image.conftest import Tool
from tests.layers import BLOCK, GNU, PACKINGS, Layer, block, image_of, packed_image
from tests.mount import hostilelayers, hostilepaths
from tests.mount.hostilelayers import DIRECTORY, look
from tests.mount.lab import Lab
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

CASES = {**hostilelayers.CASES, **hostilepaths.CASES}


@pytest.mark.parametrize("name", CASES)
def test_layers_mean_what_the_specification_says(lab: Lab, name: str) -> None:
    case = CASES[name]
    rootfs = lab.rootfs(*case.layers)
    assert look(rootfs) == case.look
    for path in case.look:  # each name by itself, too
        assert os.path.lexists(rootfs / path)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.umoci])
def test_umoci_agrees(tool: Tool, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    layout = image_of(*case.layers).write_layout(tmp_path / "layout")
    tool("umoci", "unpack", "--image", f"{layout}:latest", tmp_path / "bundle")
    assert look(tmp_path / "bundle/rootfs") == case.look


@pytest.mark.parametrize("packing", PACKINGS)
def test_layers_of_every_packing_are_read(lab: Lab, packing: str) -> None:
    big = bytes(range(256)) * 1200
    base = Layer().directory("d").file("d/big", big).file("gone")
    top = Layer().whiteout("gone").file("d/new", packing.encode())
    image = lab.show(image_of(base, top, packing=packing))
    expected = {"d": DIRECTORY, "d/big": big, "d/new": packing.encode()}
    assert look(image / "rootfs") == expected
    with open(image / "rootfs/d/big", "rb", buffering=0) as file:
        for offset in (70_000, 5, 300_000, len(big) - 3, len(big)):
            assert os.pread(file.fileno(), 1000, offset) == big[offset : offset + 1000]


def test_an_image_of_docker_with_different_packings(lab: Lab) -> None:
    layers = [Layer().file(f"f{number}", b"%d" % number) for number in range(len(PACKINGS))]
    image = lab.show(image_of(*layers, packing=list(PACKINGS), docker=True))
    assert look(image / "rootfs") == {f"f{n}": b"%d" % n for n in range(len(PACKINGS))}


def test_a_layer_that_is_not_here(lab: Lab) -> None:
    """A foreign layer, for one: what lies above it is not shown as if it were all."""
    image = image_of(Layer().file("base"), Layer().file("top"))
    foreign = packed_image(
        image.blobs,
        [str(digest_of(b"?")), str(digest_of(b"!"))],
        [builders.DOCKER_FOREIGN, builders.DOCKER_LAYER],
        docker=True,
    )
    shown = lab.show(foreign)
    lab.store.path(foreign.layers[0]).unlink()
    lab.store.meta_path(foreign.layers[0]).unlink()
    assert refused(os.listdir, shown / "rootfs") in {"EIO", "ENOENT"}
    assert (shown / "manifest.json").read_bytes() == foreign.manifest


def test_an_empty_layer_and_an_image_without_layers(lab: Lab) -> None:
    assert look(lab.rootfs(Layer())) == {}
    assert look(lab.rootfs(b"")) == {}
    assert look(lab.rootfs()) == {}


def test_a_layer_without_an_end_and_without_padding(lab: Lab) -> None:
    whole = bytes(Layer().file("a", b"1").file("b", b"22"))
    for data in (whole, whole[: -BLOCK + 2], whole + bytes(BLOCK), whole + bytes(100 * BLOCK)):
        assert look(lab.rootfs(data)) == {"a": b"1", "b": b"22"}


def test_what_follows_the_end_is_not_shown(lab: Lab) -> None:
    data = Layer().file("a", b"1").closed() + bytes(Layer().file("b", b"2"))
    assert look(lab.rootfs(data)) == {"a": b"1"}


# --- what is no archive ---


BROKEN = {
    "no archive": b"this is no tar archive" * 100,
    "a wrong checksum": bytes(Layer().file("a", b"1"))
    + block(b"b", b"0", checksum=b"000001\0 ")
    + bytes(1024),
    "data that is missing": block(b"a", b"0", size=100_000) + bytes(512),
    "half a header": bytes(Layer().file("a", b"1")) + block(b"b", b"0")[:100],
    "a negative size": block(b"a", b"0", size=-1),
    "a size of 2**63": block(b"a", b"0", size=1 << 63) + bytes(1024),
    "a PAX record that is longer than its header": bytes(
        Layer().entry("x", b"x", b"99 path=a\n").file("b")
    )
    + bytes(1024),
    "a PAX header without end": block(b"x", b"x", size=1 << 40) + bytes(1024),
    "a long name without end": block(b"x", b"L", size=1 << 40, magic=GNU) + bytes(1024),
}


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_layer_that_is_no_archive_is_an_error(lab: Lab, name: str, packing: str) -> None:
    """Its digest and its diff ID are right, and what can be read of it is not all of it."""
    image = lab.show(image_of(BROKEN[name], packing=packing))
    assert refused(os.listdir, image / "rootfs") == "EIO"
    assert (image / "config.json").exists()
    [blob] = (entry for entry in os.scandir(image / "layers") if entry.is_symlink())
    data = PACKINGS[packing].pack(BROKEN[name])
    assert Path(blob.path).read_bytes() == data


@pytest.mark.parametrize("wrong", ["another", "fewer", "more", "none"])
def test_a_config_with_wrong_diff_ids_is_damage(lab: Lab, wrong: str) -> None:
    layers = [Layer().file("a", wrong.encode()), Layer().file("b", b"2")]
    right = [str(digest_of(layer.closed())) for layer in layers]
    diff_ids = {
        "another": [right[0], str(digest_of(b"something else"))],
        "fewer": right[:1],
        "more": [*right, right[0]],
        "none": [],
    }[wrong]
    image = lab.show(image_of(*layers, diff_ids=diff_ids))
    assert refused(os.listdir, image / "rootfs") == "EIO"
    assert refused(os.stat, image / "rootfs/a") == "EIO"


SPARSE = {
    "pieces beyond the file": Layer().pax_sparse("s", [(5000, b"x" * 100)], 100),
    "pieces out of order": Layer().pax_sparse("s", [(5000, b"x"), (0, b"y")], 9000),
    "pieces of negative length": Layer().file(
        "s", pax={"GNU.sparse.size": b"9", "GNU.sparse.map": b"0,-1"}
    ),
    "a map without numbers": Layer().file(
        "s", b"x" * 512, pax={"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"}
    ),
    "fewer numbers than announced": Layer().file(
        "s",
        b"3\n0\n5\n".ljust(512, b"\0"),
        pax={"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"9"},
    ),
}


@pytest.mark.parametrize("name", SPARSE)
def test_a_sparse_file_whose_map_cannot_be_is_not_shown(lab: Lab, name: str) -> None:
    layer = Layer().raw(bytes(SPARSE[name])).file("after", b"1")
    rootfs = lab.rootfs(layer)
    assert refused(os.listdir, rootfs) in {"", "EIO"}
    if not refused(os.listdir, rootfs):
        assert look(rootfs) == {"after": b"1"}


def test_a_million_hostile_numbers_in_one_header(lab: Lab) -> None:
    """Memory is bounded whatever a header announces."""
    records = [("GNU.sparse.size", b"1"), ("GNU.sparse.numblocks", b"999999999999")]
    layer = Layer().file("s", b"x", pax=records).file("a", b"1")
    assert refused(os.listdir, lab.rootfs(layer)) in {"", "EIO"}


def test_layers_alone_show_their_whiteouts(lab: Lab) -> None:
    lower = Layer().directory("d").file("d/x", b"x").file("f", b"f")
    top = Layer().directory("d").opaque("d").file("d/new", b"n").whiteout("f").link("g", "f")
    layers = lab.show(image_of(lower, top)) / "layers"
    first, second = sorted(path for path in layers.iterdir() if path.suffix == "")
    assert first.name.startswith("00-")
    assert second.name.startswith("01-")
    assert look(first) == {"d": DIRECTORY, "d/x": b"x", "f": b"f"}
    assert refused((second / "g").read_bytes) == "ENODATA"  # it is in another layer
    assert sorted(os.listdir(second)) == [".wh.f", "d", "g"]
    assert look(second / "d") == {".wh..wh..opq": b"", "new": b"n"}
    assert (second / ".wh.f").read_bytes() == b""
