"""The image that is measured: in a store, and as the peers want it.

The OCI layout `debian` of the directory that ROSSFS_TEST_IMAGES names; without one, an image that
tests/realimages.py makes of this machine's files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import realimages
from tests.bench.mounted import ROSSFS
from tests.requirements import missing_tools

NAME = "debian"


class Specimen:
    """An image of gzip layers with the tag `latest`, and what is made of it below *directory*."""

    def __init__(self, directory: str) -> None:
        self._work = Path(directory, "specimen")
        self._work.mkdir()
        self.layout = self._find()
        index = json.loads((self.layout / "index.json").read_text())
        manifests = [item for item in index["manifests"] if _tag(item) == "latest"]
        self.hex: str = manifests[0]["digest"].removeprefix("sha256:")
        self._manifest: dict[str, Any] = json.loads(self._blob(self.hex).read_text())

    def _find(self) -> Path:
        for layout in realimages.layouts():
            if layout.name == NAME:
                return layout
        if missing := missing_tools(*realimages.NEEDED):
            raise SystemExit(
                f"no layout {NAME} in ${realimages.VARIABLE}, and to make one there are missing: "
                + ", ".join(missing)
            )
        made = self._work / "made"
        made.mkdir()
        return realimages.made(made).gzip

    def _blob(self, name: str) -> Path:
        return self.layout / "blobs/sha256" / name

    @property
    def layers(self) -> list[str]:
        """The layers' blobs, bottom first, under names that end in .tar.gz."""
        links = []
        for number, layer in enumerate(self._manifest["layers"]):
            link = self._work / f"{number:02}.tar.gz"
            if not link.exists():
                link.symlink_to(self._blob(layer["digest"].removeprefix("sha256:")))
            links.append(str(link))
        return links

    def store(self) -> str:
        """A store that has imported the image."""
        store = str(self._work / "store")
        import_layout(store, str(self.layout))
        return store

    def rootfs(self, mount: str) -> str:
        """Its root filesystem in a mount of the store, without a symbolic link on the path."""
        return f"{mount}/images/sha256/{self.hex}/rootfs"

    def tree(self) -> str:
        """Its root filesystem, unpacked by umoci."""
        if shutil.which("umoci") is None:
            raise SystemExit("umoci is not installed: scripts/install --bench")
        bundle = self._work / "bundle"
        if not bundle.exists():
            realimages.unpack(self.layout, bundle, self._work)
        return str(bundle / "rootfs")

    def squashfs(self) -> str | None:
        """A squashfs of `tree` as mksquashfs makes it by default, if that is installed."""
        if shutil.which("mksquashfs") is None:
            return None
        path = self._work / "image.squashfs"
        if not path.exists():
            command = ["mksquashfs", self.tree(), str(path), "-no-progress", "-quiet"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
        return str(path)

    def late_file(self) -> str:
        """The path of a file in the last quarter of the largest layer, which later layers left."""
        largest = max(self.layers, key=os.path.getsize)
        later = self.layers[self.layers.index(largest) + 1 :]
        files = [name for name, member in _members(largest) if member.isreg() and member.size]
        changed = {name for layer in later for name, _ in _members(layer)}
        tree = self.tree()
        for name in files[len(files) * 3 // 4 :]:
            if name not in changed and os.path.isfile(f"{tree}/{name}"):
                return name
        raise SystemExit(f"{self.layout}: later layers replaced all of the largest one")


def import_layout(store: str, layout: str) -> None:
    """Make *store* and import the image `latest` of *layout* as NAME."""
    for arguments in (["init"], ["import", layout, NAME]):
        command = [*ROSSFS, "--store", store, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _tag(descriptor: dict[str, Any]) -> str | None:
    tag: str | None = descriptor.get("annotations", {}).get("org.opencontainers.image.ref.name")
    return tag


def _members(layer: str) -> Iterator[tuple[str, tarfile.TarInfo]]:
    with tarfile.open(layer, "r|gz") as tar:
        for member in tar:
            yield os.path.normpath(member.name), member
