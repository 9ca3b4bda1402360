"""Stacks of layers made at random mean what umoci makes of them, in every property."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests import realimages
from tests.image.conftest import Tool
from tests.layers import Layer, image_of
from tests.mount.lab import Lab
from tests.treecompare import Known, compare, unexpected

pytestmark = pytest.mark.fuse

NAMES = "abc"
TARGETS = ("a", "b", "../a", "/a/b", "c/a", "/c", "../../b", ".", "none")


class Stack:
    """Layers of one seed, and about what is where after each entry: enough that most stacks are
    such that umoci accepts them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._directories = [""]
        self._files: list[str] = []
        self._links: list[str] = []
        self.layers = [self._layer(number) for number in range(self._random.choice([2, 3, 4]))]

    def _layer(self, number: int) -> Layer:
        choose = self._random
        layer = Layer()
        # Markers mean the same wherever they stand; umoci thinks so only of those that come first.
        for _ in range(choose.choice([0, 0, 1, 2]) if number else 0):
            missing = f"{choose.choice(self._directories)}/c".lstrip("/")
            path = choose.choice([*self._directories[1:], *self._files, *self._links, missing])
            if choose.random() < 0.3 and path in self._directories:
                layer.opaque(path)
                self._gone(path, itself=False)
            else:
                layer.whiteout(path)
                self._gone(path)
        mine: list[str] = []
        for entry in range(choose.randrange(1, 7)):
            # Never through a symlink: what lies where then is up to the order of entries.
            parent = choose.choice(self._directories)
            path = f"{parent}/{choose.choice(NAMES)}".lstrip("/")
            if path in mine:  # what it replaces may have been linked to
                continue
            mine.append(path)
            fields = {"uid": number, "gid": entry, "mtime": 1000 * number + entry}
            kind = choose.choice(["file", "file", "directory", "directory", "symlink", "link"])
            mode = choose.choice([0o700, 0o644, 0o4755])
            if kind != "directory" or path not in self._directories:
                self._gone(path)
            if kind == "link" and not self._files:
                kind = "fifo"
            if kind == "file":
                layer.file(path, b"%d-%d" % (number, entry) * entry, mode, **fields)
                self._files.append(path)
            elif kind == "directory":
                layer.directory(path, mode, **fields)
                self._directories.append(path)
            elif kind == "symlink":
                layer.symlink(path, choose.choice(TARGETS), **fields)
                self._links.append(path)
            elif kind == "link":
                target = choose.choice(self._files)
                layer.link(path, target, **fields)
            else:
                layer.entry(path, b"6", mode=mode, **fields)  # type: ignore[arg-type]
        return layer

    def _gone(self, path: str, *, itself: bool = True) -> None:
        for known in (self._directories, self._files, self._links):
            known[:] = [
                each
                for each in known
                if not each.startswith(f"{path}/") and not (itself and each == path)
            ]


KNOWN = (
    Known(
        "umoci leaves the time of unpacking on directories that it has to make or to change",
        lambda difference: difference.what == "mtime",
    ),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "seeds",
    [range(40), pytest.param(range(40, 1000), marks=pytest.mark.long)],
    ids=["40", "960 more"],
)
def test_random_layers_are_what_umoci_unpacks(
    lab: Lab, tmp_path: Path, tool: Tool, seeds: range
) -> None:
    tool("umoci", "--version")
    accepted = 0
    for seed in seeds:
        image = image_of(*Stack(seed).layers)
        layout = image.write_layout(tmp_path / "layout")
        rootfs = lab.show(image) / "rootfs"
        try:
            unpacked = realimages.unpack(layout, tmp_path / "bundle", tmp_path)
        except AssertionError:
            assert rootfs.is_dir(), seed
        else:
            accepted += 1
            found = compare(rootfs, unpacked)
            assert unexpected(found, KNOWN) == [], seed
            shutil.rmtree(tmp_path / "bundle")
        shutil.rmtree(layout)
    assert accepted > len(seeds) / 2
