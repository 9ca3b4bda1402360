"""Layers that are damaged: right bytes or EIO, never wrong ones, and never the end of the mount."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import builders
from tests.builders import RossStore, digest_of
from tests.conftest import Mount
from tests.layers import PACKINGS, Layer, LayeredImage, image_of, packed_image
from tests.mount.hostilelayers import look
from tests.mount.lab import GOOD
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

CUT = 200
FLIPPED = 500

KINDS = ("gzip", "zstd", "plain", "gzip in members", "bzip2", "xz", "zstd in frames")

COPIED = {"zstd", "bzip2", "xz"}
"""Kinds of which the first read makes a copy, which what happens to the blob does not reach."""

Files = dict[str, bytes]


class Subject(NamedTuple):
    """An image to be damaged."""

    image: LayeredImage
    files: Files
    harm: Callable[[bytes], bytes]


def _files(number: int) -> Files:
    """Some files that no other image has: some that compress well, some that do not."""
    numbers = random.Random(number)
    return {
        "text": b"%d " % number * numbers.randrange(10, 2000),
        "noise": numbers.randbytes(numbers.randrange(1, 6000)),
        "dir/small": b"%d" % number,
        "dir/empty": b"",
    }


def _layer(files: Files) -> Layer:
    layer = Layer().directory("./").directory("dir")
    for path, data in files.items():
        layer.file(path, data)
    return layer


def _cut(numbers: random.Random) -> Callable[[bytes], bytes]:
    return lambda data: data[: numbers.randrange(len(data))]


def _flip(numbers: random.Random) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[numbers.randrange(len(data))] ^= numbers.randrange(1, 256)
        return bytes(changed)

    return flip


def _subjects() -> Iterator[Subject]:
    numbers = random.Random(7)
    for number in range(CUT + FLIPPED):
        files = _files(number)
        packing = KINDS[number // 3 % len(KINDS)]
        harm = _cut(numbers) if number < CUT else _flip(numbers)
        yield Subject(image_of(_layer(files), packing=packing), files, harm)


def _read(path: Path) -> bytes | str:
    """What is in a file, or the name of the errno with which that is refused."""
    try:
        return path.read_bytes()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def _is_right_or_refused(top: Path, files: Files) -> bool:
    """Whether all of *files* could be read; AssertionError for all but EIO and what is right."""
    refusal = refused(os.listdir, top)
    assert refusal in {"", "EIO"}
    if refusal:
        return False
    assert set(os.listdir(top)) == {"text", "noise", "dir"}
    answers = [(data, _read(top / path)) for path, data in files.items()]
    assert all(answer in {data, "EIO"} for data, answer in answers), top
    return all(answer == data for data, answer in answers)


def _overwrite(store: RossStore, image: LayeredImage, harm: Callable[[bytes], bytes]) -> None:
    """Damage the stored layer of an image, its size in .meta as it was."""
    [digest] = image.layers
    path = store.path(digest)
    path.write_bytes(harm(path.read_bytes()))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("known", [False, True], ids=["first seen damaged", "known before"])
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
def test_damage_in_the_store_is_never_shown(
    mount: Mount, tmp_path: Path, known: bool, step: int
) -> None:
    """With tables from before, which say what was there, and without."""
    store = builders.ross_store(tmp_path / "store")
    GOOD.put(store, "lab/good:v1")
    subjects = list(_subjects())[::step]
    for subject in subjects:
        subject.image.put(store)
    if known:
        before = mount(store.root)
        for subject in subjects:
            rootfs = before.path / "images/sha256" / subject.image.digest.hex / "rootfs"
            assert sorted(os.listdir(rootfs)) == ["dir", "noise", "text"]
        before.clear()
    for subject in subjects:
        _overwrite(store, subject.image, subject.harm)
    mounted = mount(store.root)
    mounted.expect_log("WARNING|ERROR .*sha256")
    for subject in subjects:
        rootfs = mounted.path / "images/sha256" / subject.image.digest.hex / "rootfs"
        assert not _is_right_or_refused(rootfs, subject.files)
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}
    assert b"Traceback" not in mounted.log.read_bytes()


@pytest.mark.timeout(240)
def test_damage_from_before_it_was_stored_is_never_shown(mount: Mount, tmp_path: Path) -> None:
    """Cut at 200 places, and 500 bytes changed.  The digest is that of the damaged layer, so only
    its inside tells; the config has the diff ID of what it was."""
    store = builders.ross_store(tmp_path / "store")
    GOOD.put(store, "lab/good:v1")
    damaged = []
    for subject in _subjects():
        [blob] = subject.image.blobs
        diff_id = str(digest_of(_layer(subject.files).closed()))
        image = packed_image([subject.harm(blob)], [diff_id], subject.image.types)
        image.put(store)
        damaged.append((image, subject.files))
    mounted = mount(store.root)
    mounted.expect_log("WARNING|ERROR .*sha256")
    right = 0
    for image, files in damaged:
        rootfs = mounted.path / "images/sha256" / image.digest.hex / "rootfs"
        right += _is_right_or_refused(rootfs, files)
    # A byte of a gzip header may say anything: about one in 40 of those that were changed.
    assert right < FLIPPED / 10
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}
    assert b"Traceback" not in mounted.log.read_bytes()


@pytest.mark.timeout(240)
def test_a_plain_layer_cut_anywhere_with_its_own_diff_id(mount: Mount, tmp_path: Path) -> None:
    """Only the archive itself says that it is cut; between two entries it is just shorter."""
    store = builders.ross_store(tmp_path / "store")
    GOOD.put(store, "lab/good:v1")
    layer = Layer()
    shown: dict[str, str | bytes] = {}
    borders = {0: shown}
    for number in range(12):
        data = b"%d" % number * 300 * number
        layer.file(f"f{number}", data)
        shown = {**shown, f"f{number}": data}
        borders[len(bytes(layer))] = shown
    whole = layer.closed()
    numbers = random.Random(3)
    places = sorted({*borders, *numbers.sample(range(1, len(whole)), 200)})
    mounted = mount(store.root)
    mounted.expect_log("WARNING|ERROR .*sha256")
    for place in places:
        image = image_of(whole[:place], packing="plain")
        rootfs = mounted.path / "images/sha256" / image.put(store).hex / "rootfs"
        if refused(os.listdir, rootfs):
            # At a border, in the padding of an entry, or in the blocks at the end it is whole.
            assert place not in borders
            assert place < len(bytes(layer))
            continue
        complete = max(border for border in borders if border - 511 <= place)
        assert look(rootfs) == borders[complete], place
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}


def test_layers_that_are_written_to_below_a_live_mount(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    mounted = mount(store.root)
    mounted.expect_log("WARNING|ERROR .*sha256")
    for number, packing in enumerate(PACKINGS):
        numbers = random.Random(packing)
        files = {f"f{each}": numbers.randbytes(150_000) for each in range(8)}
        image = image_of(_layer(files), packing=packing)
        image.put(store, f"lab/app:v{number}")
        rootfs = mounted.path / f"tags/lab/app/v{number}/rootfs"
        assert (rootfs / "f0").read_bytes() == files["f0"]
        blob = store.path(image.layers[0])
        with open(blob, "r+b") as file:
            for place in range(1000, blob.stat().st_size, 50_000):
                file.seek(place)
                file.write(b"these bytes are wrong")
        answers = {path: _read(rootfs / path) for path in files}
        assert all(answer in {files[path], "EIO"} for path, answer in answers.items())
        assert "EIO" in answers.values() or packing in COPIED
    assert (mounted.path / "README").read_bytes()


def test_a_layer_that_is_removed_below_a_live_mount(mount: Mount, tmp_path: Path) -> None:
    """What is open stays open; it may as well be gone."""
    store = builders.ross_store(tmp_path / "store")
    image = image_of(Layer().file("a", b"1" * 100_000).file("b", b"2" * 100_000))
    image.put(store, "lab/app:v1")
    GOOD.put(store, "lab/good:v1")
    mounted = mount(store.root)
    mounted.expect_log("WARNING|ERROR .*sha256")
    rootfs = mounted.path / "tags/lab/app/v1/rootfs"
    assert (rootfs / "a").read_bytes() == b"1" * 100_000
    store.path(image.layers[0]).unlink()
    store.meta_path(image.layers[0]).unlink()
    assert _read(rootfs / "b") in {b"2" * 100_000, "EIO", "ENOENT"}
    assert look(mounted.path / "tags/lab/good/v1/rootfs") == {"good": b"as good as before"}
