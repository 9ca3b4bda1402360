"""Importing what skopeo writes with dir:."""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.errors import DigestMismatch, InvalidSource, MissingContent
from rossfs.image.import_ import import_images
from rossfs.image.transport import parse_source
from rossfs.store.store import Store
from tests import builders
from tests.builders import ImageParts, digest_of, image_parts
from tests.image.sources import Files, write_tree


def dir_of(parts: ImageParts) -> Files:
    blobs = (parts.config, *parts.layers)
    return {
        "version": b"Directory Transport Version: 1.1\n",
        "manifest.json": parts.manifest,
        **{digest_of(data).hex: data for data in blobs},
    }


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize("transport", ["", "dir:"])
def test_the_image_comes_byte_for_byte(
    store: Store, tmp_path: Path, docker: bool, transport: str
) -> None:
    parts = image_parts(docker=docker)
    source = write_tree(tmp_path / "app", dir_of(parts))
    import_images(store, parse_source(f"{transport}{source}"))
    assert store.resolve_tag("library/app", "latest") == (parts.digest, parts.media_type)
    assert store.get_manifest(parts.digest)[0] == parts.manifest


def test_an_index_has_its_manifests_beside_it(store: Store, tmp_path: Path) -> None:
    amd, arm = image_parts("a"), image_parts("b", architecture="arm64")
    index = builders.index([(amd.manifest, "linux/amd64"), (arm.manifest, "linux/arm64")])
    files = dir_of(amd) | dir_of(arm) | {"manifest.json": index}
    files |= {f"{parts.digest.hex}.manifest.json": parts.manifest for parts in (amd, arm)}
    import_images(store, parse_source(str(write_tree(tmp_path / "app", files))), "lab/multi")
    assert store.resolve_tag("lab/multi", "latest")[0] == digest_of(index)
    assert set(store.list_manifests()) == {amd.digest, arm.digest}


def test_missing_and_changed_blobs_are_refused(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    name = digest_of(parts.layers[0]).hex
    source = write_tree(tmp_path / "app", dir_of(parts))
    (source / name).write_bytes(parts.layers[0][:-1] + b"x")
    with pytest.raises(DigestMismatch, match=name):
        import_images(store, parse_source(str(source)))
    (source / name).unlink()
    with pytest.raises(MissingContent, match=name):
        import_images(store, parse_source(str(source)))


def test_a_manifest_json_that_is_no_manifest_is_refused(store: Store, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "app", {"manifest.json": b'{"a": 1}'})
    with pytest.raises(InvalidSource, match="no image manifest"):
        import_images(store, parse_source(str(source)))
    with pytest.raises(InvalidSource, match="it has no manifest"):
        import_images(store, parse_source(f"dir:{tmp_path}"))
