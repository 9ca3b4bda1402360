"""als/ of one mount, to look into without a kernel, as podman does."""

from __future__ import annotations

import json
import os

from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.als import AdditionalLayers, LayerPlace, LayerStore
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.node import File
from rossfs.tree.numbers import Numbers
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.trees import Trees
from rossfs.tree.uploads import Uploads
from tests.suites.directory_suite import CALLER, find, refusal

FLAGS = os.O_WRONLY | os.O_CREAT


def additional(store: Store, *, writable: bool = True) -> AdditionalLayers:
    """als/ of a mount of *store*."""
    numbers, trees = Numbers(b"a key of these tests"), Trees()
    layers = Layers(store, Cache(None))
    overlays = OverlayTrees(ImageTrees(store, layers, numbers, trees), numbers, trees)
    files = ContentFiles(store.contents, numbers)
    shared = LayerStore(store, files, layers, overlays, Uploads(store), numbers, writable=writable)
    return AdditionalLayers(shared)


def name_of(digest: Digest) -> bytes:
    return str(digest).encode()


async def place(als: AdditionalLayers, digest: Digest) -> LayerPlace:
    found = await find(als, name_of(digest))
    assert isinstance(found, LayerPlace)
    return found


async def use(als: AdditionalLayers, digest: Digest) -> int:
    """Say, as podman does, that a layer is in use; the errno."""
    return await refusal((await place(als, digest)).create(b"use", 0o666, FLAGS, CALLER))


async def release(als: AdditionalLayers, digest: Digest) -> int:
    """Say that it is not, once; the errno."""
    return await refusal(als.rmdir(name_of(digest), CALLER))


async def info(directory: LayerPlace) -> dict[str, object]:
    file = await find(directory, b"info")
    assert isinstance(file, File)
    handle = await file.open(os.O_RDONLY, CALLER)
    text = bytes(await handle.read(0, 4096))
    await handle.release()
    assert len(text) == file.attr().size
    fields: dict[str, object] = json.loads(text)
    return fields
