import errno
import os
import subprocess
import sys

import pytest

from rossfs.errors import ReadOnlyStore, Referenced
from rossfs.oci.digest import Digest
from rossfs.store import commit, documents
from rossfs.store.documents import Need, needs
from rossfs.store.references import Holder
from rossfs.store.store import Store
from tests.builders import (
    OCI_CONFIG,
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
    manifest,
)

# What a document refers to


def test_a_manifest_needs_its_config_layers_and_subject() -> None:
    parts, base = image_parts("app"), image_parts("base")
    data = manifest(parts.config, parts.layers, subject=descriptor(base.manifest, OCI_MANIFEST))
    assert list(needs(data)) == [
        Need(digest_of(parts.config), False),
        *(Need(digest_of(layer), False) for layer in parts.layers),
        Need(base.digest, True, True),
    ]


def test_an_index_needs_its_manifests() -> None:
    one, other = image_parts("one"), image_parts("other")
    data = index([(one.manifest, "linux/amd64"), (other.manifest, "linux/arm64")])
    assert list(needs(data)) == [Need(one.digest, True), Need(other.digest, True)]


def test_a_document_that_could_be_both_needs_all_that_it_mentions() -> None:
    one, other = image_parts("one"), image_parts("other")
    data = compact(
        {
            "schemaVersion": 2,
            "manifests": [descriptor(one.manifest, OCI_MANIFEST)],
            "config": descriptor(other.config, OCI_CONFIG),
            "layers": [],
        }
    )
    assert {need.digest for need in needs(data)} == {one.digest, digest_of(other.config)}


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_mentions_no_digest_needs_nothing(data: bytes) -> None:
    assert list(needs(data)) == []


def test_a_digest_is_mentioned_only_whole() -> None:
    whole = digest_of(b"whole")
    data = f"[{whole}] sha256:{'a' * 63} sha256:{'b' * 65} sha512:{'c' * 64}".encode()
    assert [need.digest for need in needs(data)] == [whole]


@pytest.mark.damages_store
def test_a_copy_that_is_right_counts_more_than_a_damaged_one(
    ross: RossStore, opened: Store
) -> None:
    data = index([])
    digest = ross.put_index(data)
    ross.put_manifest(data, OCI_INDEX)
    ross.path(digest, "indexes").write_bytes(b"damaged")
    assert documents.read_document(opened.paths, digest) == data


# Who needs a content


def test_a_layer_is_needed_by_its_manifest(ross: RossStore, opened: Store) -> None:
    stored = image(ross, "app")
    expected = Holder("manifest", str(stored.manifest))
    for digest in (stored.config, *stored.layers):
        assert opened.references.holder_of(digest) == expected
    assert opened.references.holder_of(stored.manifest) is None
    assert opened.references.holder_of(ross.put_blob(OCTET_STREAM, b"loose")) is None


def test_a_manifest_is_needed_by_its_index_or_a_tag(ross: RossStore, opened: Store) -> None:
    stored = image(ross, "app")
    listed = opened.put_index(index([(stored.parts.manifest, "linux/amd64")]), OCI_INDEX)[0]
    assert opened.references.holder_of(stored.manifest) == Holder("index", str(listed))
    assert opened.references.holder_of(listed) is None
    opened.set_tag("library/app", "v1", listed)
    holder = opened.references.holder_of(listed)
    assert holder == Holder("tag", "library/app:v1")
    assert str(holder) == "tag library/app:v1"


def test_a_subject_is_not_needed(ross: RossStore, opened: Store) -> None:
    base = image(ross, "base")
    ross.put_blob(OCI_CONFIG, b"{}")
    ross.put_manifest(manifest(b"{}", [], subject=descriptor(base.parts.manifest, OCI_MANIFEST)))
    assert opened.references.holder_of(base.manifest) is None


def test_what_a_process_holds_is_needed_by_it(ross: RossStore, opened: Store) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"held")
    with opened.pins.hold(digest):
        holder = opened.references.holder_of(digest)
        assert holder == Holder("process", "")
        assert str(holder) == "a running process"
    assert opened.references.holder_of(digest) is None


def test_what_an_accepted_file_needs_is_needed(ross: RossStore, opened: Store) -> None:
    parts = image_parts("app")
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    with opened.ingest() as ingest:
        ingest.append(parts.manifest)
        stored = ingest.finish()
        promise = commit.accept(opened.contents, opened.incoming, ingest, b"m.json", stored)
        holder = opened.references.holder_of(digest_of(parts.config))
        assert str(holder) == 'file "incoming/m.json"'
        promise.withdraw()
    assert opened.references.holder_of(digest_of(parts.config)) is None


def test_what_another_process_changed_is_noticed(ross: RossStore, opened: Store) -> None:
    """Without waiting: also a change in the same tick of the clock as the last look."""
    parts = image_parts("app")
    layer = digest_of(parts.layers[0])
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    for _ in range(20):
        assert opened.references.holder_of(layer) is None
        ross.put_manifest(parts.manifest)
        assert opened.references.holder_of(layer) == Holder("manifest", str(parts.digest))
        ross.path(parts.digest, "manifests").unlink()
        ross.meta_path(parts.digest, "manifests").unlink()


