"""What a repair mends, what it moves aside, and what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, ReadOnlyStore
from rossfs.oci.digest import Digest
from rossfs.store.access import Access
from rossfs.store.finding import Finding, Kind
from rossfs.store.store import Store
from tests.builders import (
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCTET_STREAM,
    Image,
    RossStore,
    compact,
    digest_of,
    image,
    image_parts,
    index,
    ross_store,
)

ABSENT = digest_of(b"nobody has this")
OLD_NS = 1_699_564_800 * 10**9
INVENTED = {Kind.MISSING_REFERENCE, Kind.DANGLING_TAG}
"""What would have to be invented."""


@pytest.fixture
def app(ross: RossStore) -> Image:
    return image(ross, "app", tag="library/app:v1")


@pytest.fixture
def opened(ross: RossStore, app: Image) -> Iterator[Store]:
    with Store.open(str(ross.root)) as store:
        yield store


def repaired(store: Store, *, fast: bool = False) -> list[Finding]:
    return list(store.fsck(fast, repair=True))


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, "\n".join(map(str, findings))
    return findings[0]


def damage(path: Path, data: bytes) -> None:
    """Change a file, long ago."""
    path.write_bytes(data)
    os.utime(path, ns=(OLD_NS, OLD_NS))


def quarantined(ross: RossStore) -> dict[str, bytes]:
    """Names without what is random in them, and bytes."""
    found = {}
    for path in (ross.root / "quarantine").iterdir():
        name, _, rest = path.name.rpartition("-")
        found[name + rest[8:]] = path.read_bytes()
    return found


# Damaged content


def test_damaged_content_is_moved_aside_with_its_meta(
    ross: RossStore, app: Image, opened: Store
) -> None:
    known = ross.meta_path(app.layers[0]).read_bytes()
    damage(ross.path(app.layers[0]), b"damaged")
    findings = repaired(opened)
    assert [finding.kind for finding in findings] == [Kind.DAMAGED, Kind.MISSING_REFERENCE]
    assert findings[0].repaired
    assert findings[0].moved is not None
    assert (ross.root / findings[0].moved).read_bytes() == b"damaged"
    assert str(findings[0]).endswith(f"(moved to {findings[0].moved})")
    assert not findings[1].repaired
    name = f"blobs-{app.layers[0].hex}"
    assert quarantined(ross) == {name: b"damaged", f"{name}.meta": known}
    assert opened.stat_blob(app.layers[0]) is None
    assert only(list(opened.fsck())).kind is Kind.MISSING_REFERENCE


def test_storing_again_what_was_moved_aside_heals_the_store(
    ross: RossStore, app: Image, opened: Store
) -> None:
    damage(ross.path(app.layers[0]), b"damaged")
    repaired(opened)
    opened.put_blob(OCI_LAYER_GZIP, app.parts.layers[0])
    assert list(opened.fsck()) == []
    assert opened.get_blob(app.layers[0]) == app.parts.layers[0]
    # What was moved aside stays there, whatever is collected.
    opened.garbage_collect()
    assert b"damaged" in quarantined(ross).values()


def test_the_same_may_be_damaged_twice(ross: RossStore, app: Image, opened: Store) -> None:
    for data in (b"once", b"twice"):
        opened.put_blob(OCI_LAYER_GZIP, app.parts.layers[0])
        damage(ross.path(app.layers[0]), data)
        repaired(opened)
    kept = [path for path in (ross.root / "quarantine").iterdir() if not path.suffix]
    assert sorted(path.read_bytes() for path in kept) == [b"once", b"twice"]


@pytest.mark.parametrize("noun", ["directory", "link", "fifo"])
def test_what_is_no_file_is_moved_aside(ross: RossStore, opened: Store, noun: str) -> None:
    path = ross.path(ABSENT)
    if noun == "directory":
        path.mkdir()
        (path / "inside").write_bytes(b"kept")
    elif noun == "link":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)
    found = only(repaired(opened))
    assert found.moved is not None
    assert os.path.lexists(ross.root / found.moved)
    assert list(opened.fsck()) == []


def test_a_damaged_index_is_moved_from_both_places(store: Store) -> None:
    digest, _ = store.put_index(index([(image_parts().manifest, "linux/amd64")]), OCI_INDEX)
    root = Path(store.paths.root)
    damage(root / "indexes/sha256" / digest.hex, b"damaged")
    findings = repaired(store)
    assert {finding.where for finding in findings} == {
        f"manifests/sha256/{digest.hex}",
        f"indexes/sha256/{digest.hex}",
    }
    assert all(finding.repaired for finding in findings)


def test_a_good_copy_of_an_index_takes_the_place_of_a_damaged_one(
    ross: RossStore, opened: Store
) -> None:
    data = index([(image_parts("absent").manifest, "linux/amd64")])
    digest = ross.put_index(data)
    ross.put_manifest(data, OCI_INDEX)
    damage(ross.path(digest, "manifests"), b"damaged")
    assert [finding.kind for finding in repaired(opened)] == [Kind.DAMAGED, Kind.INDEX_LINK]
    assert list(opened.fsck()) == []
    assert ross.path(digest, "manifests").read_bytes() == data


def test_what_changed_since_it_was_judged_is_left_alone(
    ross: RossStore, app: Image, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ross.path(app.layers[0])
    damage(path, b"damaged")
    sweeping = Access.sweeping

    @contextlib.contextmanager
    def slow(access: Access) -> Iterator[None]:
        path.write_bytes(app.parts.layers[0])
        with sweeping(access):
            yield

    monkeypatch.setattr(Access, "sweeping", slow)
    found = next(iter(opened.fsck(repair=True)))
    assert not found.repaired
    assert found.moved is None
    assert "changed meanwhile" in found.text
    monkeypatch.undo()
    assert list(opened.fsck()) == []


def test_content_that_may_not_be_read_is_not_moved(
    ross: RossStore, app: Image, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(ross.path(app.layers[0]))
    real = os.open

    def refuse(name: str, *rest: int, **more: int) -> int:
        if name == path:
            raise PermissionError(13, "Permission denied", name)
        return real(name, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    found = only(repaired(opened))
    assert found.kind is Kind.DAMAGED
    assert "Permission denied" in found.text
    assert not found.repaired
    monkeypatch.undo()
    assert list(opened.fsck()) == []


# What is derived


@pytest.mark.parametrize("data", [None, b"", b"{", b"\0" * 70_000])
def test_meta_is_made_anew(ross: RossStore, app: Image, opened: Store, data: bytes | None) -> None:
    path = ross.meta_path(app.layers[0])
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert only(repaired(opened)).repaired
    assert json.loads(path.read_bytes())["size"] == len(app.parts.layers[0])
    assert json.loads(path.read_bytes())["media_type"] == OCI_LAYER_GZIP
    assert list(opened.fsck()) == []


def test_what_ross_wrote_into_meta_is_kept(ross: RossStore, app: Image, opened: Store) -> None:
    path = ross.meta_path(app.config)
    known = json.loads(path.read_bytes())
    path.write_bytes(compact({**known, "size": 7, "of_ross": True}))
    assert only(repaired(opened)).repaired
    assert json.loads(path.read_bytes()) == {**known, "of_ross": True}


def test_a_directory_in_place_of_meta_is_moved_aside(
    ross: RossStore, app: Image, opened: Store
) -> None:
    path = ross.meta_path(app.config)
    path.unlink()
    path.mkdir()
    assert only(repaired(opened)).repaired
    assert path.is_file()
    assert list(opened.fsck()) == []


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, os.mkfifo])
def test_meta_without_content_goes(
    ross: RossStore, opened: Store, make: Callable[[Path], None]
) -> None:
    make(ross.meta_path(ABSENT))
    assert only(repaired(opened)).repaired
    assert not os.path.lexists(ross.meta_path(ABSENT))
    assert list(opened.fsck()) == []


def test_a_manifest_says_itself_what_it_is(ross: RossStore, app: Image, opened: Store) -> None:
    path = ross.meta_path(app.manifest, "manifests")
    known = json.loads(path.read_bytes())
    path.write_bytes(compact({**known, "media_type": OCI_INDEX}))
    assert only(repaired(opened)).repaired
    assert json.loads(path.read_bytes()) == known
    assert list(opened.fsck()) == []


def test_an_index_is_linked_where_ross_looks(ross: RossStore, app: Image, opened: Store) -> None:
    digest = ross.put_index(index([(app.parts.manifest, "linux/amd64")]))
    assert only(repaired(opened)).repaired
    assert ross.path(digest, "manifests").samefile(ross.path(digest, "indexes"))
    assert ross.meta_path(digest, "manifests").samefile(ross.meta_path(digest, "indexes"))
    assert list(opened.fsck()) == []


# Tags, incoming/


def test_a_tag_that_cannot_be_read_is_moved_aside(
    ross: RossStore, opened: Store, app: Image
) -> None:
    (ross.root / "tags/library/app/bad").write_bytes(b"{}")
    found = only(repaired(opened))
    assert found.repaired
    assert quarantined(ross) == {"tag-library%app%bad": b"{}"}
    assert [info.tag for info in opened.list_tags("library/app")] == ["v1"]
    assert list(opened.fsck()) == []


def test_a_tag_of_a_long_name_is_moved_aside(ross: RossStore, opened: Store) -> None:
    directory = ross.root / "tags" / "/".join(["r" * 50] * 5)
    directory.mkdir(parents=True)
    (directory / ("t" * 128)).write_bytes(b"")
    assert only(repaired(opened)).repaired
    assert list(opened.fsck()) == []


def test_a_dangling_tag_stays(ross: RossStore, opened: Store) -> None:
    ross.set_tag("library/app", "gone", ABSENT)
    assert not only(repaired(opened)).repaired
    assert only(list(opened.fsck())).kind is Kind.DANGLING_TAG


def test_leftovers_of_the_dead_go_and_what_is_written_stays(opened: Store) -> None:
    with opened.ingest() as ingest, opened.pins.hold(ABSENT):
        ingest.append(b"unfinished")
        dead = [f"{opened.paths.scratch}/dead", f"{opened.paths.pins}/dead"]
        for path in dead:
            Path(path).touch()
        os.symlink("nowhere", f"{opened.paths.scratch}/link")
        findings = repaired(opened)
        assert len(findings) == 3
        assert all(finding.repaired for finding in findings)
        assert os.path.exists(ingest.path)
        assert list(opened.pins.live()) == [ABSENT]
    assert list(opened.fsck()) == []


def test_a_record_that_cannot_be_read_is_moved_aside(ross: RossStore, opened: Store) -> None:
    (ross.root / "incoming/.tmp").mkdir(parents=True)
    (ross.root / "incoming/.tmp/0.commit").write_bytes(b"\xc1")
    assert only(repaired(opened)).repaired
    assert quarantined(ross) == {"record-0.commit": b"\xc1"}
    assert list(opened.fsck()) == []


def test_strange_names_stay(ross: RossStore, opened: Store) -> None:
    (ross.root / "blobs/sha256/README").write_bytes(b"")
    (ross.root / "incoming").mkdir()
    (ross.root / "incoming/bad").symlink_to(f"../blobs/sha256/{ABSENT.hex}")
    before = sorted(map(str, opened.fsck()))
    assert sorted(map(str, repaired(opened))) == before
    assert sorted(map(str, opened.fsck())) == before


# The whole


def test_a_store_that_is_open_for_reading_is_not_repaired(ross: RossStore, app: Image) -> None:
    with Store.open(str(ross.root), read_only=True) as store, pytest.raises(ReadOnlyStore):
        store.fsck(repair=True)


def test_a_repair_of_nothing_writes_nothing(ross: RossStore, opened: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in ross.root.rglob("*")}
    assert repaired(opened) == []
    assert {path: path.stat().st_mtime_ns for path in ross.root.rglob("*")} == before


def test_one_content_is_repaired_alone(ross: RossStore, app: Image, opened: Store) -> None:
    for digest in app.layers:
        damage(ross.path(digest), b"damaged")
    found = only(list(opened.fsck(digest=app.layers[0], repair=True)))
    assert found.repaired
    assert ross.path(app.layers[1]).read_bytes() == b"damaged"
    with pytest.raises(BlobNotFound):
        list(opened.fsck(digest=app.layers[0], repair=True))


def test_what_cannot_be_repaired_is_told_and_the_rest_is_done(
    ross: RossStore, app: Image, opened: Store
) -> None:
    (ross.root / "quarantine").write_bytes(b"in the way")
    damage(ross.path(app.layers[0]), b"damaged")
    ross.meta_path(app.layers[1]).unlink()
    findings = {finding.kind: finding for finding in repaired(opened)}
    assert not findings[Kind.DAMAGED].repaired
    assert "could not be repaired" in findings[Kind.DAMAGED].text
    assert findings[Kind.METADATA].repaired
    assert ross.path(app.layers[0]).read_bytes() == b"damaged"


class Vandal:
    """Damages a store in ways that are chosen by chance."""

    def __init__(self, ross: RossStore, chance: random.Random) -> None:
        self.root = ross.root
        self.chance = chance
        self.wrong: dict[int, bytes] = {}
        """Damaged bytes, which must not be lost again, by inode."""

    def strike(self) -> None:
        """Damage one file."""
        areas = ("blobs", "manifests", "indexes")
        files = [
            path
            for area in areas
            for path in sorted((self.root / area / "sha256").iterdir())
            if path.is_file() and not path.is_symlink()
        ]
        path = self.chance.choice(files)
        if path.suffix:
            self.chance.choice([self.scribble, self.remove, self.make_directory])(path)
        else:
            self.chance.choice([self.overwrite, self.cut, self.remove, self.make_directory])(path)

    def scribble(self, path: Path) -> None:
        path.write_bytes(self.chance.choice([b"", b"{", b"null", b"\xff", b'{"size":1}']))

    def overwrite(self, path: Path) -> None:
        data = bytearray(path.read_bytes() or b"x")
        data[self.chance.randrange(len(data))] ^= 1
        damage(path, bytes(data))
        self.wrong[path.stat().st_ino] = bytes(data)

    def cut(self, path: Path) -> None:
        data = path.read_bytes()[: self.chance.randrange(9)]
        damage(path, data)
        self.wrong[path.stat().st_ino] = data

    def remove(self, path: Path) -> None:
        if path.stat().st_nlink == 1:
            self.wrong.pop(path.stat().st_ino, None)
        path.unlink()

    def make_directory(self, path: Path) -> None:
        self.remove(path)
        path.mkdir()


@pytest.mark.parametrize("seed", range(12))
def test_after_a_repair_only_what_is_missing_is_wrong(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    ross = ross_store(tmp_path)
    with Store.open(str(tmp_path)) as store:
        images = [image(ross, f"ross{number}", tag=f"ross/app:v{number}") for number in range(3)]
        images += [image(store, f"app{number}", tag=f"our/app:v{number}") for number in range(3)]
        listed = index([(each.parts.manifest, "linux/amd64") for each in images])
        store.set_tag("all", "v1", store.put_index(listed, OCI_INDEX)[0])
        ross.put_blob(OCTET_STREAM, b"loose", meta=False)
    whole = {digest_of(listed): listed, digest_of(b"loose"): b"loose"}
    for each in images:
        whole[each.manifest] = each.parts.manifest
        whole |= {digest_of(data): data for _, data in each.parts.blobs()}
    vandal = Vandal(ross, chance)
    for _ in range(chance.randrange(1, 15)):
        vandal.strike()
    right = set(_right(tmp_path, whole))
    with Store.open(str(tmp_path)) as store:
        findings = repaired(store, fast=bool(seed % 2))
        assert findings
        repaired(store)
        left = list(store.fsck())
        assert {finding.kind for finding in left if finding.is_damage} <= INVENTED, left
        assert not any(finding.repaired for finding in repaired(store))
        # What was right is where it was, and is served; no byte that was wrong is lost.
        assert set(_right(tmp_path, whole)) == right
        for digest in right:
            assert store.get_blob(digest) == whole[digest]
        kept = [path.read_bytes() for path in tmp_path.glob("quarantine/**/*") if path.is_file()]
        for data in vandal.wrong.values():
            assert data in kept or digest_of(data) in right
        # Storing the rest again makes all good, blobs before manifests before the index.
        for digest, data in sorted(whole.items(), key=lambda item: _rank(item[1])):
            if digest not in right:
                store.put_blob(None, data)
        assert [finding for finding in store.fsck() if finding.is_damage] == []


def _rank(data: bytes) -> int:
    return data.startswith(b'{"schemaVersion"') + (b'"manifests"' in data)


def _right(root: Path, whole: dict[Digest, bytes]) -> Iterator[Digest]:
    """The digests of *whole* whose bytes are in the store."""
    for digest, data in whole.items():
        for path in root.glob(f"*/sha256/{digest.hex}"):
            if path.is_file() and path.read_bytes() == data:
                yield digest
