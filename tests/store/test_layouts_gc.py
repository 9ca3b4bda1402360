"""What collection and check make of layouts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.store import layoutrecord, settings
from rossfs.store.finding import Kind, Severity
from rossfs.store.layouts import Layouts
from rossfs.store.settings import Settings
from rossfs.store.store import Store
from tests.builders import OCI_LAYER_GZIP, OCTET_STREAM, Image, descriptor, digest_of, image
from tests.store.layoutwriting import entry, names, read, write

APP = "library/app"


@pytest.fixture
def layouts(store: Store) -> Layouts:
    return store.layouts


@pytest.fixture
def one(store: Store) -> Image:
    return image(store, "one", tag=f"{APP}:v1")


@pytest.fixture
def two(store: Store) -> Image:
    return image(store, "two")


def age(store: Store, repository: str = APP) -> None:
    """Make the marks of a layout older than pins count."""
    old = time.time() - Settings().pin_age - 60
    for mark in Path(store.paths.layout(repository)).glob(".*/*"):
        os.utime(mark, (old, old))


def recorded(store: Store) -> list[str]:
    record = layoutrecord.read(store.paths, APP)
    assert record is not None
    return names(record.document)


# Collection


def test_a_manifest_without_a_name_is_collected_and_leaves_the_index(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    write(layouts, APP, entry(two.parts), entry(one.parts, "v1"), x=1)
    assert [*store.garbage_collect(delete_untagged=False).digests] == []
    assert [*store.garbage_collect(grace=3600).digests] == []
    assert store.garbage_collect(dry_run=True).manifests_removed == 1
    assert names(read(layouts, APP)) == ["", "v1"]
    assert store.garbage_collect().manifests_removed == 1
    assert read(layouts, APP) == {
        "schemaVersion": 2,
        "manifests": [entry(one.parts, "v1")],
        "x": 1,
    }
    # It does not come back when the content does.
    image(store, "two")
    assert recorded(store) == names(read(layouts, APP)) == ["v1"]


def test_a_blob_without_a_name_stays_with_untagged_manifests(
    store: Store, layouts: Layouts
) -> None:
    store.put_blob(OCI_LAYER_GZIP, b"layer")
    write(layouts, APP, descriptor(b"layer", OCI_LAYER_GZIP))
    assert [*store.garbage_collect(delete_untagged=False).digests] == []
    assert store.garbage_collect().blobs_removed == 1
    assert read(layouts, APP)["manifests"] == []


def test_what_only_the_layout_names_stays(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    three = image(store, "three")
    write(
        layouts,
        APP,
        entry(one.parts, "v1"),
        entry(two.parts, "v1", platform={"os": "linux", "architecture": "arm64"}),
        entry(three.parts, "with/a:tag"),
    )
    assert [*store.garbage_collect().digests] == []
    store.delete_tag(APP, "v1")
    assert store.garbage_collect().manifests_removed == 2
    assert names(read(layouts, APP)) == ["with/a:tag"]
    write(layouts, APP)
    assert store.garbage_collect().manifests_removed == 1


def test_what_was_put_stays_for_as_long_as_a_pin(store: Store, layouts: Layouts) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"put")
    layouts.put(APP, digest)
    assert [*store.garbage_collect().digests] == []
    age(store)
    assert [*store.garbage_collect(pin_age=10 * Settings().pin_age).digests] == []
    layouts.put(APP, digest)
    assert [*store.garbage_collect().digests] == []
    age(store)
    assert [*store.garbage_collect().digests] == [digest]
    assert os.listdir(f"{store.paths.layout(APP)}/.put") == []


def test_pins_count_as_the_settings_of_the_store_say(store: Store, layouts: Layouts) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"put")
    layouts.put(APP, digest)
    settings.write(store.access, Settings(pin_age=0.0))
    assert [*store.garbage_collect().digests] == [digest]


def test_a_put_manifest_keeps_what_it_needs(store: Store, layouts: Layouts, two: Image) -> None:
    layouts.put(APP, two.manifest)
    assert [*store.garbage_collect().digests] == []


def test_what_is_put_before_it_is_stored_is_not_forgotten(store: Store, layouts: Layouts) -> None:
    layouts.put(APP, digest_of(b"put"))
    store.garbage_collect()
    digest, _ = store.put_blob(OCTET_STREAM, b"put")
    assert [*store.garbage_collect().digests] == []
    assert list(layouts.listing(APP) if layouts.is_layout(APP) else [digest]) == [digest]


def test_what_was_dropped_goes(store: Store, layouts: Layouts, one: Image) -> None:
    digest, _ = store.put_blob(OCTET_STREAM, b"put")
    layouts.put(APP, digest)
    layouts.drop(APP, digest)
    layouts.drop(APP, one.config)
    assert [*store.garbage_collect().digests] == [digest]
    age(store)
    assert [*store.garbage_collect().digests] == []
    # That of what is still here stays.
    assert os.listdir(f"{store.paths.layout(APP)}/.dropped") == [f"sha256-{one.config.hex}"]
    assert one.config not in set(layouts.listing(APP))


@pytest.mark.damages_store
def test_nothing_is_collected_while_a_record_cannot_be_read(
    store: Store, layouts: Layouts, one: Image, two: Image
) -> None:
    write(layouts, APP, entry(two.parts, "a/b"))
    Path(store.paths.layout(APP), ".layout").write_bytes(b"damaged")
    for dry_run in (True, False):
        with pytest.raises(Damaged, match=r"\.layout"):
            store.garbage_collect(dry_run=dry_run)
    assert store.get_manifest(two.manifest)


# Check and repair


@pytest.mark.expects_warnings
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01\x02\x03",
        b"\x81\xa7version\x01",
        b"\x83\xa7version\x02\xa5index\xc4\x02{}\xa6before\xc4\x02[]",
        b"\x83\xa7version\x01\xa5index\xc4\x02[]\xa6before\xc4\x02[]",
        b"\x83\xa7version\x01\xa5index\xa2{}\xa6before\xc4\x02[]",
        b"\x83\xa7version\x01\xa5index\xc4\x02{}\xa6before\xc4\x03[1]",
        None,
    ],
)
def test_a_record_that_cannot_be_read_is_moved_aside(
    store: Store, layouts: Layouts, one: Image, data: bytes | None
) -> None:
    write(layouts, APP, entry(one.parts, "v1"), x=1)
    path = Path(store.paths.layout(APP), ".layout")
    path.unlink()
    if data is None:
        path.symlink_to("/etc/passwd")
    else:
        path.write_bytes(data)
    [finding] = store.fsck()
    assert (finding.kind, finding.severity) == (Kind.LAYOUT, Severity.DAMAGE)
    assert finding.where == f"layouts/{APP}/.layout"
    # The tags are all that is left, and they are shown.
    assert names(read(layouts, APP)) == ["v1"]
    [finding] = store.fsck(repair=True)
    assert finding.repaired
    assert finding.moved is not None
    assert finding.moved.startswith("quarantine/layout-library%app-")
    assert list(store.fsck()) == []
    assert names(read(layouts, APP)) == ["v1"]


@pytest.mark.expects_warnings
def test_writing_moves_a_bad_record_aside(store: Store, layouts: Layouts, one: Image) -> None:
    write(layouts, APP, entry(one.parts, "v1"), x=1)
    Path(store.paths.layout(APP), ".layout").write_bytes(b"damaged")
    write(layouts, APP, entry(one.parts, "v1"), x=2)
    assert read(layouts, APP)["x"] == 2
    [moved] = Path(store.paths.quarantine).iterdir()
    assert moved.read_bytes() == b"damaged"


def test_a_name_of_what_is_not_stored_is_damage(store: Store, layouts: Layouts, two: Image) -> None:
    write(layouts, APP, entry(two.parts, "a/b"))
    store.delete_manifest(two.manifest)
    [finding] = store.fsck()
    assert (finding.kind, finding.severity) == (Kind.LAYOUT, Severity.DAMAGE)
    assert str(two.manifest) in finding.text
    image(store, "two")
    assert names(read(layouts, APP)) == ["a/b"]


def test_old_marks_of_what_is_gone_are_removed(store: Store, layouts: Layouts) -> None:
    def put() -> Digest:
        digest, _ = store.put_blob(OCTET_STREAM, b"put")
        layouts.put(APP, digest)
        return digest

    digest = put()
    assert store.delete_blob(digest)
    assert list(store.fsck()) == []
    age(store)
    [finding] = store.fsck()
    assert (finding.kind, finding.severity) == (Kind.LEFTOVER, Severity.NOTE)
    assert [each.repaired for each in store.fsck(repair=True)] == [True]
    digest = put()
    store.delete_blob(digest)
    age(store)
    store.garbage_collect()
    assert list(store.fsck()) == []


@pytest.mark.damages_store
def test_strays_are_noted(store: Store, layouts: Layouts, one: Image) -> None:
    layouts.create("lab/new")
    layouts.put("lab/new", one.config)
    root = Path(store.paths.layouts)
    (root / "file").touch()
    (root / "UPPER").mkdir()
    (root / "lab/.other").mkdir()
    (root / "lab/new/.put/x").touch()
    (root / "lab/link").symlink_to("new")
    assert {finding.where: finding.kind for finding in store.fsck()} == dict.fromkeys(
        [
            "layouts/file",
            "layouts/UPPER",
            "layouts/lab/.other",
            "layouts/lab/new/.put/x",
            "layouts/lab/link",
        ],
        Kind.STRAY,
    )
    assert sorted(layouts.directories("lab")) == ["new"]
    assert sorted(layouts.directories()) == ["lab", "library"]
    assert list(layouts.listing("lab/new")) == [one.config]
