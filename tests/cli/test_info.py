"""`rossfs info`."""

from __future__ import annotations

from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def test_the_store_is_counted(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:v1")
    parts = image.parts
    size = sum(map(len, (parts.manifest, parts.config, *parts.layers)))
    assert rossfs("info", "--json").json == {
        "store": store.paths.root,
        "writable": True,
        "bytes": size,
        "blobs": 3,
        "manifests": 1,
        "tags": 1,
        "layouts": 0,
    }
    lines = dict(line.split(":", 1) for line in rossfs("info", "--bytes").out.splitlines())
    assert {name: value.strip() for name, value in lines.items()} == {
        "store": store.paths.root,
        "size": str(size),
        "blobs": "3",
        "manifests": "1",
        "tags": "1",
        "layouts": "0",
    }


def test_there_must_be_a_store(rossfs: Rossfs) -> None:
    assert "no store at /nonexistent" in rossfs("--store", "/nonexistent", "info", status=3).err
