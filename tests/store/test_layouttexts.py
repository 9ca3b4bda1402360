"""index.json that is answered from memory, and never after something changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.store import layouttexts, tagfile
from rossfs.store.layouts import Layouts
from rossfs.store.layouttexts import Text, Texts
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import Image, image
from tests.store.layoutwriting import entry, names, read, write

APP = "library/app"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tag files that were read."""
    seen: list[str] = []
    plainly = tagfile.read

    def noted(path: str) -> tagfile.TagRecord:
        seen.append(path)
        return plainly(path)

    monkeypatch.setattr(tagfile, "read", noted)
    return seen


@pytest.fixture
def layouts(store: Store, monkeypatch: pytest.MonkeyPatch, one: Image) -> Layouts:
    """Those of a store with two tags, in which nothing is too young to be kept."""
    monkeypatch.setattr(layouttexts, "YOUNG", 0.02)
    store.tags.set(APP, "v2", one.manifest)
    grow_old()
    return store.layouts


def grow_old() -> None:
    """Wait until what was changed may be kept."""
    time.sleep(0.03)


@pytest.fixture
def one(store: Store) -> Image:
    return image(store, "one", tag=f"{APP}:v1")


@pytest.fixture
def two(store: Store) -> Image:
    return image(store, "two")


def test_what_did_not_change_is_not_read_again(layouts: Layouts, readings: list[str]) -> None:
    text = layouts.index(APP)
    assert len(readings) == 2
    for _ in range(3):
        assert layouts.index(APP) == text
    assert len(readings) == 2


def in_place(store: Store, one: Image, two: Image) -> None:
    path = Path(store.paths.tag(APP, "v1"))
    with path.open("r+b") as file:
        file.write(tagfile.encode(two.manifest, 1700000000))


def by_rename(store: Store, one: Image, two: Image) -> None:
    path = Path(store.paths.tag(APP, "v1"))
    data = path.read_bytes().replace(one.manifest.hex.encode(), two.manifest.hex.encode())
    (path.parent / "other").write_bytes(data)
    (path.parent / "other").rename(path)


def by_rossfs(store: Store, one: Image, two: Image) -> None:
    store.tags.set(APP, "v1", two.manifest)


@pytest.mark.parametrize("change", [in_place, by_rename, by_rossfs])
def test_a_tag_that_changes_shows(
    layouts: Layouts,
    store: Store,
    one: Image,
    two: Image,
    change: Callable[[Store, Image, Image], None],
) -> None:
    for _ in range(3):
        grow_old()
        before = read(layouts, APP)
        assert {each["digest"] for each in before["manifests"]} == {str(one.manifest)}
        change(store, one, two)
        grow_old()
        after = read(layouts, APP)
        assert [each["digest"] for each in after["manifests"]] == [
            str(two.manifest),
            str(one.manifest),
        ]
        change(store, two, one)


def test_what_comes_and_goes_shows(layouts: Layouts, store: Store, one: Image, two: Image) -> None:
    assert names(read(layouts, APP)) == ["v1", "v2"]
    store.tags.delete(APP, "v2")
    assert names(read(layouts, APP)) == ["v1"]
    write(layouts, APP, entry(one.parts, "v1"), entry(two.parts), annotations={"a": "b"})
    document = read(layouts, APP)
    assert names(document) == ["v1", ""]
    assert document["annotations"] == {"a": "b"}
    os.rename(store.paths.content(Area.MANIFESTS, two.manifest), f"{store.paths.scratch}/aside")
    assert names(read(layouts, APP)) == ["v1"]
    os.rename(f"{store.paths.scratch}/aside", store.paths.content(Area.MANIFESTS, two.manifest))
    assert names(read(layouts, APP)) == ["v1", ""]


def test_a_tag_of_what_is_not_complete_yet_is_asked_for_again(
    layouts: Layouts, store: Store, readings: list[str]
) -> None:
    digest = image(store, "late").manifest
    content = Path(store.paths.content(Area.MANIFESTS, digest))
    whole = content.read_bytes()
    # As Ross files it: content in place, then its .meta.
    Path(f"{content}.meta").unlink()
    content.write_bytes(whole[:10])
    store.tags.set(APP, "late", image(store, "other").manifest)
    path = Path(store.paths.tag(APP, "late"))
    path.write_bytes(tagfile.encode(digest, 1))
    for _ in range(2):
        grow_old()
        assert names(read(layouts, APP)) == ["v1", "v2"]
    content.write_bytes(whole)
    assert names(read(layouts, APP)) == ["late", "v1", "v2"]


def test_what_changed_just_now_may_change_again_without_a_trace(
    store: Store, one: Image, readings: list[str]
) -> None:
    store.layouts.index(APP)
    store.layouts.index(APP)
    assert len(readings) == 2, "read both times"
    time.sleep(layouttexts.YOUNG + 0.02)
    store.layouts.index(APP)
    store.layouts.index(APP)
    assert len(readings) == 3, "read once"


def test_texts_are_kept_up_to_a_limit(store: Store, one: Image) -> None:
    texts = Texts(store.paths)
    long = Text(bytes(1 << 20), "version")
    for number in range(10):
        texts.keep(f"app{number}", b"state", long)
        texts.keep(f"app{number}", b"newer", long)
        texts.find("app6", b"newer")
    found = [number for number in range(10) if texts.find(f"app{number}", b"newer")]
    assert found == [6, 7, 8, 9]
    assert texts.find("app9", b"state") is None
    texts.keep("app", b"state", Text(bytes(5 << 20), "version"))
    texts.keep("young", None, long)
    assert texts.find("app", b"state") is None
    assert texts.find("young", None) is None
    assert len([number for number in range(10) if texts.find(f"app{number}", b"newer")]) == 4
