"""Layouts that are incomplete, damaged or hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rossfs.errors import (
    BlobNotFound,
    DigestMismatch,
    InvalidDigest,
    InvalidDocument,
    InvalidSource,
    MissingContent,
    RossfsError,
    TagNotFound,
)
from rossfs.store.store import Store
from tests import builders
from tests.builders import (
    OCI_INDEX,
    OCI_MANIFEST,
    compact,
    descriptor,
    digest_of,
    image_parts,
)
from tests.image.imports import nothing_tagged, take
from tests.image.sources import blob_path, entry, layout, layout_of, write_tree


def test_an_index_without_any_of_its_manifests_is_refused(store: Store, tmp_path: Path) -> None:
    amd = image_parts("a")
    index = builders.index([(amd.manifest, "linux/amd64")])
    files = layout([entry(index, OCI_INDEX, "v1")], [index])
    with pytest.raises(MissingContent, match=f"manifest {amd.digest} of {digest_of(index)}"):
        take(store, write_tree(tmp_path / "app", files))
    assert nothing_tagged(store)


def test_indexes_that_are_too_deep_in_each_other_are_refused(store: Store, tmp_path: Path) -> None:
    inner, blobs = image_parts().manifest, [image_parts().config, *image_parts().layers]
    media_type = OCI_MANIFEST
    for _ in range(12):
        blobs.append(inner)
        inner = compact(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [descriptor(inner, media_type)],
            }
        )
        media_type = OCI_INDEX
    files = layout([entry(inner, OCI_INDEX, "v1")], [*blobs, inner])
    with pytest.raises(InvalidDocument, match="too deep"):
        take(store, write_tree(tmp_path / "app", files))


def test_an_index_that_claims_to_hold_itself_is_refused(store: Store, tmp_path: Path) -> None:
    """No bytes hash to a digest inside them, so a circle is always a wrong digest."""
    name = "a" * 64
    index = compact(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_INDEX, "digest": f"sha256:{name}", "size": 219}],
        }
    )
    top = {"mediaType": OCI_INDEX, "digest": f"sha256:{name}", "size": len(index)}
    files = layout([top], []) | {f"blobs/sha256/{name}": index}
    with pytest.raises(DigestMismatch, match=f"sha256:{name}"):
        take(store, write_tree(tmp_path / "app", files))


def test_missing_blobs_are_named_and_nothing_is_tagged(store: Store, tmp_path: Path) -> None:
    parts = image_parts(layers=9)
    files = layout_of({"v1": parts})
    for data in parts.layers[1:]:
        del files[blob_path(data)]
    with pytest.raises(MissingContent) as caught:
        take(store, write_tree(tmp_path / "app", files))
    assert str(digest_of(parts.layers[1])) in str(caught.value)
    assert str(caught.value).endswith(" and 3 more")
    assert nothing_tagged(store)
    assert not list(store.list_blobs())


def test_a_missing_manifest_is_named(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"v1": parts})
    del files[blob_path(parts.manifest)]
    with pytest.raises(MissingContent, match=str(parts.digest)):
        take(store, write_tree(tmp_path / "app", files))


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
def test_content_with_a_flipped_bit_is_refused(store: Store, tmp_path: Path, which: str) -> None:
    parts = image_parts()
    data = {"manifest": parts.manifest, "config": parts.config, "layer": parts.layers[1]}[which]
    bad = bytearray(data)
    bad[len(bad) // 2] ^= 1
    files = layout_of({"v1": parts}) | {blob_path(data): bytes(bad)}
    with pytest.raises(DigestMismatch, match=digest_of(data).hex):
        take(store, write_tree(tmp_path / "app", files))
    assert nothing_tagged(store)
    with pytest.raises(BlobNotFound):
        store.get_blob(digest_of(data))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_blob_of_another_size_than_its_manifest_says_is_refused(
    store: Store, tmp_path: Path, change: int
) -> None:
    parts = image_parts()
    document = builders.manifest(parts.config, parts.layers)
    said = f'"size":{len(parts.layers[0])}'.encode()
    wrong = document.replace(said, f'"size":{len(parts.layers[0]) + change}'.encode())
    assert wrong != document
    files = layout_of({"old": parts}) | layout([entry(wrong, OCI_MANIFEST, "v1")], [wrong])
    with pytest.raises(DigestMismatch, match="its manifest says"):
        take(store, write_tree(tmp_path / "app", files))
    assert nothing_tagged(store)


def test_a_manifest_of_another_size_than_its_descriptor_says_is_refused(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    wrong = entry(parts.manifest, OCI_MANIFEST, "v1") | {"size": 3}
    files = layout_of({"v1": parts}) | layout([wrong], [])
    with pytest.raises(DigestMismatch, match="3 were said"):
        take(store, write_tree(tmp_path / "app", files))


def test_content_by_a_digest_that_cannot_be_hashed_here_is_refused(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts()
    digest = str(digest_of(parts.layers[0]))
    wrong = parts.manifest.replace(digest.encode(), digest.replace("sha256", "blake3").encode())
    files = layout_of({"old": parts}) | layout([entry(wrong, OCI_MANIFEST, "v1")], [wrong])
    with pytest.raises(InvalidDigest, match="blake3"):
        take(store, write_tree(tmp_path / "app", files))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"oci-layout": None}, InvalidSource, "no oci-layout"),
        ({"index.json": None}, InvalidSource, "no index.json"),
        ({"oci-layout": b"{"}, InvalidDocument, "oci-layout of"),
        ({"oci-layout": b"{}"}, InvalidSource, "version none"),
        ({"oci-layout": b'{"imageLayoutVersion": "2.0.0"}'}, InvalidSource, '"2.0.0"'),
        ({"index.json": b"[]"}, InvalidDocument, "index.json of"),
        ({"index.json": b"{" * 100_000}, InvalidDocument, "index.json of"),
        ({"index.json": b" " * (5 << 20)}, InvalidSource, "limit"),
        ({"index.json": b'{"schemaVersion": 2}'}, TagNotFound, "no image"),
    ],
)
def test_what_is_no_layout_is_refused(
    store: Store,
    tmp_path: Path,
    change: dict[str, bytes | None],
    error: type[RossfsError],
    message: str,
) -> None:
    files = {**layout_of({"v1": image_parts()}), **change}
    source = write_tree(
        tmp_path / "app", {path: data for path, data in files.items() if data is not None}
    )
    with pytest.raises(error, match=message):
        take(store, f"oci:{source}")


def test_a_negative_size_is_refused(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    wrong = entry(parts.manifest, OCI_MANIFEST, "v1") | {"size": -5}
    with pytest.raises(InvalidDocument, match="size"):
        take(store, write_tree(tmp_path / "app", layout_of({"v1": parts}) | layout([wrong], [])))


def test_a_manifest_that_is_none_is_refused_by_digest(store: Store, tmp_path: Path) -> None:
    data = b'{"schemaVersion": 2, "config": 5}'
    files = layout([entry(data, OCI_MANIFEST, "v1")], [data])
    with pytest.raises(InvalidDocument, match=str(digest_of(data))):
        take(store, write_tree(tmp_path / "app", files))


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../secret", "../../../app2/secret"])
def test_a_link_out_of_the_layout_is_refused(store: Store, tmp_path: Path, target: str) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    write_tree(tmp_path, {"secret": b"secret", "app2/secret": b"secret"})
    blob = source / blob_path(parts.layers[0])
    blob.unlink()
    blob.symlink_to(target)
    with pytest.raises(InvalidSource, match="leads out of it"):
        take(store, source)


def test_a_link_inside_the_layout_is_followed(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    blob = source / blob_path(parts.layers[0])
    blob.rename(source / "elsewhere")
    blob.symlink_to("../../elsewhere")
    take(store, source)
    assert store.get_blob(digest_of(parts.layers[0])) == parts.layers[0]


def test_fifos_and_directories_in_place_of_blobs_are_refused(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    blob = source / blob_path(parts.layers[0])
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(InvalidSource, match="no regular file"):
        take(store, source)
    blob.unlink()
    blob.mkdir()
    with pytest.raises(InvalidSource, match="no regular file"):
        take(store, source)


def test_a_source_that_is_not_there_is_an_error_of_the_system(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take(store, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidSource, match="holds no image"):
        take(store, tmp_path / "empty")
