import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import Damaged, ReadOnlyStore, Referenced
from rossfs.oci.digest import Digest
from rossfs.store import durable, fsck, usefaults, uses
from rossfs.store.store import Store
from rossfs.store.tags import Tags
from rossfs.store.uses import Use
from tests.builders import (
    OCI_CONFIG,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    digest_of,
    image,
    manifest,
)

TOC = digest_of(b"a table of contents")
LONG = digest_of(b"long", "sha512")


@pytest.fixture
def layer(ross: RossStore) -> Digest:
    return ross.put_blob(OCTET_STREAM, b"a layer")


def test_uses_are_counted_and_the_last_release_forgets_them(opened: Store, layer: Digest) -> None:
    assert opened.uses.begin(layer, layer) == 1
    assert opened.uses.begin(layer, layer) == 2
    assert opened.uses.get(layer) == Use(2, layer)
    assert opened.uses.end(layer) == 1
    assert opened.uses.is_used(layer)
    assert opened.uses.end(layer) == 0
    assert opened.uses.get(layer) is None
    assert list(opened.uses.asked()) == []
    assert not opened.uses.is_used(layer)


def test_what_was_not_in_use_is_released_all_the_same(opened: Store, layer: Digest) -> None:
    assert opened.uses.end(layer) == 0
    assert opened.uses.end(LONG) == 0


def test_what_is_in_use_stays_when_the_store_is_opened_anew(
    ross: RossStore, opened: Store, layer: Digest
) -> None:
    other = ross.put_blob(OCTET_STREAM, b"nobody's")
    opened.uses.begin(TOC, layer)
    with Store.open(str(ross.root)) as again:
        assert again.uses.get(TOC) == Use(1, layer)
        assert list(again.garbage_collect().digests) == [other]
        again.uses.end(TOC)
        assert list(again.garbage_collect().digests) == [layer]


