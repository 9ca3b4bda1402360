"""What cannot be exported, and what an interruption leaves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.errors import (
    BlobNotFound,
    Damaged,
    InvalidDocument,
    MissingContent,
    RossfsError,
    UsageError,
)
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests import builders
from tests.builders import (
    DOCKER_FOREIGN,
    DOCKER_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    digest_of,
    image_parts,
)
from tests.image.exports import files_below, give
from tests.image.sources import (
    Watching,
    blob_path,
    layout_of,
    write_tree,
)


def artifact(store: Store, layer_type: str) -> None:
    layer = builders.layer({"a": b"1"})
    config = builders.config(["sha256:" + "0" * 64])
    store.put_blob(None, layer)
    store.put_blob(None, config)
    manifest = builders.manifest(config, [layer], layer_types=[layer_type])
    store.set_tag("lab/artifact", "v1", store.put_manifest(manifest, OCI_MANIFEST)[0])


@pytest.mark.parametrize(
    ("layer_type", "error"),
    [
        ("application/vnd.oci.image.layer.v1.tar+zstd", UsageError),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", InvalidDocument),
    ],
)
def test_what_docker_cannot_load_is_refused_for_docker_only(
    store: Store, tmp_path: Path, layer_type: str, error: type[RossfsError]
) -> None:
    artifact(store, layer_type)
    with pytest.raises(error):
        give(store, "lab/artifact:v1", f"docker-archive:{tmp_path}/a.tar")
    assert not list(tmp_path.glob("*.tar"))
    give(store, "lab/artifact:v1", tmp_path / "out")


def test_a_foreign_layer_that_is_not_stored_is_left_out(store: Store, tmp_path: Path) -> None:
    layers = [builders.layer({"a": b"1"}), builders.layer({"b": b"2"})]
    config = builders.config(["sha256:" + "0" * 64] * 2)
    for data in (config, layers[1]):
        store.put_blob(None, data)
    types = [DOCKER_FOREIGN, DOCKER_LAYER]
    manifest = builders.manifest(config, layers, docker=True, layer_types=types)
    digest, _ = store.put_manifest(manifest, builders.DOCKER_MANIFEST)
    store.set_tag("lab/win", "v1", digest)
    give(store, "lab/win:v1", tmp_path / "out")
    assert blob_path(layers[0]) not in files_below(tmp_path / "out")
    with pytest.raises(UsageError, match="not stored"):
        give(store, "lab/win:v1", f"docker-archive:{tmp_path}/a.tar")


def test_missing_content_is_named_and_nothing_is_written(store: Store, tmp_path: Path) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    store.delete_blob(image.layers[1])
    for place in ("out", "out.tar"):
        with pytest.raises(MissingContent, match=str(image.layers[1])):
            give(store, "app:v1", tmp_path / place)
    assert os.listdir(tmp_path) == ["store"]
    store.put_blob(OCI_LAYER_GZIP, image.parts.layers[1])


def damage(store: Store, digest: Digest) -> Callable[[], None]:
    """Change the stored bytes, but not the seal on them; return what undoes that."""
    found = store.contents.find(digest)
    assert found is not None
    before = os.stat(found.path)
    data = Path(found.path).read_bytes()

    def put(content: bytes) -> None:
        Path(found.path).write_bytes(content)
        os.utime(found.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    put(data[:-1] + bytes([data[-1] ^ 1]))
    return lambda: put(data)


@pytest.mark.parametrize("place", ["out", "out.tar"])
def test_damaged_content_does_not_leave_the_store(store: Store, tmp_path: Path, place: str) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    undo = damage(store, image.layers[1])
    with pytest.raises(Damaged, match=str(image.layers[1])):
        give(store, "app:v1", tmp_path / place)
    assert os.listdir(tmp_path) == ["store"]
    with pytest.raises((Damaged, BlobNotFound)):
        store.get_blob(image.layers[1])
    undo()


class Interrupting(Watching):
    """Ctrl-C in the middle of the second blob."""

    def advance(self, name: str, count: int) -> None:
        """See Progress.advance."""
        if len(self.begun) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["out", "out.tar", "docker-archive:out"])
def test_an_interrupted_export_leaves_nothing(store: Store, tmp_path: Path, place: str) -> None:
    builders.image(store, "app", tag="library/app:v1", layers=5)
    *transport, path = place.split(":")
    with pytest.raises(KeyboardInterrupt):
        give(store, "app:v1", ":".join([*transport, str(tmp_path / path)]), None, Interrupting())
    assert os.listdir(tmp_path) == ["store"]
    assert list(store.pins.live()) == []


def test_an_interrupted_export_leaves_old_places_as_they_were(store: Store, tmp_path: Path) -> None:
    write_tree(tmp_path / "out", layout_of({"old": image_parts("old")}))
    (tmp_path / "out.tar").write_bytes(b"old")
    before = files_below(tmp_path / "out")
    builders.image(store, "app", tag="library/app:v1", layers=5)
    for place in ("out", "out.tar"):
        with pytest.raises(KeyboardInterrupt):
            give(store, "app:v1", tmp_path / place, None, Interrupting())
    assert (tmp_path / "out.tar").read_bytes() == b"old"
    after = files_below(tmp_path / "out")
    assert {path: after[path] for path in before} == before
    # Whole blobs may be there that nothing names; nothing else.
    assert all(
        digest_of(data).hex == Path(path).name for path, data in after.items() if path not in before
    )
