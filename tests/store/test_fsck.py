"""What a check of a store finds, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged
from rossfs.oci.digest import Digest
from rossfs.store import commit
from rossfs.store.finding import Finding, Kind, Severity
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_FOREIGN,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    Image,
    RossStore,
    compact,
    config,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    manifest,
    ross_store,
)

ABSENT = digest_of(b"nobody has this")
OLD_NS = 1_699_564_800 * 10**9
DEADLINE = 60.0


@pytest.fixture
def app(ross: RossStore) -> Image:
    return image(ross, "app", tag="library/app:v1")


@pytest.fixture
def opened(ross: RossStore, app: Image) -> Iterator[Store]:
    with Store.open(str(ross.root), read_only=True) as store:
        yield store


def check(store: Store, *, fast: bool = False, digest: Digest | None = None) -> list[Finding]:
    return list(store.fsck(fast, digest))


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, "\n".join(map(str, findings))
    assert "\n" not in str(findings[0])
    assert findings[0].moved is None
    assert not findings[0].repaired
    return findings[0]


def kinds(findings: list[Finding]) -> list[Kind]:
    return sorted(finding.kind for finding in findings)


def damage(path: Path, data: bytes) -> None:
    """Change a file, long ago."""
    path.write_bytes(data)
    os.utime(path, ns=(OLD_NS, OLD_NS))


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


# What is right


def test_nothing_is_wrong_with_a_store_of_ross_and_nothing_is_written(
    ross: RossStore, opened: Store
) -> None:
    ross.put_manifest(index([(image_parts("absent").manifest, "linux/arm64")]), OCI_INDEX)
    before = {path: path.stat().st_mtime_ns for path in ross.root.rglob("*")}
    assert check(opened) == []
    assert check(opened, fast=True) == []
    with Store.open(str(ross.root)) as writable:
        assert check(writable) == []
    assert {path: path.stat().st_mtime_ns for path in ross.root.rglob("*")} == before


def test_nothing_is_wrong_with_a_store_of_rossfs(store: Store) -> None:
    stored = image(store, "app", tag="library/app:v1")
    digest, _ = store.put_index(index([(stored.parts.manifest, "linux/amd64")]), OCI_INDEX)
    store.set_tag("library/all", "v1", digest)
    store.put_blob(OCTET_STREAM, b"loose", digest_of(b"loose", "sha512"))
    assert check(store) == []
    assert check(store, fast=True) == []


def test_what_may_be_missing_is_not_missed(ross: RossStore, opened: Store) -> None:
    text = config(["sha256:" + "0" * 64])
    foreign = manifest(
        text,
        [b"never here"],
        layer_types=[DOCKER_FOREIGN],
        subject=descriptor(b"no subject", OCI_MANIFEST),
    )
    ross.put_blob(OCI_CONFIG, text)
    ross.put_manifest(foreign)
    assert check(opened) == []


def test_a_store_without_directories_is_empty(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    with Store.open(str(tmp_path)) as store:
        assert check(store) == []


# Content


def test_bytes_of_another_hash_are_damage(ross: RossStore, app: Image, opened: Store) -> None:
    data = app.parts.layers[0]
    damage(ross.path(app.layers[0]), flipped(data))
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.DAMAGED, Severity.DAMAGE)
    assert found.where == f"blobs/sha256/{app.layers[0].hex}"
    assert str(digest_of(flipped(data))) in found.text
    assert str(found).startswith(f"damage: blobs/sha256/{app.layers[0].hex} is damaged: ")


def test_a_fast_check_does_not_hash_what_nothing_speaks_against(
    ross: RossStore, app: Image, opened: Store
) -> None:
    damage(ross.path(app.layers[0]), flipped(app.parts.layers[0]))
    assert check(opened, fast=True) == []


@pytest.mark.parametrize("fast", [False, True])
def test_content_of_another_length_is_damage(
    ross: RossStore, app: Image, opened: Store, fast: bool
) -> None:
    damage(ross.path(app.layers[0]), app.parts.layers[0][:-1])
    findings = check(opened, fast=fast)
    assert kinds(findings) == [Kind.DAMAGED, Kind.SIZE]
    assert [finding.is_damage for finding in findings] == [True, False]


@pytest.mark.parametrize("fast", [False, True])
def test_a_manifest_is_always_hashed(
    ross: RossStore, app: Image, opened: Store, fast: bool
) -> None:
    damage(ross.path(app.manifest, "manifests"), flipped(app.parts.manifest))
    assert only(check(opened, fast=fast)).kind is Kind.DAMAGED


@pytest.mark.damages_store
def test_what_was_found_damaged_is_not_served_afterwards(store: Store) -> None:
    """A seal says that nobody wrote to a file, not that the disk kept it."""
    data = b"sealed"
    digest, _ = store.put_blob(OCTET_STREAM, data)
    path = Path(store.paths.content(Area.BLOBS, digest))
    times = path.stat()
    path.write_bytes(flipped(data))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.get_blob(digest) == flipped(data)
    assert only(check(store)).kind is Kind.DAMAGED
    with pytest.raises(Damaged):
        store.get_blob(digest)


@pytest.mark.parametrize("noun", ["a directory", "a symbolic link", "a fifo", "a socket"])
def test_content_is_a_regular_file(ross: RossStore, opened: Store, noun: str) -> None:
    path = ross.path(ABSENT)
    match noun:
        case "a directory":
            path.mkdir()
        case "a symbolic link":
            path.symlink_to("/etc/passwd")
        case "a fifo":
            os.mkfifo(path)
        case _:
            _socket(path)
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.DAMAGED, Severity.DAMAGE)
    assert found.text == f"is {noun} in place of content"


def test_what_is_being_written_in_place_is_not_judged(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ross.path(ABSENT)
    path.write_bytes(b"a part of it")

    def writes_meanwhile(seconds: float) -> None:
        with path.open("ab") as file:
            file.write(b" and more")

    monkeypatch.setattr(time, "sleep", writes_meanwhile)
    found = only(check(opened))
    assert found.severity is Severity.NOTE
    assert "being written" in found.text


def test_what_is_finished_while_it_is_looked_at_is_right(
    ross: RossStore, app: Image, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ross.path(app.layers[0])
    path.write_bytes(app.parts.layers[0][:9])
    monkeypatch.setattr(time, "sleep", lambda seconds: path.write_bytes(app.parts.layers[0]))
    assert [finding for finding in check(opened) if finding.is_damage] == []


# .meta


@pytest.mark.parametrize("fast", [False, True])
def test_content_without_meta_is_noted(
    ross: RossStore, app: Image, opened: Store, fast: bool
) -> None:
    ross.meta_path(app.layers[0]).unlink()
    found = only(check(opened, fast=fast))
    assert (found.kind, found.severity) == (Kind.METADATA, Severity.NOTE)


@pytest.mark.parametrize("fast", [False, True])
def test_content_without_meta_that_is_wrong_is_damage(
    ross: RossStore, opened: Store, fast: bool
) -> None:
    damage(ross.path(ABSENT), b"Ross died while it wrote this")
    assert only(check(opened, fast=fast)).kind is Kind.DAMAGED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[" * 60_000,
        b"\xff",
        b"null",
        b'{"media_type":"a/b","size":-1,"created_at":1}',
        b'{"media_type":"a/b","size":1e400,"created_at":1}',
        b'{"media_type":"a\\nb","size":1,"created_at":1}',
        b" " * 70_000,
    ],
)
def test_meta_that_cannot_be_read_is_damage(
    ross: RossStore, app: Image, opened: Store, data: bytes
) -> None:
    ross.meta_path(app.config).write_bytes(data)
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.METADATA, Severity.DAMAGE)
    assert found.where == f"blobs/sha256/{app.config.hex}"
    assert len(str(found)) < 400


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_meta_that_is_no_file_is_damage(
    ross: RossStore, app: Image, opened: Store, make: Callable[[Path], None]
) -> None:
    ross.meta_path(app.config).unlink()
    make(ross.meta_path(app.config))
    assert only(check(opened)).kind is Kind.METADATA


def test_meta_of_another_size_is_damage(ross: RossStore, app: Image, opened: Store) -> None:
    path = ross.meta_path(app.config)
    path.write_bytes(compact({**json.loads(path.read_bytes()), "size": 7}))
    for fast in (False, True):
        found = only(check(opened, fast=fast))
        assert (found.kind, found.severity) == (Kind.SIZE, Severity.DAMAGE)
        assert "7 bytes" in found.text


def test_meta_alone_is_noted(ross: RossStore, opened: Store) -> None:
    ross.meta_path(ABSENT).write_bytes(b"{}")
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.METADATA, Severity.NOTE)
    assert found.where.endswith(".meta")


def test_meta_that_makes_an_index_of_a_manifest_is_damage(
    ross: RossStore, app: Image, opened: Store
) -> None:
    path = ross.meta_path(app.manifest, "manifests")
    path.write_bytes(compact({**json.loads(path.read_bytes()), "media_type": OCI_INDEX}))
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.METADATA, Severity.DAMAGE)
    assert "an index" in found.text


# Manifests and indexes


def test_what_a_manifest_needs_must_be_stored(ross: RossStore, app: Image, opened: Store) -> None:
    for digest in (app.config, app.layers[1]):
        ross.path(digest).unlink()
        ross.meta_path(digest).unlink()
    findings = check(opened)
    assert kinds(findings) == [Kind.MISSING_REFERENCE] * 2
    assert {finding.where for finding in findings} == {f"manifests/sha256/{app.manifest.hex}"}
    assert all(finding.is_damage for finding in findings)
    assert str(app.config) in findings[0].text
    assert str(app.layers[1]) in findings[1].text


def test_a_manifest_may_name_the_same_layer_many_times(ross: RossStore, opened: Store) -> None:
    text = config([])
    ross.put_blob(OCI_CONFIG, text)
    ross.put_manifest(manifest(text, [b"missing"] * 50))
    assert only(check(opened)).kind is Kind.MISSING_REFERENCE


def test_a_descriptor_of_another_size_is_noted(ross: RossStore, opened: Store) -> None:
    text = config([])
    ross.put_blob(OCI_CONFIG, text)
    lying = descriptor(text, OCI_CONFIG) | {"size": 3}
    ross.put_manifest(compact({"schemaVersion": 2, "config": lying, "layers": []}))
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.SIZE, Severity.NOTE)


def test_an_index_that_ross_tags_do_not_find_is_noted(
    ross: RossStore, app: Image, opened: Store
) -> None:
    ross.put_index(index([(app.parts.manifest, "linux/amd64")]))
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.INDEX_LINK, Severity.NOTE)


def test_what_is_no_manifest_is_noted(ross: RossStore, opened: Store) -> None:
    ross.put_manifest(b"{}")
    ross.put_manifest(b"x" * ((4 << 20) + 1))
    findings = check(opened)
    assert kinds(findings) == [Kind.DOCUMENT] * 2
    assert not any(finding.is_damage for finding in findings)


# Tags


def test_a_tag_of_what_is_not_stored_dangles(ross: RossStore, opened: Store) -> None:
    ross.set_tag("library/app", "gone", ABSENT)
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.DANGLING_TAG, Severity.DAMAGE)
    assert found.where == "tags/library/app/gone"
    assert str(ABSENT) in found.text


def test_a_tag_of_a_blob_dangles(ross: RossStore, app: Image, opened: Store) -> None:
    ross.set_tag("library/app", "blob", app.config)
    assert "a blob and no manifest" in only(check(opened)).text


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"digest_algorithm":1,"digest_hash":2}'])
def test_a_tag_that_cannot_be_read_is_damage(ross: RossStore, opened: Store, data: bytes) -> None:
    (ross.root / "tags/library/app/bad").write_bytes(data)
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.BAD_TAG, Severity.DAMAGE)


def test_what_cannot_be_a_tag_is_noted(ross: RossStore, opened: Store) -> None:
    tags = ross.root / "tags"
    (tags / "file").write_bytes(b"")
    (tags / "library/app/.hidden").write_bytes(b"")
    (tags / "library/app/link").symlink_to("v1")
    (tags / "library/UPPER").mkdir()
    Path(os.fsdecode(os.fsencode(tags) + b"/library/app/\xff\n")).write_bytes(b"")
    findings = check(opened)
    assert kinds(findings) == [Kind.STRAY] * 5
    assert not any(finding.is_damage for finding in findings)
    assert '"tags/library/app/\\xff\\n"' in {finding.where for finding in findings}


# Names that mean nothing


def test_names_that_are_no_digests_are_noted(ross: RossStore, opened: Store) -> None:
    (ross.root / "blobs/sha256/README").write_bytes(b"")
    (ross.root / "blobs/sha256" / ("A" * 64)).write_bytes(b"")
    (ross.root / "blobs/md5").mkdir()
    (ross.root / "manifests/file").write_bytes(b"")
    findings = check(opened)
    assert kinds(findings) == [Kind.STRAY] * 4
    assert not any(finding.is_damage for finding in findings)


# incoming/ and pins/


def test_a_pin_of_what_is_not_stored_is_noted(ross: RossStore, app: Image, opened: Store) -> None:
    (ross.root / "incoming/down").mkdir(parents=True)
    (ross.root / "incoming/down/good").symlink_to(f"../../blobs/sha256/{app.config.hex}")
    (ross.root / "incoming/down/bad").symlink_to(f"../../blobs/sha256/{ABSENT.hex}")
    (ross.root / "incoming/elsewhere").symlink_to("/etc/passwd")
    (ross.root / "incoming/waiting").write_bytes(b"")
    os.mkfifo(ross.root / "incoming/fifo")
    findings = check(opened)
    assert kinds(findings) == [Kind.PIN, Kind.STRAY, Kind.STRAY]
    assert {finding.where for finding in findings if finding.kind is Kind.PIN} == {
        "incoming/down/bad"
    }
    assert not any(finding.is_damage for finding in findings)


def test_temporary_files_of_the_dead_are_noted_and_those_of_the_living_are_not(
    store: Store,
) -> None:
    with Ingest.create(store.contents) as ingest, store.pins.hold(ABSENT):
        ingest.append(b"unfinished")
        assert check(store) == []
        dead = [f"{store.paths.scratch}/dead", f"{store.paths.pins}/dead"]
        for path in dead:
            Path(path).touch()
        link = f"{store.paths.scratch}/link"
        os.symlink("nowhere", link)
        findings = check(store)
        assert kinds(findings) == [Kind.LEFTOVER] * 3
        assert not any(finding.is_damage for finding in findings)
        for path in (*dead, link):
            os.unlink(path)


def test_what_was_promised_is_no_leftover(store: Store) -> None:
    ingest = Ingest.create(store.contents)
    ingest.append(b"promised")
    promise = commit.accept(store.contents, store.incoming, ingest, b"name", ingest.finish())
    assert check(store) == []
    ingest.detach()
    promise.abandon()
    found = only(check(store))
    assert (found.kind, found.severity) == (Kind.RECORD, Severity.NOTE)
    assert '"name"' in found.text
    Store.open(store.paths.root).close()


def test_a_record_that_cannot_be_read_is_damage(ross: RossStore, opened: Store) -> None:
    (ross.root / "incoming/.tmp").mkdir(parents=True)
    (ross.root / "incoming/.tmp/0.commit").write_bytes(b"\xc1")
    found = only(check(opened))
    assert (found.kind, found.severity) == (Kind.RECORD, Severity.DAMAGE)


# One content, progress, memory


def test_one_content_is_checked_alone(ross: RossStore, app: Image, opened: Store) -> None:
    damage(ross.path(app.layers[0]), b"damaged")
    assert check(opened, digest=app.layers[1]) == []
    assert check(opened, digest=app.config) == []
    assert only(check(opened, digest=app.layers[0])).kind is Kind.DAMAGED
    ross.path(app.layers[1]).unlink()
    assert Kind.MISSING_REFERENCE in kinds(check(opened, digest=app.manifest))
    for absent in (ABSENT, Digest("blake3", "0" * 64)):
        with pytest.raises(BlobNotFound):
            check(opened, digest=absent)


def test_progress_counts_every_byte_that_is_hashed(
    ross: RossStore, app: Image, opened: Store
) -> None:
    big = b"0123456789abcdef" * 200_000
    ross.put_blob(OCTET_STREAM, big)
    seen: list[int] = []
    list(opened.fsck(progress=seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == len(big) + sum(
        map(len, (app.parts.manifest, app.parts.config, *app.parts.layers))
    )
    # Of the big one alone more than once.
    assert len(seen) > 5


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        root = tmp_path / str(count)
        root.mkdir()
        ross = ross_store(root)
        for number in range(count):
            ross.put_blob(OCI_LAYER_GZIP, b"%d" % number)
        with Store.open(str(root)) as store:
            list(store.fsck(fast=True))
            tracemalloc.start()
            try:
                assert check(store) == []
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert peak(2_000) < peak(100) + 100_000


# Beside others

_CHANGES = """
import signal, sys
from rossfs.store.store import Store
from tests.builders import OCI_INDEX, image, image_parts, index
signal.signal(signal.SIGINT, signal.default_int_handler)
number = 0
with Store.open(sys.argv[1]) as store:
    print("ready", flush=True)
    while True:
        parts = image_parts(f"live{number % 7}")
        with store.pins.hold(parts.digest):
            image(store, f"live{number % 7}", tag=f"live/app:v{number % 3}")
            listed, _ = store.put_index(index([(parts.manifest, "linux/amd64")]), OCI_INDEX)
            store.set_tag("live/all", "v1", listed)
        store.garbage_collect()
        number += 1
"""


@pytest.mark.timeout(120)
def test_what_others_are_amid_is_not_found(store: Store) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CHANGES, store.paths.root], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                assert check(store) == []
                assert check(store, fast=True) == []
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
    store.garbage_collect()


def _socket(path: Path) -> None:
    """A socket of any length of path: bind(2) takes 108 bytes."""
    with socket.socket(socket.AF_UNIX) as bound:
        directory = os.open(path.parent, os.O_PATH)
        try:
            bound.bind(f"/proc/self/fd/{directory}/{path.name[:8]}")
        finally:
            os.close(directory)
    (path.parent / path.name[:8]).rename(path)
