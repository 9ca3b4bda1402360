"""Importing in one word, for tests."""

from __future__ import annotations

from pathlib import Path

from rossfs.image.import_ import Import, import_images
from rossfs.image.transport import parse_source
from rossfs.store.store import Store


def take(store: Store, source: Path | str, name: str | None = None) -> Import:
    return import_images(store, parse_source(str(source)), name)


def tags(store: Store) -> dict[str, str]:
    return {
        str(name): str(store.tags.get(name.repository, name.tag).digest)
        for name in store.tags.names()
    }


def nothing_tagged(store: Store) -> bool:
    return not list(store.tags.names()) and not list(store.list_manifests())
