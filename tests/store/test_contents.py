import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged, InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.store.access import Access
from rossfs.store.content import Content, Unproven
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from tests.builders import (
    CREATED,
    DOCKER_LIST,
    OCI_LAYER_GZIP,
    OCTET_STREAM,
    RossStore,
    digest_of,
    image,
    image_parts,
    index,
    layer,
)

LAYER = layer({"file": b"content"})


def found(content: Content | None) -> Content:
    assert content is not None
    return content


# Finding


def test_what_ross_stored_is_found(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCI_LAYER_GZIP, LAYER)
    content = found(contents.find(digest))
    assert content.area is Area.BLOBS
    assert content.media_type == OCI_LAYER_GZIP
    assert content.size == len(LAYER)
    assert content.created_at == content.accessed_at == CREATED
    assert not content.proven


def test_what_is_not_stored_is_not_found(contents: Contents) -> None:
    for algorithm in ("sha256", "sha512"):
        assert contents.find(digest_of(b"other", algorithm)) is None
        assert contents.settle(digest_of(b"other", algorithm)) is None
    blake3 = Digest("blake3", "0" * 64)
    assert contents.find(blake3) is None
    assert contents.settle(blake3) is None
    assert contents.find_in(Area.BLOBS, blake3) is None
    assert contents.glance(blake3) is None


def test_each_area_has_its_own(ross: RossStore, contents: Contents) -> None:
    blob = ross.put_blob(OCTET_STREAM, b"blob")
    manifest = ross.put_manifest(image_parts().manifest)
    listed = ross.put_index(index([]))
    for digest, own in ((blob, Area.BLOBS), (manifest, Area.MANIFESTS), (listed, Area.INDEXES)):
        assert found(contents.find(digest)).area is own
        assert [area for area in Area if contents.find_in(area, digest)] == [own]
        assert list(contents.digests(own)) == [digest]
    assert set(contents.everything()) == {blob, manifest, listed}


