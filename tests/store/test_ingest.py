import fcntl
import json
import os
import random
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import (
    Busy,
    DigestMismatch,
    InvalidDocument,
    MissingContent,
    ReadOnlyStore,
    UsageError,
)
from rossfs.oci.digest import Digest
from rossfs.store import durable
from rossfs.store.access import Access
from rossfs.store.content import Content, is_sealed, seal
from rossfs.store.contents import Contents
from rossfs.store.filing import Stored
from rossfs.store.hashing import BUFFER
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from tests.builders import (
    CREATED,
    DOCKER_FOREIGN,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
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


@pytest.fixture
def steps() -> Iterator[list[str]]:
    seen: list[str] = []
    durable.reached = seen.append
    yield seen
    durable.reached = None


def put(
    contents: Contents, data: bytes, media_type: str | None = None, expected: Digest | None = None
) -> Stored:
    with Ingest.create(contents) as ingest:
        ingest.append(data)
        return ingest.commit(expected, media_type)


def find(contents: Contents, digest: Digest) -> Content:
    content = contents.settle(digest)
    assert content is not None
    return content


def files(root: Path) -> set[str]:
    """All files of a store but the ones that are there without content."""
    found = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    return found - {"format", "lock"}


# Committing


def test_a_commit_makes_what_ross_would_make(root: Path, contents: Contents) -> None:
    before = int(time.time())
    data = layer({"file": b"content"})
    stored = put(contents, data)
    digest = digest_of(data)
    assert stored == Stored(digest, len(data), OCI_LAYER_GZIP, Area.BLOBS)
    path = root / "blobs" / "sha256" / digest.hex
    assert files(root) == {f"blobs/sha256/{digest.hex}", f"blobs/sha256/{digest.hex}.meta"}
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    record = json.loads(path.with_suffix(".meta").read_bytes())
    assert record.keys() == {"media_type", "size", "created_at", "accessed_at"}
    assert record["media_type"] == OCI_LAYER_GZIP
    assert record["size"] == len(data)
    assert before <= record["created_at"] == record["accessed_at"] <= time.time()


def test_content_comes_before_its_meta(contents: Contents, steps: list[str]) -> None:
    put(contents, b"blob")
    assert steps == [
        "ingest: synced",
        "blob: renamed",
        "blob: directory synced",
        "blob meta: written",
        "blob meta: synced",
        "blob meta: renamed",
        "blob meta: directory synced",
    ]


def test_committed_content_is_proven(contents: Contents) -> None:
    content = find(contents, put(contents, BIG).digest)
    assert content.proven
    assert not contents.verifier.needs_check(content)
    assert is_sealed(content.digest, os.stat(content.path).st_mtime_ns)
    assert abs(content.modified_ns / 1e9 - time.time()) < 60


def test_an_empty_blob_is_stored(contents: Contents) -> None:
    assert put(contents, b"").digest == digest_of(b"")
    assert find(contents, digest_of(b"")).size == 0


def test_sha512_names_are_kept(root: Path, contents: Contents) -> None:
    expected = digest_of(b"blob", "sha512")
    for algorithm in ("sha256", "sha512"):
        with Ingest.create(contents, algorithm) as ingest:
            ingest.append(b"blob")
            assert ingest.commit(expected).digest == expected
    assert (root / "blobs" / "sha512" / expected.hex).read_bytes() == b"blob"


def test_a_wrong_digest_leaves_nothing(root: Path, contents: Contents) -> None:
    with pytest.raises(DigestMismatch, match=f"expected {digest_of(b'other')}, but the 4 bytes"):
        put(contents, b"blob", expected=digest_of(b"other"))
    assert files(root) == set()


def test_an_abort_leaves_nothing(root: Path, contents: Contents) -> None:
    ingest = Ingest.create(contents)
    ingest.append(BIG)
    ingest.abort()
    ingest.abort()
    assert ingest.closed
    assert files(root) == set()
    with pytest.raises(ValueError, match="closed"):
        ingest.append(b"more")


def test_a_store_open_for_reading_takes_nothing(root: Path) -> None:
    contents = Contents(Access.open(str(root), read_only=True))
    with pytest.raises(ReadOnlyStore):
        Ingest.create(contents)
    assert files(root) == set()


@pytest.mark.parametrize("media_type", ["a\nb", "é", "x" * 1000])
def test_what_is_no_media_type_is_refused(contents: Contents, media_type: str) -> None:
    with pytest.raises(UsageError, match="no media type"):
        put(contents, b"blob", media_type)


# Writing in any order


def test_bytes_may_come_in_any_order(contents: Contents) -> None:
    pieces = [(start, BIG[start : start + 300_000]) for start in range(0, len(BIG), 300_000)]
    random.Random(3).shuffle(pieces)
    with Ingest.create(contents) as ingest:
        for start, piece in pieces:
            ingest.write_at(start, piece)
        assert ingest.commit().digest == digest_of(BIG)


def test_overwriting_counts(contents: Contents) -> None:
    model = bytearray(BIG)
    with Ingest.create(contents) as ingest:
        ingest.append(BIG)
        for start in (0, 5, len(BIG) - 1, BUFFER):
            ingest.write_at(start, b"new")
            model[start : start + 3] = b"new"
            assert ingest.finish().digest == digest_of(bytes(model))
        assert ingest.size == len(model)


def test_a_gap_reads_as_zeros(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        ingest.write_at(10, b"end")
        assert ingest.size == 13
        assert ingest.read_at(0, 100) == b"\0" * 10 + b"end"
        assert ingest.commit().digest == digest_of(b"\0" * 10 + b"end")


def test_truncating_counts(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        ingest.append(b"0123456789")
        ingest.truncate(4)
        assert ingest.finish().digest == digest_of(b"0123")
        ingest.truncate(6)
        assert ingest.finish().digest == digest_of(b"0123\0\0")
        ingest.append(b"x")
        assert ingest.commit().digest == digest_of(b"0123\0\0x")


def test_a_later_write_withdraws_what_was_finished(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        ingest.append(b"one")
        assert ingest.finish().digest == digest_of(b"one")
        ingest.append(b"two")
        with pytest.raises(DigestMismatch):
            ingest.finish(digest_of(b"one"))
        assert ingest.commit(digest_of(b"onetwo")).size == 6


def test_finishing_again_does_nothing(contents: Contents, steps: list[str]) -> None:
    with Ingest.create(contents) as ingest:
        ingest.append(b"blob")
        ingest.finish()
        ingest.finish(digest_of(b"blob"))
        ingest.commit()
    assert steps.count("ingest: synced") == 1


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


# Unfinished files


def test_an_unfinished_file_is_locked(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        fd = os.open(ingest.path, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(fd)
        with pytest.raises(Busy, match="is being written"):
            Ingest.adopt(contents, ingest.path)


def test_a_file_that_was_left_can_be_gone_on_with(root: Path, contents: Contents) -> None:
    ingest = Ingest.create(contents)
    ingest.append(b"one")
    path = ingest.detach()
    assert ingest.closed
    with Ingest.adopt(contents, path) as ingest:
        assert ingest.size == 3
        ingest.append(b"two")
        assert ingest.commit().digest == digest_of(b"onetwo")
    assert not Path(path).exists()


def test_only_a_file_can_be_gone_on_with(root: Path, contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("none", "link", "fifo", "."):
        with pytest.raises(OSError):  # noqa: PT011 - each has its own errno
            Ingest.adopt(contents, str(tmp_path / name))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    # In a mount namespace of its own, which ends with the process.
    script = """
        import os, subprocess, sys
        from rossfs.errors import StoreFull
        from rossfs.store.access import Access
        from rossfs.store.contents import Contents
        from rossfs.store.ingest import Ingest
        root = sys.argv[1]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=True)
        contents = Contents(Access.create(root))
        with Ingest.create(contents) as ingest:
            ingest.append(b"a" * 600_000)
            try:
                ingest.append(b"b" * 600_000)
            except StoreFull as error:
                assert "no room to write" in str(error), error
            else:
                raise SystemExit("was written")
            # What was there before can be committed.
            assert ingest.size == 600_000
            stored = ingest.commit()
        assert os.stat(f"{root}/blobs/sha256/{stored.digest.hex}").st_size == 600_000
        try:
            with Ingest.create(contents) as ingest:
                ingest.append(b"c" * 600_000)
        except StoreFull:
            pass
        assert os.listdir(contents.access.paths.scratch) == []
    """
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


def test_many_processes_may_commit_the_same_at_once(root: Path) -> None:
    script = """
        import sys
        from rossfs.store.access import Access
        from rossfs.store.contents import Contents
        from rossfs.store.ingest import Ingest
        contents = Contents(Access.open(sys.argv[1]))
        for number in range(20):
            with Ingest.create(contents) as ingest:
                ingest.append(f"blob {number}".encode() * 1000)
                ingest.commit()
    """
    writers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(root)])
        for _ in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    contents = Contents(Access.open(str(root)))
    stored = list(contents.digests(Area.BLOBS))
    assert len(stored) == 20
    for digest in stored:
        contents.verifier.prove(digest, find(contents, digest).path)
    assert len(files(root)) == 40
