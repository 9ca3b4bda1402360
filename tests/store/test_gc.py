import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rossfs.errors import Damaged, ReadOnlyStore
from rossfs.oci.digest import Digest
from rossfs.store import durable, gc
from rossfs.store.gc import Collected
from rossfs.store.mark import referrers_first
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    ImageParts,
    RossStore,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    manifest,
    ross_store,
)

DEADLINE = 60.0
EMPTY_CONFIG = b"{}"


@pytest.fixture
def ross(tmp_path: Path) -> RossStore:
    return ross_store(tmp_path)


@pytest.fixture
def opened(ross: RossStore) -> Iterator[Store]:
    with Store.open(str(ross.root)) as store:
        yield store


def stored(ross: RossStore) -> set[str]:
    """All content and .meta, as area/name."""
    return {
        f"{area}/{name}"
        for area in ("blobs", "manifests", "indexes")
        for name in os.listdir(ross.root / area / "sha256")
    }


def files_of(parts: ImageParts) -> set[str]:
    """What an image is in a store."""
    blobs = {f"blobs/{digest_of(data).hex}" for _, data in parts.blobs()}
    content = {f"manifests/{parts.digest.hex}", *blobs}
    return content | {f"{path}.meta" for path in content}


def put(ross: RossStore, *images: ImageParts) -> None:
    for parts in images:
        for media_type, data in parts.blobs():
            ross.put_blob(media_type, data)
        ross.put_manifest(parts.manifest, parts.media_type)


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


# Other roots


def test_what_a_process_holds_stays(ross: RossStore, opened: Store) -> None:
    parts = image(ross, "held").parts
    with opened.pins.hold(parts.digest):
        assert opened.garbage_collect()[:3] == (0, 0, 0)
    assert opened.garbage_collect().manifests_removed == 1


def test_what_a_dead_process_held_goes_and_its_file_too(ross: RossStore, opened: Store) -> None:
    digest = image(ross, "held").manifest
    script = (
        "import sys\n"
        "from rossfs.oci.digest import Digest\n"
        "from rossfs.store.store import Store\n"
        "hold = Store.open(sys.argv[1]).pins.hold(Digest.parse(sys.argv[2]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(ross.root), str(digest)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert opened.garbage_collect()[:3] == (0, 0, 0)
        process.kill()
    assert opened.garbage_collect().manifests_removed == 1
    assert os.listdir(ross.root / "pins") == []


def test_a_pin_in_incoming_counts_until_it_is_a_day_old(ross: RossStore, opened: Store) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"pinned")
    directory = ross.root / "incoming/sub"
    directory.mkdir(parents=True)
    link = directory / "file"
    link.symlink_to(f"../../blobs/sha256/{digest.hex}")
    assert opened.garbage_collect().blobs_removed == 0
    old = time.time() - gc.PIN_AGE - 60
    os.utime(link, (old, old), follow_symlinks=False)
    assert opened.garbage_collect().blobs_removed == 1
    assert link.is_symlink()


def test_a_pin_of_a_manifest_keeps_what_it_needs(ross: RossStore, opened: Store) -> None:
    parts = image(ross, "pinned").parts
    (ross.root / "incoming").mkdir()
    (ross.root / "incoming/m.json").symlink_to(f"../blobs/sha256/{parts.digest.hex}")
    assert opened.garbage_collect()[:3] == (0, 0, 0)


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


# What arrives while it runs


