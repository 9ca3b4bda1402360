"""Content without a usable .meta: it exists once its bytes hash to its name."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.errors import Damaged
from rossfs.store.content import Content, Unproven
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from tests.builders import (
    CREATED,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    compact,
    digest_of,
    image_parts,
    index,
    layer,
)

LAYER = layer({"file": b"content"})


def found(content: Content | None) -> Content:
    assert content is not None
    return content


BREAK: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": Path.touch,
    "not json": lambda path: path.write_bytes(b"\xff{"),
    "deep": lambda path: path.write_bytes(b"[" * 60000),
    "long": lambda path: path.write_bytes(b" " * 100000),
    "fifo": os.mkfifo,
    "symlink": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("break_meta", BREAK.values(), ids=BREAK.keys())
def test_an_unusable_meta_is_rebuilt_from_bytes_that_are_right(
    ross: RossStore, contents: Contents, break_meta: Callable[[Path], object]
) -> None:
    digest = ross.put_blob(OCI_LAYER_GZIP, LAYER, meta=False)
    break_meta(ross.meta_path(digest))
    with pytest.raises(Unproven):
        contents.find(digest)
    content = found(contents.settle(digest))
    assert content.media_type == OCI_LAYER_GZIP
    assert content.created_at == CREATED
    assert content == contents.find(digest)
    assert json.loads(ross.meta_path(digest).read_bytes()) == {
        "media_type": OCI_LAYER_GZIP,
        "size": len(LAYER),
        "created_at": CREATED,
        "accessed_at": CREATED,
    }
    assert not contents.verifier.needs_check(content)


def test_a_directory_in_place_of_the_meta_does_not_hide_the_content(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob", meta=False)
    ross.meta_path(digest).mkdir()
    assert found(contents.settle(digest)).size == 4
    assert found(contents.find(digest)).size == 4


@pytest.mark.parametrize("break_meta", BREAK.values(), ids=BREAK.keys())
def test_wrong_bytes_without_usable_meta_do_not_exist(
    ross: RossStore, contents: Contents, break_meta: Callable[[Path], object]
) -> None:
    digest = digest_of(b"whole")
    ross.path(digest).write_bytes(b"whol")
    break_meta(ross.meta_path(digest))
    with pytest.raises(Unproven):
        contents.find(digest)
    assert contents.settle(digest) is None
    assert contents.find(digest) is None
    if not ross.meta_path(digest).exists():
        assert contents.glance(digest) is None


def test_content_appears_once_ross_has_written_it_whole(
    ross: RossStore, contents: Contents
) -> None:
    digest = digest_of(b"whole")
    with ross.path(digest).open("wb") as file:
        file.write(b"who")
        file.flush()
        assert contents.settle(digest) is None
        file.write(b"le")
    with pytest.raises(Unproven):
        contents.find(digest)
    assert found(contents.settle(digest)).size == 5


def test_a_read_only_store_is_not_written_to(ross: RossStore, read_only: Contents) -> None:
    digest = ross.put_blob(OCI_LAYER_GZIP, LAYER, meta=False)
    before = sorted(ross.root.rglob("*"))
    assert found(read_only.settle(digest)).media_type == OCI_LAYER_GZIP
    assert found(read_only.find(digest)).media_type == OCI_LAYER_GZIP
    assert read_only.glance(digest) is not None
    assert sorted(ross.root.rglob("*")) == before


def test_what_is_remembered_ends_when_the_file_changes(
    ross: RossStore, read_only: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"right", meta=False)
    found(read_only.settle(digest))
    ross.path(digest).write_bytes(b"wrong")
    with pytest.raises(Unproven):
        read_only.find(digest)
    assert read_only.settle(digest) is None


@pytest.mark.parametrize("area", ["manifests", "indexes"])
def test_the_media_type_of_a_document_is_recognised(
    ross: RossStore, contents: Contents, area: str
) -> None:
    data = image_parts().manifest if area == "manifests" else index([])
    digest = ross.put_manifest(data, meta=False, area=area)
    content = found(contents.settle(digest))
    assert content.media_type == (OCI_MANIFEST if area == "manifests" else OCI_INDEX)
    record = json.loads(ross.meta_path(digest, area).read_bytes())
    assert record["schema_version"] == "2"


def test_the_media_type_survives_a_meta_with_other_faults(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob("application/vnd.example", b"blob")
    ross.meta_path(digest).write_bytes(compact({"media_type": "application/vnd.example"}))
    assert found(contents.settle(digest)).media_type == "application/vnd.example"


def test_a_wrong_size_in_the_meta_is_mended_and_the_rest_kept(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob("application/vnd.example", b"blob")
    path = ross.meta_path(digest)
    record = json.loads(path.read_bytes())
    path.write_bytes(compact({**record, "size": 3, "of_ross": True}))
    with pytest.raises(Unproven):
        contents.find(digest)
    assert found(contents.settle(digest)).size == 4
    assert json.loads(path.read_bytes()) == {**record, "of_ross": True}


def test_truncated_content_is_shown_and_damaged(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"whole")
    os.truncate(ross.path(digest), 3)
    content = found(contents.settle(digest))
    assert content.size == 3
    assert contents.find(digest) == content
    with pytest.raises(Damaged, match="its 3 bytes hash to"):
        contents.verifier.check(content)


def test_a_damaged_manifest_does_not_hide_the_blob(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"blob")
    ross.path(digest, "manifests").write_bytes(b"other")
    assert found(contents.settle(digest)).area is Area.BLOBS
