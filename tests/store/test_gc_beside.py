"""Collection beside writers, deaths and other collections."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from rossfs.store import durable, gc
from rossfs.store.gc import Collected
from rossfs.store.mark import referrers_first
from rossfs.store.store import Store
from tests.builders import (
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
    RossStore,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    ross_store,
)
from tests.store.collecting import files_of, put, stored

DEADLINE = 60.0


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