def between_mark_and_sweep(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let *act* happen when a collection has marked and listed, and removed nothing yet."""
    order = referrers_first

    def listed(*arguments: object) -> object:
        act()
        return order(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gc, "referrers_first", listed)


def test_what_is_tagged_after_the_marking_stays(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = image(ross, "late").parts
    between_mark_and_sweep(monkeypatch, lambda: opened.set_tag("a", "v1", parts.digest))
    assert opened.garbage_collect()[:3] == (0, 0, 0)
    assert stored(ross) == files_of(parts)


def test_what_is_held_after_the_marking_stays(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = image(ross, "late").parts
    with contextlib.ExitStack() as stack:
        between_mark_and_sweep(
            monkeypatch, lambda: stack.enter_context(opened.pins.hold(parts.digest))
        )
        assert opened.garbage_collect()[:3] == (0, 0, 0)


def test_a_manifest_that_arrives_after_the_marking_keeps_old_layers(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = image_parts("late")
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    between_mark_and_sweep(
        monkeypatch, lambda: opened.put_manifest(parts.manifest, parts.media_type)
    )
    assert opened.garbage_collect()[:3] == (0, 0, 0)
    assert stored(ross) == files_of(parts)


def test_what_is_committed_again_after_the_marking_stays(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ross.put_blob(OCTET_STREAM, b"again")
    between_mark_and_sweep(monkeypatch, lambda: opened.put_blob(OCTET_STREAM, b"again"))
    assert opened.garbage_collect()[:3] == (0, 0, 0)


def test_a_held_digest_that_is_stored_only_later_keeps_what_it_needs(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marking met it when there was nothing to follow."""
    parts = image_parts("late")
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    with opened.pins.hold(parts.digest):
        between_mark_and_sweep(
            monkeypatch, lambda: opened.put_manifest(parts.manifest, parts.media_type)
        )
        assert opened.garbage_collect()[:3] == (0, 0, 0)


def test_documents_go_before_what_they_refer_to(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = image_parts("inner")
    put(ross, inner)
    documents = [inner.manifest]
    for _ in range(4):
        below = documents[-1]
        documents.append(
            compact(
                {
                    "schemaVersion": 2,
                    "manifests": [
                        descriptor(below, OCI_INDEX if len(documents) > 1 else OCI_MANIFEST)
                    ],
                }
            )
        )
        ross.put_index(documents[-1])
    kinds = [digest_of(data) for data in reversed(documents)]
    order: list[Digest] = []
    unlink = os.unlink

    def watched(path: str) -> None:
        name = os.path.basename(path)
        if len(name) == 64:
            order.append(Digest("sha256", name))
        unlink(path)

    monkeypatch.setattr(os, "unlink", watched)
    opened.garbage_collect()
    assert order[:5] == kinds
    assert set(order[5:]) == {digest_of(data) for _, data in inner.blobs()}


def test_dying_at_any_step_leaves_a_valid_store(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    kept = image(ross, "kept", tag="a:v1").parts
    gone = [image_parts(f"gone{number}") for number in range(2)]
    listed = index([(parts.manifest, "linux/amd64") for parts in gone])

    def fill() -> None:
        put(ross, *gone)
        opened.put_index(listed, OCI_INDEX)

    deaths = 0
    for deadly in itertools.count():
        fill()
        countdown = deadly

        def die(step: str) -> None:
            nonlocal countdown
            countdown -= 1
            if countdown < 0:
                raise Died

        monkeypatch.setattr(durable, "reached", die)
        try:
            opened.garbage_collect()
            break
        except Died:
            deaths += 1
        monkeypatch.setattr(durable, "reached", None)
        left = stored(ross)
        assert files_of(kept) <= left
        for parts in gone:
            if f"manifests/{parts.digest.hex}" in left:
                assert files_of(parts) - {f"manifests/{parts.digest.hex}.meta"} <= left
        if f"indexes/{digest_of(listed).hex}" in left:
            assert all(f"manifests/{parts.digest.hex}" in left for parts in gone)
        opened.garbage_collect()
        assert stored(ross) == files_of(kept)
    monkeypatch.setattr(durable, "reached", None)
    assert deaths > 20


# Beside real writers

_WRITER = """
import sys, time
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import image_parts
store = Store.open(sys.argv[1])
number = 0
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    parts = image_parts(f"{sys.argv[2]}{number}")
    with store.pins.hold(parts.digest) as hold:
        for media_type, data in parts.blobs():
            digest, _ = store.put_blob(media_type, data)
            hold.add(digest)
        # Again, now that it is held: a collection may have been quicker.
        for media_type, data in parts.blobs():
            store.put_blob(media_type, data)
        store.put_manifest(parts.manifest, parts.media_type)
        store.set_tag("live/" + sys.argv[2], f"v{number}", parts.digest)
    # The next image, once more under the same tag, makes garbage of the old one.
    if number % 3 == 2:
        store.delete_tag("live/" + sys.argv[2], f"v{number - 1}")
    number += 1
print(number, flush=True)
"""


@pytest.mark.timeout(120)
def test_nothing_is_lost_beside_live_writers(ross: RossStore, opened: Store) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(ross.root), name, "2.5"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        removed = 0
        while any(writer.poll() is None for writer in writers):
            removed += opened.garbage_collect().manifests_removed
        counts = []
        for writer in writers:
            assert writer.wait(DEADLINE) == 0
            assert writer.stdout is not None
            counts.append(int(writer.stdout.readline()))
    finally:
        for writer in writers:
            if writer.poll() is None:
                writer.kill()
                writer.wait(DEADLINE)
            assert writer.stdout is not None
            writer.stdout.close()
    removed += opened.garbage_collect().manifests_removed
    assert removed == sum(count // 3 for count in counts) > 0
    left: set[str] = set()
    for name, count in zip(("one", "two"), counts, strict=True):
        numbers = {number for number in range(count) if number % 3 != 1 or number + 1 >= count}
        tags = {info.tag: info.digest for info in opened.list_tags(f"live/{name}")}
        assert tags == {f"v{number}": image_parts(f"{name}{number}").digest for number in numbers}
        for number in numbers:
            left |= files_of(image_parts(f"{name}{number}"))
    assert stored(ross) == left


def test_two_collections_at_once_remove_each_thing_once(ross: RossStore, opened: Store) -> None:
    kept = image(ross, "kept", tag="a:v1").parts
    for number in range(20):
        image(ross, f"gone{number}")
    results: list[Collected] = []

    def collect() -> None:
        with Store.open(str(ross.root)) as store:
            results.append(store.garbage_collect())

    threads = [threading.Thread(target=collect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sum(result.manifests_removed for result in results) == 20
    assert stored(ross) == files_of(kept)


def test_an_interrupted_collection_can_be_taken_up_again(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        image(ross, f"gone{number}")
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from rossfs.store import durable\n"
        "from rossfs.store.store import Store\n"
        "steps = 0\n"
        "def reached(step):\n"
        "    global steps\n"
        "    steps += 1\n"
        "    if steps == 40:\n"
        "        print('amid', flush=True)\n"
        "        sys.stdin.readline()\n"
        "durable.reached = reached\n"
        "Store.open(sys.argv[1]).garbage_collect()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(ross.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "amid\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) != 0
    left = len(stored(ross))
    assert 0 < left < 30 * 8
    opened.garbage_collect()
    assert stored(ross) == set()


def test_no_object_is_kept_for_each_blob(tmp_path: Path) -> None:
    root = ross_store(tmp_path)
    directory = tmp_path / "blobs/sha256"
    for number in range(5_000):
        (directory / digest_of(str(number).encode()).hex).touch()
    with Store.open(str(root.root)) as store:
        store.garbage_collect(dry_run=True)
        tracemalloc.start()
        try:
            result = store.garbage_collect(dry_run=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert result.blobs_removed == 5_000
    # 32 bytes in the list of candidates, up to 44 in the answer, and what a listing takes once.
    assert peak < 5_000 * 80 + 200_000
