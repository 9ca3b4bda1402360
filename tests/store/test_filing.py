"""Where committed bytes go, and what is made of bytes that are there already."""

import json
import os
import random
from pathlib import Path

import pytest

from rossfs.errors import InvalidDocument, MissingContent
from rossfs.store import durable
from rossfs.store.access import Access
from rossfs.store.content import seal
from rossfs.store.contents import Contents
from rossfs.store.filing import Stored
from rossfs.store.hashing import BUFFER
from rossfs.store.paths import Area
from tests.builders import (
    CREATED,
    DOCKER_FOREIGN,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    OCTET_STREAM,
    ImageParts,
    RossStore,
    digest_of,
    image_parts,
    index,
    layer,
    manifest,
    ross_store,
    tar,
)
from tests.store.committing import files, find, put

BIG = random.Random(2).randbytes(6 * BUFFER + 999)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Access.create(str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def contents(root: Path) -> Contents:
    return Contents(Access.open(str(root)))


@pytest.fixture
def ross(root: Path) -> RossStore:
    return ross_store(root)


# What it is


def test_the_media_type_is_recognised(contents: Contents) -> None:
    assert put(contents, tar({"file": b""})).media_type == OCI_LAYER
    assert put(contents, b"text").media_type == OCTET_STREAM
    assert put(contents, b"{}").media_type == OCTET_STREAM
    assert put(contents, index([])).media_type == OCI_INDEX


def test_a_media_type_that_was_given_counts(contents: Contents) -> None:
    data = layer({"a": b"b"})
    assert put(contents, data, "application/vnd.example").media_type == "application/vnd.example"
    assert find(contents, digest_of(data)).media_type == "application/vnd.example"


def store_blobs(contents: Contents, parts: ImageParts) -> None:
    for media_type, data in parts.blobs():
        put(contents, data, media_type)


@pytest.mark.parametrize("media_type", [None, OCI_MANIFEST])
def test_a_manifest_is_filed_as_one(root: Path, contents: Contents, media_type: str | None) -> None:
    parts = image_parts()
    store_blobs(contents, parts)
    stored = put(contents, parts.manifest, media_type)
    assert stored == Stored(parts.digest, len(parts.manifest), OCI_MANIFEST, Area.MANIFESTS)
    path = root / "manifests" / "sha256" / parts.digest.hex
    assert path.read_bytes() == parts.manifest
    record = json.loads(path.with_suffix(".meta").read_bytes())
    assert record.keys() == {"media_type", "size", "created_at", "schema_version"}
    assert not (root / "blobs" / "sha256" / parts.digest.hex).exists()


@pytest.mark.parametrize("media_type", [None, OCI_MANIFEST])
def test_a_manifest_that_needs_what_is_missing_is_refused(
    root: Path, contents: Contents, media_type: str | None
) -> None:
    parts = image_parts(layers=9)
    put(contents, parts.config, OCI_CONFIG)
    before = files(root)
    with pytest.raises(MissingContent) as caught:
        put(contents, parts.manifest, media_type)
    assert str(digest_of(parts.layers[0])) in str(caught.value)
    assert str(digest_of(parts.config)) not in str(caught.value)
    assert str(caught.value).endswith(" and 4 more")
    assert files(root) == before


def test_a_foreign_layer_may_be_missing(contents: Contents) -> None:
    parts = image_parts(layers=1)
    put(contents, parts.config)
    data = manifest(parts.config, parts.layers, layer_types=[DOCKER_FOREIGN])
    assert put(contents, data).area is Area.MANIFESTS


def test_an_index_may_lack_its_manifests(contents: Contents) -> None:
    data = index([(b"absent", "linux/arm64/v8")])
    assert put(contents, data).area is Area.INDEXES


def test_what_is_no_manifest_is_not_filed_as_one(root: Path, contents: Contents) -> None:
    for data in (b"{", b"[]", b" " * (4 * BUFFER + 1), index([])):
        with pytest.raises(InvalidDocument):
            put(contents, data, OCI_MANIFEST)
    assert files(root) == set()


def test_a_long_or_broken_manifest_is_a_blob(contents: Contents) -> None:
    padded = index([]) + b" " * (4 * BUFFER)
    assert put(contents, padded).area is Area.BLOBS
    negative = index([]).replace(b'"schemaVersion":2', b'"schemaVersion":2,"config":7,"layers":7')
    assert put(contents, negative).area is Area.BLOBS


def test_an_index_is_linked_where_ross_looks(root: Path, contents: Contents) -> None:
    data = index([])
    hexadecimal = put(contents, data).digest.hex
    for name in (hexadecimal, f"{hexadecimal}.meta"):
        first, second = (root / area / "sha256" / name for area in ("indexes", "manifests"))
        assert first.samefile(second)
    assert json.loads(second.read_bytes())["media_type"] == OCI_INDEX


def test_a_list_that_ross_filed_is_filed_again_as_an_index(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_manifest(index([]), OCI_INDEX)
    put(contents, index([]))
    assert ross.path(digest, "indexes").samefile(ross.path(digest, "manifests"))
    assert find(contents, digest).area is Area.INDEXES
    assert os.listdir(contents.access.paths.scratch) == []


def test_where_there_are_no_hard_links_an_index_is_copied(
    root: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted", source, target)

    monkeypatch.setattr(os, "link", refuse)
    digest = put(contents, index([])).digest
    assert put(contents, index([])).digest == digest
    copy = root / "manifests" / "sha256" / digest.hex
    assert copy.read_bytes() == index([])
    assert json.loads(copy.with_suffix(".meta").read_bytes())["media_type"] == OCI_INDEX
    assert list(contents.digests(Area.INDEXES)) == [digest]
    assert list(contents.digests(Area.MANIFESTS)) == []
    assert os.listdir(contents.access.paths.scratch) == []


# What is there already


def test_committing_again_makes_no_second_copy(root: Path, contents: Contents) -> None:
    digest = put(contents, BIG).digest
    content = find(contents, digest)
    before = files(root)
    meta = Path(f"{content.path}.meta").read_bytes()
    put(contents, BIG)
    assert files(root) == before
    assert Path(f"{content.path}.meta").read_bytes() == meta


@pytest.mark.parametrize("data", [b"blob", index([])])
def test_committing_again_makes_content_young(
    contents: Contents, data: bytes, steps: list[str]
) -> None:
    digest = put(contents, data).digest
    first = find(contents, digest)
    os.utime(first.path, ns=(0, seal(digest, CREATED)))
    assert find(contents, digest).proven
    steps.clear()
    put(contents, data)
    again = find(contents, digest)
    assert again.inode == first.inode
    assert again.modified_ns // 10**9 >= first.modified_ns // 10**9
    assert again.proven
    assert again.created_at == first.created_at
    assert steps == []


def test_damaged_content_is_replaced(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCI_LAYER, b"right")
    ross.path(digest).write_bytes(b"wrong")
    put(contents, b"right")
    content = find(contents, digest)
    assert Path(content.path).read_bytes() == b"right"
    assert content.proven
    assert content.media_type == OCI_LAYER
    assert content.created_at == CREATED


def test_what_was_found_damaged_is_replaced_though_sealed(contents: Contents) -> None:
    content = find(contents, put(contents, b"right").digest)
    Path(content.path).write_bytes(b"wrong")
    os.utime(content.path, ns=(0, content.modified_ns))
    content = find(contents, content.digest)
    contents.verifier.accuse(content, "wrong")
    put(contents, b"right")
    assert Path(content.path).read_bytes() == b"right"
    assert contents.verifier.damaged() == []


def test_content_of_ross_is_replaced_by_sealed_content(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob("application/vnd.example", b"blob")
    put(contents, b"blob")
    content = find(contents, digest)
    assert content.proven
    assert content.media_type == "application/vnd.example"


def test_a_better_media_type_replaces_an_unknown_one(contents: Contents) -> None:
    digest = put(contents, b"config").digest
    put(contents, b"config", OCI_CONFIG)
    assert find(contents, digest).media_type == OCI_CONFIG
    put(contents, b"config")
    assert find(contents, digest).media_type == OCI_CONFIG


def test_a_truncated_meta_is_written_anew(ross: RossStore, contents: Contents) -> None:
    digest = put(contents, b"blob").digest
    ross.meta_path(digest).write_bytes(b"")
    put(contents, b"blob")
    assert json.loads(ross.meta_path(digest).read_bytes())["size"] == 4


def test_something_else_in_place_of_content_is_replaced(
    ross: RossStore, contents: Contents, tmp_path: Path
) -> None:
    digest = digest_of(b"blob")
    ross.path(digest).symlink_to(tmp_path / "elsewhere")
    put(contents, b"blob")
    assert find(contents, digest).size == 4
    assert not (tmp_path / "elsewhere").exists()


# Dying


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("data", [b"blob", index([])], ids=["blob", "index"])
def test_dying_at_any_step_leaves_all_or_nothing(
    tmp_path: Path, steps: list[str], data: bytes
) -> None:
    def put_into(name: str) -> Contents:
        contents = Contents(Access.create(str(tmp_path / name)))
        put(contents, data)
        return contents

    stored = put_into("whole").find(digest_of(data))
    assert stored is not None
    names = files(tmp_path / "whole")
    total = len(steps)
    for last in range(total):
        steps.clear()

        def die(step: str, last: int = last) -> None:
            steps.append(step)
            if len(steps) > last:
                raise Died

        durable.reached = die
        with pytest.raises(Died):
            put_into(str(last))
        durable.reached = None
        contents = Contents(Access.create(str(tmp_path / str(last))))
        content = contents.settle(digest_of(data))
        assert content is None or content.media_type == stored.media_type
        assert content is None or content.area is stored.area
        put(contents, data)
        assert files(tmp_path / str(last)) >= names
        assert contents.settle(digest_of(data)) is not None
