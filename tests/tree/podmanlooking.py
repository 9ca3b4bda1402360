"""podman/ of one mount, to look into without a kernel."""

from __future__ import annotations

import json
import os
from typing import Any

from rossfs.image.imagesurvey import Survey
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.node import Directory, File, Node
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.podman import podman_directory
from tests.suites.directory_suite import CALLER
from tests.tree.browsing import Browser, walk
from tests.tree.pictures import AMD64

IMAGES = b"overlay-images/images.json"
LAYERS = b"overlay-layers/layers.json"


class Podman:
    """podman/ of one mount."""

    def __init__(self, browser: Browser) -> None:
        store, numbers = browser.store, browser.numbers
        survey = Survey(store, browser.cache, AMD64)
        files = ContentFiles(store.contents, numbers)
        overlays = OverlayTrees(browser.inside, numbers, browser.trees)
        self.browser = browser
        self.store = store
        self.root = podman_directory(survey, files, browser.inside, overlays, numbers, 1)

    async def at(self, path: bytes) -> Node | None:
        return await walk(self.root, path)

    async def directory(self, path: bytes) -> Directory:
        found = await self.at(path)
        assert isinstance(found, Directory)
        return found

    async def read(self, path: bytes) -> bytes:
        node = await self.at(path)
        assert isinstance(node, File)
        handle = await node.open(os.O_RDONLY, CALLER)
        data = bytes(await handle.read(0, 1 << 20))
        await handle.release()
        assert len(data) == node.attr().size
        return data

    async def images(self) -> dict[str, Any]:
        return {one["id"]: one for one in json.loads(await self.read(IMAGES))}

    async def names(self) -> list[str]:
        return [name for one in (await self.images()).values() for name in one.get("names", [])]

    async def layers(self) -> list[str]:
        """The ids of the layers of the only image, the lowest first."""
        layers = {one["id"]: one for one in json.loads(await self.read(LAYERS))}
        (only,) = (await self.images()).values()
        chain = [only["layer"]]
        while "parent" in layers[chain[-1]]:
            chain.append(layers[chain[-1]]["parent"])
        return chain[::-1]
