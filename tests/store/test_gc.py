import os

import pytest

from rossfs.errors import Damaged, ReadOnlyStore
from rossfs.store.gc import Collected
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    manifest,
)
from tests.store.collecting import files_of, put, stored

EMPTY_CONFIG = b"{}"


# What stays and what goes


def test_what_no_tag_names_goes_with_its_meta(ross: RossStore, opened: Store) -> None:
    kept = image(ross, "kept", tag="library/kept:latest")
    gone = image(ross, "gone")
    loose = ross.put_blob(OCTET_STREAM, b"loose")
    result = opened.garbage_collect()
    assert stored(ross) == files_of(kept.parts)
    assert result.blobs_removed == 4
    assert result.manifests_removed == 1
    removed = [gone.parts.manifest, b"loose", *(data for _, data in gone.parts.blobs())]
    assert result.bytes_freed == sum(map(len, removed))
    assert set(result.digests) == {loose, *map(digest_of, removed)}
    assert len(result.digests) == 5


def test_the_second_time_there_is_nothing(ross: RossStore, opened: Store) -> None:
    image(ross, "gone")
    image(ross, "kept", tag="a:v1")
    opened.garbage_collect()
    assert opened.garbage_collect()[:3] == (0, 0, 0)


def test_an_empty_store_has_nothing_to_collect(opened: Store) -> None:
    result = opened.garbage_collect()
    assert result[:3] == (0, 0, 0)
    assert list(result.digests) == []


def test_a_dry_run_tells_the_same_and_removes_nothing(ross: RossStore, opened: Store) -> None:
    image(ross, "kept", tag="a:v1")
    image(ross, "gone")
    before = stored(ross)
    told = opened.garbage_collect(dry_run=True)
    assert stored(ross) == before
    assert not (ross.root / "lock").exists()
    done = opened.garbage_collect()
    assert told[:3] == done[:3]
    assert set(told.digests) == set(done.digests)


def test_a_dry_run_works_in_a_store_that_is_open_for_reading(ross: RossStore) -> None:
    image(ross, "gone")
    with Store.open(str(ross.root), read_only=True) as store:
        assert store.garbage_collect(dry_run=True).blobs_removed == 3
        with pytest.raises(ReadOnlyStore):
            store.garbage_collect()


def test_an_index_keeps_its_manifests_and_theirs(ross: RossStore, opened: Store) -> None:
    one, other = image_parts("one"), image_parts("other", architecture="arm64")
    put(ross, one, other)
    listed = index([(one.manifest, "linux/amd64"), (other.manifest, "linux/arm64")])
    outer = compact({"schemaVersion": 2, "manifests": [descriptor(listed, OCI_INDEX)]})
    ross.put_index(listed)
    digest = ross.put_index(outer)
    opened.set_tag("a", "v1", digest)
    before = stored(ross)
    opened.garbage_collect()
    assert stored(ross) == before
    opened.delete_tag("a", "v1")
    result = opened.garbage_collect()
    assert result.manifests_removed == 4
    assert stored(ross) == set()


def test_a_list_that_ross_filed_in_manifests_keeps_its_manifests(
    ross: RossStore, opened: Store
) -> None:
    one = image_parts("one", docker=True)
    put(ross, one)
    listed = index([(one.manifest, "linux/amd64")], docker=True)
    ross.set_tag("a", "v1", ross.put_manifest(listed, DOCKER_LIST))
    before = stored(ross)
    assert opened.garbage_collect()[:3] == (0, 0, 0)
    assert stored(ross) == before


def test_an_index_goes_from_both_places_and_is_counted_once(ross: RossStore, opened: Store) -> None:
    listed = index([])
    opened.put_index(listed, OCI_INDEX)
    assert len(stored(ross)) == 4
    result = opened.garbage_collect()
    assert result == Collected(0, 1, len(listed), result.digests)
    assert list(result.digests) == [digest_of(listed)]
    assert stored(ross) == set()


def test_a_manifest_keeps_its_subject(ross: RossStore, opened: Store) -> None:
    base = image_parts("base")
    put(ross, base)
    ross.put_blob(OCI_CONFIG, EMPTY_CONFIG)
    signature = manifest(EMPTY_CONFIG, [], subject=descriptor(base.manifest, OCI_MANIFEST))
    ross.set_tag("a", "sig", ross.put_manifest(signature))
    before = stored(ross)
    opened.garbage_collect()
    assert stored(ross) == before


