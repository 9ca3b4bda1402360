"""Surveys of a store that change by change say the same as one that looks at everything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rossfs.image.cache import Cache
from rossfs.image.imagesurvey import Survey
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store.changes import Changes
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import image


def test_what_is_known_is_not_read_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (image(store, name, tag=f"app:{name}") for name in ("one", "two"))
    changes = Changes()
    take = Survey(store, Cache(str(tmp_path / "cache")), Platform("linux", "amd64")).take
    take(changes.watch, changes.told())
    asked: list[str] = []
    plainly = Contents.glance

    def glance(contents: Contents, digest: Digest) -> os.stat_result | None:
        asked.append(digest.hex)
        return plainly(contents, digest)

    monkeypatch.setattr(Contents, "glance", glance)
    shown = take(changes.watch, changes.told())
    assert not asked
    assert shown.images.keys() == {one.config.hex, two.config.hex}

    os.rename(store.paths.content(Area.BLOBS, one.layers[0]), f"{store.paths.scratch}/aside")
    assert not changes.happened(), "whoever asks for a table does not wait for each blob"
    assert take(changes.watch, changes.told()).images.keys() == {two.config.hex}
    os.rename(f"{store.paths.scratch}/aside", store.paths.content(Area.BLOBS, one.layers[0]))
    store.tags.set("app", "one", two.manifest)
    shown = take(changes.watch, changes.told())
    assert len(shown.images) == 2
    assert not shown.images[one.config.hex].names
    changes.close()
