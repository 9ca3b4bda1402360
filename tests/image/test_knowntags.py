"""Tags that are read again only if they changed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.image import knowntags
from rossfs.image.knowntags import KnownTags
from rossfs.oci.digest import Digest
from rossfs.store import tagfile
from rossfs.store.changes import Changes
from rossfs.store.store import Store
from tests.builders import image


class Look:
    """The tags of a store, again and again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known = KnownTags(store.tags, store.paths)
        self.changes = Changes()

    def all(self) -> dict[str, Digest | None]:
        found = self.known.all(self.changes.watch, self.changes.told())
        return {str(tag): digest for tag, digest in found}

    def anew(self) -> dict[str, Digest | None]:
        """As somebody says who looks for the first time."""
        other = KnownTags(self.store.tags, self.store.paths)
        return {str(tag): digest for tag, digest in other.all(lambda _: None, None)}


@pytest.fixture
def look(store: Store) -> Iterator[Look]:
    made = Look(store)
    yield made
    made.changes.close()


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tag files that were read."""
    seen: list[str] = []
    plainly = tagfile.read

    def noted(path: str) -> tagfile.TagRecord:
        seen.append(os.path.basename(path))
        return plainly(path)

    monkeypatch.setattr(tagfile, "read", noted)
    return seen


@pytest.fixture
def digests(store: Store) -> list[Digest]:
    return [image(store, name).manifest for name in "ab"]


def test_only_what_changed_is_read(
    look: Look, store: Store, digests: list[Digest], readings: list[str]
) -> None:
    one, two = digests
    for number in range(5):
        store.tags.set("app", f"t{number}", one)
        store.tags.set("lab/other", f"t{number}", one)
    readings.clear()
    assert len(look.all()) == 10
    assert len(readings) == 10
    readings.clear()
    assert len(look.all()) == 10
    assert not readings

    Path(store.paths.tag("app", "t3")).write_bytes(tagfile.encode(two, 1))
    store.tags.delete("lab/other", "t1")
    os.link(store.paths.tag("app", "t3"), store.paths.tag("lab/other", "new"))
    found = look.all()
    assert set(readings) == {"t3", "t1", "new"} or set(readings) == {"t3", "new"}
    assert found["app:t3"] == found["lab/other:new"] == two
    assert "lab/other:t1" not in found
    assert found == look.anew()


def test_a_tag_that_cannot_be_read_is_told_as_that(
    look: Look, store: Store, digests: list[Digest]
) -> None:
    store.tags.set("app", "v1", digests[0])
    path = Path(store.paths.tag("app", "v1"))
    path.write_bytes(b"{}")
    assert look.all() == {"app:v1": None}
    path.write_bytes(tagfile.encode(digests[1], 1))
    assert look.all() == {"app:v1": digests[1]}


def test_whoever_is_interrupted_reads_everything_again(
    look: Look, store: Store, digests: list[Digest], readings: list[str]
) -> None:
    for name in ("v1", "v2"):
        store.tags.set("app", name, digests[0])
    look.all()
    store.tags.set("app", "v1", digests[1])
    broken = look.known.all(look.changes.watch, look.changes.told())
    next(broken)
    broken.close()
    readings.clear()
    assert look.all()["app:v1"] == digests[1]
    assert len(readings) == 2


def test_what_is_beyond_the_limit_is_read_each_time(
    look: Look, store: Store, digests: list[Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowntags, "MOST", 3)
    for name in ("v1", "v2"):
        store.tags.set("app", name, digests[0])
        store.tags.set("other", name, digests[0])
    look.all()
    for repository in ("app", "other"):
        store.tags.set(repository, "v1", digests[1])
        assert look.all() == look.anew()


@pytest.mark.damages_store
@pytest.mark.parametrize("seed", range(6))
def test_whatever_changes_it_is_as_if_everything_was_read(
    look: Look, store: Store, digests: list[Digest], seed: int
) -> None:
    numbers = random.Random(seed)
    top = Path(store.paths.tags)

    def some() -> Path:
        return top.joinpath(*(numbers.choice("xyz") for _ in range(numbers.randint(1, 3))))

    def change() -> None:
        path, action = some(), numbers.randrange(6)
        if action < 2:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tagfile.encode(numbers.choice(digests), 1))
        elif action == 2:
            path.unlink()
        elif action == 3:
            shutil.rmtree(path)
        elif action == 4:
            path.rename(some())
        else:
            path.mkdir(parents=True)

    for _ in range(60):
        for _ in range(numbers.randint(0, 3)):
            try:
                change()
            except OSError:
                continue
        assert look.all() == look.anew()