def test_a_subject_does_not_keep_what_refers_to_it(ross: RossStore, opened: Store) -> None:
    base = image(ross, "base", tag="a:v1").parts
    ross.put_blob(OCI_CONFIG, EMPTY_CONFIG)
    ross.put_manifest(manifest(EMPTY_CONFIG, [], subject=descriptor(base.manifest, OCI_MANIFEST)))
    opened.garbage_collect()
    assert stored(ross) == files_of(base)


def test_an_annotation_keeps_nothing(ross: RossStore, opened: Store) -> None:
    base = image(ross, "base").parts
    child = image_parts("child")
    annotated = manifest(
        child.config,
        child.layers,
        annotations={"org.opencontainers.image.base.digest": str(base.digest)},
    )
    for media_type, data in child.blobs():
        ross.put_blob(media_type, data)
    ross.set_tag("a", "v1", ross.put_manifest(annotated))
    opened.garbage_collect()
    assert f"manifests/{base.digest.hex}" not in stored(ross)


def test_shared_layers_stay_as_long_as_one_image_needs_them(ross: RossStore, opened: Store) -> None:
    parts = image_parts("app")
    shared = manifest(parts.config, parts.layers, annotations={"second": "true"})
    put(ross, parts)
    ross.set_tag("a", "v2", ross.put_manifest(shared))
    result = opened.garbage_collect()
    assert (result.blobs_removed, result.manifests_removed) == (0, 1)


def test_a_document_of_an_unknown_kind_keeps_whatever_it_mentions(
    ross: RossStore, opened: Store
) -> None:
    layer = ross.put_blob(OCI_LAYER_GZIP, b"layer of schema 1")
    other = ross.put_blob(OCI_LAYER_GZIP, b"other")
    old = compact({"schemaVersion": 1, "fsLayers": [{"blobSum": str(layer)}], "history": []})
    media_type = "application/vnd.docker.distribution.manifest.v1+json"
    ross.set_tag("a", "old", ross.put_manifest(old, media_type))
    opened.garbage_collect()
    assert f"blobs/{layer.hex}" in stored(ross)
    assert f"blobs/{other.hex}" not in stored(ross)


def test_a_manifest_that_lies_among_the_blobs_is_followed_from_an_index(
    ross: RossStore, opened: Store
) -> None:
    parts = image_parts("app")
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    ross.put_blob(OCI_MANIFEST, parts.manifest)
    ross.set_tag("a", "v1", ross.put_index(index([(parts.manifest, "linux/amd64")])))
    before = stored(ross)
    opened.garbage_collect()
    assert stored(ross) == before


def test_untagged_manifests_stay_if_asked_with_all_they_need(
    ross: RossStore, opened: Store
) -> None:
    image(ross, "tagged", tag="a:v1")
    image(ross, "untagged")
    before = stored(ross)
    ross.put_blob(OCTET_STREAM, b"loose")
    result = opened.garbage_collect(delete_untagged=False)
    assert (result.blobs_removed, result.manifests_removed) == (1, 0)
    assert stored(ross) == before


@pytest.mark.damages_store
def test_a_tag_whose_manifest_is_missing_stops_nothing(ross: RossStore, opened: Store) -> None:
    ross.set_tag("a", "dangling", digest_of(b"missing"))
    image(ross, "gone")
    assert opened.garbage_collect().manifests_removed == 1


def test_content_of_sha512_is_collected_too(ross: RossStore, opened: Store) -> None:
    kept = digest_of(b"kept", "sha512")
    gone = digest_of(b"gone", "sha512")
    for digest, data in ((kept, b"kept"), (gone, b"gone")):
        opened.put_blob(OCTET_STREAM, data, digest)
    document = manifest(EMPTY_CONFIG, []).replace(
        str(digest_of(EMPTY_CONFIG)).encode(), str(kept).encode()
    )
    opened.set_tag("a", "v1", opened.put_manifest(document, OCI_MANIFEST)[0])
    result = opened.garbage_collect()
    assert list(result.digests) == [gone]
    assert opened.get_blob(kept) == b"kept"


# The grace period


