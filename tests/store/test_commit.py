"""What was accepted is carried out, whenever the process dies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rossfs.errors import MissingContent, StoreFull
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCI_MANIFEST, OCTET_STREAM
from rossfs.store import commit, durable, uploads
from rossfs.store.filing import Stored
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.store.uploads import Promise, Record
from tests.builders import digest_of, image_parts, index
from tests.mounts import ROOT

DATA = b"some bytes\n" * 1000


def written(store: Store, data: bytes = DATA) -> tuple[Ingest, Stored]:
    ingest = Ingest.create(store.contents)
    ingest.append(data)
    return ingest, ingest.finish()


def accepted(store: Store, name: bytes, data: bytes = DATA) -> tuple[Ingest, Promise]:
    ingest, stored = written(store, data)
    return ingest, commit.accept(store.contents, store.incoming, ingest, name, stored)


def died(ingest: Ingest, promise: Promise) -> None:
    """What the kernel does when the process dies: it lets go of the locks."""
    ingest.detach()
    promise.abandon()


def scratch(store: Store) -> list[str]:
    try:
        return os.listdir(store.paths.scratch)
    except FileNotFoundError:
        return []


def test_what_was_accepted_is_carried_out(store: Store) -> None:
    ingest, promise = accepted(store, b"name")
    assert store.incoming.status(b"name") is None
    assert store.stat_blob(digest_of(DATA)) is None
    commit.carry_out(store.contents, store.incoming, ingest, promise)
    assert os.readlink(store.incoming.path(b"name")) == f"../blobs/sha256/{digest_of(DATA).hex}"
    assert store.get_blob(digest_of(DATA)) == DATA
    assert scratch(store) == []
    assert ingest.closed


def test_the_content_is_there_before_the_name_and_both_before_the_record_goes(
    store: Store, steps: list[str]
) -> None:
    ingest, promise = accepted(store, b"name")
    assert "commit record: directory synced" in steps
    del steps[:]
    commit.carry_out(store.contents, store.incoming, ingest, promise)
    order = [
        steps.index(step)
        for step in (
            "blob: renamed",
            "blob: directory synced",
            "blob meta: directory synced",
            "incoming link: renamed",
            "incoming link: directory synced",
            "commit record: removed",
        )
    ]
    assert order == sorted(order)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["blob", "index"])
def test_a_death_at_any_step_leaves_all_or_nothing(tmp_path: Path, kind: str) -> None:
    data = DATA
    if kind == "index":
        data = index([(image_parts("absent").manifest, "linux/arm64")])
    (tmp_path / "data").write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-m", "tests.store.dying", str(tmp_path), str(tmp_path / "data")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    steps = run.stdout.splitlines()
    assert len(steps) > 12
    promised = steps.index("commit record: renamed")
    closed = steps.index("accepted")
    assert promised < closed
    for number, step in enumerate(steps):
        with Store.open(str(tmp_path / str(number))) as store:
            link = store.incoming.digest(b"name")
            if number < promised:
                assert link is None, step
                assert store.stat_blob(digest_of(data)) is None, step
            else:
                assert link == digest_of(data), step
                assert store.get_blob(digest_of(data)) == data, step
            assert list(uploads.records(store.paths)) == [], step
            uploads.tidy(store.access)
            assert scratch(store) == [], step
            assert list(store.fsck()) == [], step


def test_a_living_process_keeps_its_promise_itself(store: Store) -> None:
    ingest, promise = accepted(store, b"name")
    with Store.open(store.paths.root) as other:
        assert other.incoming.status(b"name") is None
        assert list(other.incoming.unfinished_digests()) == [digest_of(DATA)]
    commit.carry_out(store.contents, store.incoming, ingest, promise)
    assert store.incoming.digest(b"name") == digest_of(DATA)


def test_a_dead_process_s_promise_is_kept_by_the_next_opening(store: Store) -> None:
    died(*accepted(store, b"some/where/name"))
    with Store.open(store.paths.root, read_only=True) as reading:
        assert reading.incoming.status(b"some/where/name") is None
    Store.open(store.paths.root).close()
    link = os.readlink(store.incoming.path(b"some/where/name"))
    assert link == f"../../../blobs/sha256/{digest_of(DATA).hex}"
    assert store.get_blob(digest_of(DATA)) == DATA
    assert scratch(store) == []


def test_a_record_of_other_bytes_is_not_kept(store: Store) -> None:
    ingest, promise = accepted(store, b"name")
    os.pwrite(ingest.fileno(), b"X", 5)
    died(ingest, promise)
    Store.open(store.paths.root).close()
    assert store.incoming.status(b"name") is None
    assert list(store.list_blobs()) == []
    assert list(uploads.records(store.paths)) == []
    uploads.tidy(store.access)
    assert scratch(store) == []


def test_a_record_whose_bytes_are_gone_is_not_kept(store: Store) -> None:
    ingest, promise = accepted(store, b"name")
    os.unlink(ingest.path)
    died(ingest, promise)
    Store.open(store.paths.root).close()
    assert store.incoming.status(b"name") is None
    assert scratch(store) == []


def test_a_record_replaces_what_has_the_name(store: Store) -> None:
    commit.carry_out(store.contents, store.incoming, *accepted(store, b"name", b"old"))
    died(*accepted(store, b"name", b"new"))
    Store.open(store.paths.root).close()
    assert store.incoming.digest(b"name") == digest_of(b"new")
    assert store.get_blob(digest_of(b"old")) == b"old"


def test_a_directory_in_the_way_costs_the_name_but_not_the_content(
    store: Store, expects_warnings: list[object]
) -> None:
    ingest, promise = accepted(store, b"name")
    store.incoming.make_directory(b"name")
    commit.carry_out(store.contents, store.incoming, ingest, promise)
    assert store.get_blob(digest_of(DATA)) == DATA
    assert scratch(store) == []
    assert len(expects_warnings) == 1


def test_a_waiting_file_is_committed_from_where_it_lies(store: Store) -> None:
    with open(store.incoming.path(b"name"), "wb") as file:
        file.write(DATA)
    ingest = Ingest.adopt(store.contents, store.incoming.path(b"name"))
    promise = commit.accept(store.contents, store.incoming, ingest, b"name", ingest.finish())
    died(ingest, promise)
    Store.open(store.paths.root).close()
    assert store.incoming.digest(b"name") == digest_of(DATA)
    assert store.get_blob(digest_of(DATA)) == DATA


def test_an_accepted_manifest_protects_what_it_needs(store: Store) -> None:
    parts = image_parts()
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    ingest, promise = accepted(store, b"m.json", parts.manifest)
    assert promise.record.stored.media_type == OCI_MANIFEST
    held = set(store.incoming.unfinished_digests())
    assert held == {parts.digest, *(digest_of(data) for _, data in parts.blobs())}
    store.garbage_collect()
    died(ingest, promise)
    store.garbage_collect()
    Store.open(store.paths.root).close()
    assert store.get_manifest(parts.digest) == (parts.manifest, OCI_MANIFEST)
    assert store.incoming.digest(b"m.json") == parts.digest


def test_a_manifest_is_not_accepted_when_its_blobs_were_removed_since(store: Store) -> None:
    parts = image_parts()
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    ingest, stored = written(store, parts.manifest)
    store.garbage_collect()
    with pytest.raises(MissingContent):
        commit.accept(store.contents, store.incoming, ingest, b"m.json", stored)
    assert list(uploads.records(store.paths)) == []
    ingest.abort()


def test_recovery_goes_on_past_what_cannot_be_recovered(
    store: Store, expects_warnings: list[object]
) -> None:
    parts = image_parts()
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    died(*accepted(store, b"m.json", parts.manifest))
    for _, data in parts.blobs():
        store.delete_blob(digest_of(data))
    died(*accepted(store, b"other"))
    Store.open(store.paths.root).close()
    assert store.incoming.digest(b"other") == digest_of(DATA)
    assert store.incoming.status(b"m.json") is None
    assert len(expects_warnings) == 1
    # It is not forgotten: once what it needs is there again it is committed.
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    Store.open(store.paths.root).close()
    assert store.incoming.digest(b"m.json") == parts.digest


@pytest.mark.parametrize(
    "last",
    [
        "blob: renamed",
        "blob meta: written",
        "blob meta: directory synced",
        "incoming link: renamed",
    ],
)
def test_carrying_out_can_be_tried_again_after_a_full_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    ingest, promise = accepted(store, b"name")

    def full(step: str) -> None:
        if step == last:
            raise StoreFull("no room")

    monkeypatch.setattr(durable, "reached", full)
    with pytest.raises(StoreFull):
        commit.carry_out(store.contents, store.incoming, ingest, promise)
    monkeypatch.setattr(durable, "reached", None)
    assert [record.name for record in uploads.records(store.paths)] == [b"name"]
    commit.carry_out(store.contents, store.incoming, ingest, promise)
    assert store.incoming.digest(b"name") == digest_of(DATA)
    assert scratch(store) == []


def test_content_of_unknown_kind_is_a_blob(store: Store) -> None:
    ingest, stored = written(store)
    assert stored == Stored(digest_of(DATA), len(DATA), OCTET_STREAM, Area.BLOBS)
    ingest.abort()


def test_a_record_can_be_of_a_sha512_name(store: Store) -> None:
    digest = digest_of(DATA, "sha512")
    with Ingest.create(store.contents, "sha512") as ingest:
        ingest.append(DATA)
        stored = ingest.finish(digest)
        promise = commit.accept(store.contents, store.incoming, ingest, b"n", stored)
        commit.carry_out(store.contents, store.incoming, ingest, promise)
    assert store.incoming.digest(b"n") == digest
    assert store.get_blob(digest) == DATA


def test_opening_an_idle_store_changes_nothing(store: Store) -> None:
    before = sorted(os.listdir(store.paths.root))
    with Store.open(store.paths.root) as again:
        commit.recover(again)
    assert sorted(os.listdir(store.paths.root)) == before


def test_a_foreign_record_leads_nowhere(store: Store) -> None:
    os.makedirs(store.paths.scratch, exist_ok=True)
    digest = Digest.of(b"x")
    record = Record(b"../../evil", b".tmp/x", Stored(digest, 1, OCTET_STREAM, Area.BLOBS))
    for name, data in (("a", b"\x80"), ("b", b"\xff" * 50), ("c", record.pack()), ("d", b"")):
        with open(f"{store.paths.scratch}/{name}.commit", "wb") as file:
            file.write(data)
    Store.open(store.paths.root).close()
    assert list(uploads.records(store.paths)) == []
    assert not os.path.lexists(f"{os.path.dirname(store.paths.root)}/evil")
    for name in scratch(store):
        os.unlink(f"{store.paths.scratch}/{name}")