def test_documents_are_read_once(
    ross: RossStore, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [image(ross, f"app{number}") for number in range(5)]
    read: list[Digest] = []
    original = documents.read_document

    def watched(paths: object, digest: Digest) -> bytes | None:
        read.append(digest)
        return original(paths, digest)  # type: ignore[arg-type]

    monkeypatch.setattr(documents, "read_document", watched)
    for one in stored:
        opened.references.holder_of(one.config)
    assert sorted(read) == sorted(one.manifest for one in stored)
    opened.references.holder_of(image(ross, "new").config)
    assert len(read) == 6


def test_one_layer_of_many_images_is_held_until_the_last_is_gone(
    ross: RossStore, opened: Store
) -> None:
    parts = image_parts("app")
    layer = ross.put_blob(OCTET_STREAM, parts.layers[0])
    ross.put_blob(OCI_CONFIG, parts.config)
    images = [
        ross.put_manifest(manifest(parts.config, parts.layers[:1], annotations={"n": str(number)}))
        for number in range(10)
    ]
    seen = set()
    for _ in images:
        holder = opened.references.holder_of(layer)
        assert holder is not None
        seen.add(holder.name)
        assert opened.references.remove_unreferenced(Digest.parse(holder.name))
    assert seen == set(map(str, images))
    assert opened.references.holder_of(layer) is None


@pytest.mark.usefixtures("expects_warnings")
def test_a_damaged_manifest_holds_nothing_and_is_read_again_when_mended(
    ross: RossStore, opened: Store, expects_warnings: list[object]
) -> None:
    stored = image(ross, "app")
    path = ross.path(stored.manifest, "manifests")
    path.write_bytes(b"damaged")
    assert opened.references.holder_of(stored.config) is None
    assert opened.references.holder_of(stored.config) is None
    assert len(expects_warnings) == 1
    path.write_bytes(stored.parts.manifest)
    assert opened.references.holder_of(stored.config) is not None


# Removing


def test_what_is_needed_is_not_removed_and_the_holder_is_named(
    ross: RossStore, opened: Store
) -> None:
    stored = image(ross, "app", tag="library/app:v1")
    for digest, holder in (
        (stored.config, f"manifest {stored.manifest}"),
        (stored.manifest, "tag library/app:v1"),
    ):
        with pytest.raises(Referenced, match=f"{digest}: {holder} needs it") as caught:
            opened.references.remove_unreferenced(digest)
        assert caught.value.errno == errno.EBUSY
        assert opened.stat_blob(digest) is not None
    loose = ross.put_blob(OCTET_STREAM, b"loose")
    with opened.pins.hold(loose), pytest.raises(Referenced, match="a running process"):
        opened.references.remove_unreferenced(loose)


def test_what_a_name_in_incoming_leads_to_is_not_removed(ross: RossStore, opened: Store) -> None:
    """However old the name is: it would lead nowhere."""
    digest = ross.put_blob(OCTET_STREAM, b"pinned")
    with opened.access.writing():
        opened.incoming.link(b"some/name\xff", digest)
    os.utime(opened.incoming.path(b"some/name\xff"), (1, 1), follow_symlinks=False)
    with pytest.raises(Referenced, match=r'name "incoming/some/name\\xff" needs it'):
        opened.references.remove_unreferenced(digest)
    opened.incoming.remove(b"some/name\xff")
    assert opened.references.remove_unreferenced(digest)


def test_an_image_is_removed_from_the_top_down(ross: RossStore, opened: Store) -> None:
    stored = image(ross, "app", tag="library/app:v1")
    opened.delete_tag("library/app", "v1")
    for digest in (stored.manifest, stored.config, *stored.layers):
        assert opened.references.remove_unreferenced(digest)
        assert not opened.references.remove_unreferenced(digest)
    assert [
        name for area in ("blobs", "manifests") for name in os.listdir(ross.root / area / "sha256")
    ] == []


def test_an_index_is_removed_from_both_places(ross: RossStore, opened: Store) -> None:
    digest, _ = opened.put_index(index([]), OCI_INDEX)
    assert opened.references.remove_unreferenced(digest)
    for area in ("indexes", "manifests"):
        assert os.listdir(ross.root / area / "sha256") == []


def test_what_lies_in_two_areas_is_removed_from_both(ross: RossStore, opened: Store) -> None:
    parts = image_parts("app")
    ross.put_manifest(parts.manifest)
    ross.put_blob(OCTET_STREAM, parts.manifest)
    assert opened.references.remove_unreferenced(parts.digest)
    assert opened.stat_blob(parts.digest) is None
    for area in ("blobs", "manifests"):
        assert os.listdir(ross.root / area / "sha256") == []


def test_a_damaged_blob_can_be_removed(ross: RossStore, opened: Store) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"right")
    ross.path(digest).write_bytes(b"wrong bytes")
    assert opened.references.remove_unreferenced(digest)
    assert os.listdir(ross.root / "blobs/sha256") == []


def test_a_store_that_is_open_for_reading_removes_nothing(ross: RossStore) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"loose")
    with Store.open(str(ross.root), read_only=True) as store, pytest.raises(ReadOnlyStore):
        store.references.remove_unreferenced(digest)


_PUTTER = """
import sys
from rossfs.errors import MissingContent
from rossfs.store.store import Store
from tests.builders import image_parts
store = Store.open(sys.argv[1])
for line in sys.stdin:
    parts = image_parts(line.strip())
    try:
        store.put_manifest(parts.manifest, parts.media_type)
        print("put", flush=True)
    except MissingContent:
        print("missing", flush=True)
"""


def test_no_manifest_is_put_over_a_removal(ross: RossStore, opened: Store) -> None:
    """Another process puts a manifest while its layer is removed: one of the two is refused."""
    with subprocess.Popen(
        [sys.executable, "-c", _PUTTER, str(ross.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(30):
                parts = image_parts(f"app{number}")
                for media_type, data in parts.blobs():
                    ross.put_blob(media_type, data)
                process.stdin.write(f"app{number}\n")
                process.stdin.flush()
                try:
                    removed = opened.references.remove_unreferenced(digest_of(parts.layers[0]))
                except Referenced:
                    removed = False
                answer = process.stdout.readline().strip()
                assert answer == ("missing" if removed else "put")
        finally:
            process.kill()