def test_young_content_stays_for_the_grace_period(ross: RossStore, opened: Store) -> None:
    young, _ = opened.put_blob(OCTET_STREAM, b"young")
    old = ross.put_blob(OCTET_STREAM, b"old")
    assert list(opened.garbage_collect(grace=3600).digests) == [old]
    assert list(opened.garbage_collect().digests) == [young]


def test_a_young_manifest_keeps_old_layers(ross: RossStore, opened: Store) -> None:
    """It is about to be tagged, by somebody who found the layers here already."""
    parts = image_parts("app")
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    opened.put_manifest(parts.manifest, parts.media_type)
    assert opened.garbage_collect(grace=3600)[:3] == (0, 0, 0)


def test_committing_again_makes_young(ross: RossStore, opened: Store) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"again")
    assert opened.garbage_collect(dry_run=True, grace=3600).blobs_removed == 1
    assert opened.put_blob(OCTET_STREAM, b"again") == (digest, 5)
    assert opened.garbage_collect(grace=3600).blobs_removed == 0


# What cannot be read


def test_a_damaged_manifest_that_is_tagged_stops_it_before_anything_is_removed(
    ross: RossStore, opened: Store
) -> None:
    parts = image(ross, "app", tag="library/app:v1").parts
    image(ross, "gone")
    ross.path(parts.digest, "manifests").write_bytes(parts.manifest[:-1])
    before = stored(ross)
    with pytest.raises(Damaged, match=f"tag library/app/v1.*{parts.digest}"):
        opened.garbage_collect()
    assert stored(ross) == before
    opened.delete_tag("library/app", "v1")
    opened.garbage_collect()
    assert stored(ross) == set()


def test_a_damaged_untagged_manifest_stops_it_only_if_it_is_to_stay(
    ross: RossStore, opened: Store
) -> None:
    parts = image(ross, "app").parts
    ross.path(parts.digest, "manifests").write_bytes(b"")
    before = stored(ross)
    with pytest.raises(Damaged, match=parts.digest.hex):
        opened.garbage_collect(delete_untagged=False)
    assert stored(ross) == before
    assert opened.garbage_collect().manifests_removed == 1


@pytest.mark.damages_store
def test_a_damaged_tag_stops_it_before_anything_is_removed(ross: RossStore, opened: Store) -> None:
    image(ross, "app", tag="library/app:v1")
    (ross.root / "tags/library/app/v1").write_bytes(b"{")
    before = stored(ross)
    with pytest.raises(Damaged, match="library/app/v1"):
        opened.garbage_collect()
    assert stored(ross) == before


# Leftovers


def test_meta_without_content_goes(ross: RossStore, opened: Store) -> None:
    kept = image(ross, "kept", tag="a:v1").parts
    for area in ("blobs", "manifests", "indexes"):
        ross.meta_path(digest_of(b"absent"), area).write_bytes(b"{}")
    result = opened.garbage_collect()
    assert result[:3] == (0, 0, 0)
    assert stored(ross) == files_of(kept)


def test_temporary_files_that_nobody_holds_go(ross: RossStore, opened: Store) -> None:
    scratch = ross.root / "incoming/.tmp"
    with opened.ingest() as ingest:
        ingest.append(b"unfinished")
        (scratch / "left").write_bytes(b"behind")
        opened.garbage_collect()
        assert [os.fspath(path) for path in scratch.iterdir()] == [ingest.path]
        digest = ingest.commit().digest
    assert opened.get_blob(digest) == b"unfinished"


@pytest.mark.damages_store
def test_what_is_no_content_is_left_alone(ross: RossStore, opened: Store) -> None:
    strays = {"blobs/sha256/README", "blobs/sha256/abc.meta", f"blobs/sha256/{'a' * 64}.tmp"}
    for stray in strays:
        (ross.root / stray).write_bytes(b"stray")
    (ross.root / "blobs/sha256" / ("b" * 64)).mkdir()
    (ross.root / "quarantine").mkdir()
    (ross.root / "quarantine/kept").write_bytes(b"damaged")
    opened.garbage_collect()
    assert all((ross.root / stray).exists() for stray in strays)
    assert (ross.root / "blobs/sha256" / ("b" * 64)).is_dir()
    assert (ross.root / "quarantine/kept").exists()