def test_a_list_that_ross_filed_as_manifest_counts_as_index(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_manifest(index([], docker=True), DOCKER_LIST)
    assert found(contents.find(digest)).area is Area.INDEXES
    assert found(contents.find_in(Area.INDEXES, digest)).path == str(ross.path(digest, "manifests"))
    assert contents.find_in(Area.MANIFESTS, digest) is None
    assert list(contents.digests(Area.INDEXES)) == [digest]
    assert list(contents.digests(Area.MANIFESTS)) == []


def test_an_index_that_is_linked_in_manifests_is_one_index(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_index(index([]))
    os.link(ross.path(digest, "indexes"), ross.path(digest, "manifests"))
    os.link(ross.meta_path(digest, "indexes"), ross.meta_path(digest, "manifests"))
    assert list(contents.digests(Area.INDEXES)) == [digest]
    assert list(contents.digests(Area.MANIFESTS)) == []
    assert list(contents.everything()) == [digest]


def test_a_list_without_meta_is_listed_as_an_index(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_manifest(index([]), meta=False)
    assert list(contents.digests(Area.MANIFESTS)) == []
    assert list(contents.digests(Area.INDEXES)) == [digest]


def test_sha512_content_is_found_and_listed(ross: RossStore, contents: Contents) -> None:
    digest = digest_of(b"long", "sha512")
    path = ross.path(digest)
    path.parent.mkdir()
    path.write_bytes(b"long")
    assert found(contents.settle(digest)).digest == digest
    assert list(contents.digests(Area.BLOBS)) == [digest]


def test_names_that_are_no_digests_are_not_listed(ross: RossStore, contents: Contents) -> None:
    directory = ross.root / "blobs" / "sha256"
    for name in ("README", "0" * 63, "G" * 64, f"{'0' * 64}.meta", f"{'0' * 64}.tmp", "A" * 64):
        (directory / name).touch()
    assert list(contents.digests(Area.BLOBS)) == []


def test_a_store_without_directories_is_empty(tmp_path: Path) -> None:
    (tmp_path / "tags").mkdir()
    contents = Contents(Access.open(str(tmp_path)))
    assert [list(contents.digests(area)) for area in Area] == [[], [], []]
    assert list(contents.everything()) == []


PUT_IN_PLACE: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "directory": os.mkdir,
    "symlink": lambda path: path.symlink_to("/etc/passwd"),
    "dangling symlink": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("make", PUT_IN_PLACE.values(), ids=PUT_IN_PLACE.keys())
def test_what_is_no_file_is_no_content(
    ross: RossStore, contents: Contents, make: Callable[[Path], None]
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob")
    ross.path(digest).unlink()
    make(ross.path(digest))
    assert contents.find(digest) is None
    assert contents.settle(digest) is None
    assert contents.glance(digest) is None
    assert list(contents.digests(Area.BLOBS)) == []


# Glancing


def test_a_glance_sees_the_file(ross: RossStore, contents: Contents) -> None:
    stored = image(ross)
    for digest, area in ((stored.layers[0], "blobs"), (stored.manifest, "manifests")):
        assert contents.glance(digest) == ross.path(digest, area).lstat()


def test_a_glance_does_not_believe_in_content_without_meta(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob", meta=False)
    with pytest.raises(Unproven):
        contents.glance(digest)
    contents.settle(digest)
    assert contents.glance(digest) is not None


# Reading


def test_a_document_is_read(ross: RossStore, contents: Contents) -> None:
    data = image_parts().manifest
    digest = ross.put_manifest(data)
    assert contents.read_document(found(contents.find(digest))) == data


def test_a_damaged_document_is_never_returned(ross: RossStore, contents: Contents) -> None:
    data = image_parts().manifest
    digest = ross.put_manifest(data)
    content = found(contents.find(digest))
    path = ross.path(digest, "manifests")
    status = path.stat()
    path.write_bytes(data.replace(b"2", b"3", 1))
    # Not even when the times say that nothing happened.
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(Damaged, match=str(digest)):
        contents.read_document(content)
    assert found(contents.settle(digest)).digest == digest


def test_a_document_over_4_mib_is_refused(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_manifest(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(InvalidDocument, match="too long"):
        contents.read_document(found(contents.find(digest)))


def test_content_that_went_away_is_told(ross: RossStore, contents: Contents) -> None:
    content = found(contents.find(ross.put_blob(OCTET_STREAM, b"blob")))
    ross.path(content.digest).unlink()
    for use in (contents.open, contents.read_document, contents.verifier.check):
        with pytest.raises(BlobNotFound):
            use(content)


def test_a_file_changed_between_finding_and_opening_is_hashed(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"right")
    content = found(contents.find(digest))
    contents.verifier.check(content)
    ross.path(digest).write_bytes(b"wrong")
    with pytest.raises(Damaged):
        contents.open(content)
    ross.path(digest).write_bytes(b"right")
    fd = contents.open(content)
    try:
        assert os.read(fd, 10) == b"right"
    finally:
        os.close(fd)


# Access time and removal


def test_the_access_time_is_brought_up_to_date_once_a_day(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob")
    before = int(time.time())
    contents.note_access(found(contents.find(digest)))
    noted = found(contents.find(digest)).accessed_at
    assert noted >= before
    written = ross.meta_path(digest).stat()
    contents.note_access(found(contents.find(digest)))
    assert ross.meta_path(digest).stat() == written
    assert json.loads(ross.meta_path(digest).read_bytes())["created_at"] == CREATED


def test_the_access_time_stays_in_a_read_only_store(ross: RossStore, read_only: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob")
    before = ross.meta_path(digest).read_bytes()
    read_only.note_access(found(read_only.find(digest)))
    assert ross.meta_path(digest).read_bytes() == before


def test_the_access_time_of_what_is_gone_is_not_written(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob")
    content = found(contents.find(digest))
    with contents.access.writing():
        contents.remove(Area.BLOBS, digest)
    contents.note_access(content)
    assert not ross.meta_path(digest).exists()


def test_an_index_is_removed_from_both_directories(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_index(index([]))
    os.link(ross.path(digest, "indexes"), ross.path(digest, "manifests"))
    os.link(ross.meta_path(digest, "indexes"), ross.meta_path(digest, "manifests"))
    with contents.access.writing():
        assert contents.remove(Area.INDEXES, digest) == len(index([]))
        assert contents.remove(Area.INDEXES, digest) is None
    assert not [path for path in ross.root.glob("*s/*/*") if path.is_file()]


def test_a_directory_in_place_of_content_is_not_removed(
    ross: RossStore, contents: Contents
) -> None:
    digest = digest_of(b"blob")
    ross.path(digest).mkdir()
    with contents.access.writing():
        assert contents.remove(Area.BLOBS, digest) is None
    assert ross.path(digest).is_dir()


def test_no_descriptor_is_left_open(ross: RossStore, contents: Contents) -> None:
    stored = image(ross)
    bad = ross.put_blob(OCTET_STREAM, b"bad")
    ross.path(bad).write_bytes(b"baD")
    before = len(os.listdir("/proc/self/fd"))
    for digest in (*stored.layers, bad, stored.manifest):
        content = found(contents.settle(digest))
        with contextlib.suppress(Damaged):
            contents.verifier.check(content)
        contents.read_document(content) if content.area is Area.MANIFESTS else None
    list(contents.digests(Area.INDEXES))
    assert len(os.listdir("/proc/self/fd")) == before