def test_a_use_that_begins_amid_a_collection_counts(
    opened: Store, layer: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = opened.tags.roots

    def roots() -> Iterator[tuple[str, Digest]]:
        # Holds, pins and uses were looked at before.
        opened.uses.begin(layer, layer)
        return mark()

    monkeypatch.setattr(Tags, "roots", lambda _: roots())
    assert opened.garbage_collect().blobs_removed == 0


def test_a_layer_in_use_cannot_be_removed_by_hand(opened: Store, layer: Digest) -> None:
    opened.uses.begin(TOC, layer)
    with pytest.raises(Referenced, match="podman"):
        opened.references.remove_unreferenced(layer)
    opened.uses.end(TOC)
    assert opened.references.remove_unreferenced(layer)


def test_a_store_that_is_read_only_counts_nothing(ross: RossStore, layer: Digest) -> None:
    with Store.open(str(ross.root), read_only=True) as store:
        with pytest.raises(ReadOnlyStore):
            store.uses.begin(layer, layer)
        with pytest.raises(ReadOnlyStore):
            store.uses.end(layer)
    assert not os.path.exists(ross.root / "uses")


def test_many_at_once_lose_no_count(opened: Store, layer: Digest) -> None:
    def work() -> None:
        for _ in range(10):
            opened.uses.begin(layer, layer)
            opened.uses.begin(layer, layer)
            opened.uses.end(layer)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.uses.get(layer) == Use(40, layer)


RECORDS = [b"", b"\xc1", b"\x01", b"\x94\x02\x01\xa6sha256\xc4\x01x", b"x" * 1000]


def record(ross: RossStore, asked: Digest, data: bytes) -> Path:
    path = ross.root / "uses" / asked.algorithm / asked.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.damages_store
@pytest.mark.parametrize("data", RECORDS)
def test_a_damaged_record_keeps_what_it_is_named_after(
    ross: RossStore, opened: Store, layer: Digest, data: bytes
) -> None:
    path = record(ross, layer, data)
    assert opened.garbage_collect().blobs_removed == 0
    with pytest.raises(Damaged, match=layer.hex):
        opened.uses.end(layer)
    (found,) = [found for found in opened.fsck() if found.is_damage]
    assert found.where == f"uses/sha256/{layer.hex}"
    assert "unknown" in found.text
    assert path.exists()


@pytest.mark.damages_store
def test_nothing_is_collected_while_it_is_unknown_what_is_in_use(
    ross: RossStore, opened: Store, layer: Digest
) -> None:
    path = record(ross, TOC, b"damaged")
    with pytest.raises(Damaged, match=str(path)):
        opened.garbage_collect()
    path.unlink()
    assert opened.garbage_collect().blobs_removed == 1


@pytest.mark.damages_store
@pytest.mark.parametrize("data", RECORDS)
def test_a_repair_keeps_what_a_damaged_record_is_named_after(
    ross: RossStore, opened: Store, layer: Digest, data: bytes
) -> None:
    record(ross, layer, data)
    (mended,) = [found for found in opened.fsck(repair=True) if found.is_damage]
    assert mended.repaired
    assert [found for found in opened.fsck() if found.is_damage] == []
    assert opened.uses.get(layer) == Use(uses.UNKNOWN, layer)
    # Nobody knows how often it is to be released.
    assert opened.uses.begin(layer, layer) == uses.UNKNOWN
    assert opened.uses.end(layer) == uses.UNKNOWN
    assert opened.garbage_collect().blobs_removed == 0


def table_of(ross: RossStore, layer: Digest, tag: str) -> None:
    """A manifest that says that *layer* has the table TOC."""
    config = ross.put_blob(OCI_CONFIG, b"{}")
    described = json.loads(manifest(b"{}", [b"a layer"]))
    described["layers"][0] |= {"digest": str(layer), "annotations": {"some.toc": str(TOC)}}
    assert described["config"]["digest"] == str(config)
    data = json.dumps(described).encode()
    ross.set_tag("app", tag, ross.put_manifest(data, OCI_MANIFEST))


@pytest.mark.damages_store
def test_a_repair_finds_the_layer_by_its_table(
    ross: RossStore, opened: Store, layer: Digest
) -> None:
    record(ross, TOC, b"damaged")
    table_of(ross, layer, "1")
    table_of(ross, digest_of(b"not stored"), "2")
    (mended,) = [found for found in opened.fsck(repair=True) if found.where.startswith("uses")]
    assert mended.repaired
    assert str(layer) in mended.text
    assert opened.uses.get(TOC) == Use(uses.UNKNOWN, layer)


@pytest.mark.damages_store
def test_a_repair_does_not_guess_which_layer_it_is(
    ross: RossStore, opened: Store, layer: Digest
) -> None:
    other = ross.put_blob(OCTET_STREAM, b"another layer")
    path = record(ross, TOC, b"damaged")
    for number, one in enumerate((layer, other)):
        table_of(ross, one, str(number))
    (found,) = [found for found in opened.fsck(repair=True) if found.where.startswith("uses")]
    assert not found.repaired
    assert str(layer) in found.text
    assert str(other) in found.text
    assert path.exists()


@pytest.mark.damages_store
def test_a_repair_moves_a_record_aside_that_keeps_nothing(
    ross: RossStore, opened: Store, layer: Digest
) -> None:
    path = record(ross, TOC, b"damaged")
    (mended,) = [found for found in opened.fsck(repair=True) if found.is_damage]
    assert mended.repaired
    assert mended.moved is not None
    assert (ross.root / mended.moved).read_bytes() == b"damaged"
    assert not path.exists()
    assert [found for found in opened.fsck() if found.is_damage] == []
    assert opened.garbage_collect().blobs_removed == 1


@pytest.mark.damages_store
def test_a_record_that_can_be_read_again_is_not_repaired(
    ross: RossStore, opened: Store, layer: Digest
) -> None:
    path = record(ross, layer, b"damaged")
    (fault,) = [fault for fault in fsck.faults(opened) if fault.finding.is_damage]
    path.unlink()
    opened.uses.begin(layer, layer)
    assert not usefaults.keep_used(opened.access, fault).repaired
    assert opened.uses.get(layer) == Use(1, layer)


@pytest.mark.damages_store
def test_fsck_tells_of_a_layer_in_use_that_is_gone(opened: Store, layer: Digest) -> None:
    opened.uses.begin(TOC, layer)
    assert [found for found in opened.fsck() if found.is_damage] == []
    assert opened.delete_blob(layer)
    (found,) = [found for found in opened.fsck() if found.is_damage]
    assert str(layer) in found.text
    assert opened.uses.get(TOC) == Use(1, layer)
    (mended,) = [found for found in opened.fsck(repair=True) if found.is_damage]
    assert not mended.repaired


def test_what_a_tag_needs_is_kept_with_and_without_uses(ross: RossStore, opened: Store) -> None:
    parts = image(ross, "app", tag="app:1").parts
    (_, data), *_ = parts.blobs()
    digest = digest_of(data)
    opened.uses.begin(digest, digest)
    assert opened.garbage_collect().blobs_removed == 0
    opened.uses.end(digest)
    assert opened.garbage_collect().blobs_removed == 0


def test_every_step_is_one_that_a_crash_may_end(opened: Store, layer: Digest) -> None:
    opened.uses.begin(layer, layer)
    opened.uses.end(layer)
    seen: list[str] = []
    durable.reached = seen.append
    try:
        opened.uses.begin(layer, layer)
        opened.uses.end(layer)
    finally:
        durable.reached = None
    assert seen == [
        *("use: written", "use: synced", "use: renamed", "use: directory synced"),
        *("use: removed", "use: directory synced"),
    ]
    assert uses.read(opened.paths, layer) is None
