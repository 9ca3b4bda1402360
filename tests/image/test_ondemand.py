"""Computed files: every range is that of the whole, and wrong bytes are an error."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.errors import Damaged, ManifestNotFound, MissingContent, NotFound, RossfsError
from rossfs.image.cache import Cache
from rossfs.image.computed import docker_archive, oci_archive
from rossfs.image.export import export_image
from rossfs.image.import_ import import_images
from rossfs.image.layers import Layers
from rossfs.image.ondemand import OnDemand, Part, Recipe
from rossfs.image.tarframe import TarFrame
from rossfs.image.transport import parse_destination, parse_source
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from tests.layers import Layer, LayeredImage, image_of
from tests.tree.browsing import bottom, harm, lose, middle, top

AMD64 = Platform.parse("linux/amd64")
BUFFER = 1 << 20


@pytest.fixture
def layers(store: Store, tmp_path: Path) -> Layers:
    return Layers(store, Cache(str(tmp_path / "cache")))


def whole(recipe: Recipe, layers: Layers) -> bytes:
    data = OnDemand(recipe, layers).read(0, recipe.size + 1)
    assert len(data) == recipe.size
    return data


def files_of(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        members = [member for member in tar if member.isfile()]
        assert all((m.uid, m.gid, m.mtime, m.mode) == (0, 0, 0, 0o644) for m in members)
        return {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def stack(packing: str = "gzip") -> LayeredImage:
    return image_of(bottom(), middle(), top(), packing=packing)


# The recipe alone

PIECES = st.lists(st.binary(max_size=40), max_size=12)


@given(PIECES, st.integers(0, 500), st.integers(0, 500))
def test_a_range_is_that_of_the_parts_in_a_row(
    pieces: list[bytes], offset: int, length: int
) -> None:
    recipe = Recipe(pieces)
    joined = b"".join(pieces)
    assert recipe.size == len(joined)
    found = [
        bytes(recipe.parts[number])[at : at + count]  # type: ignore[arg-type]
        for number, at, count in recipe.ranges(offset, length)
    ]
    assert b"".join(found) == joined[offset : offset + length]
    assert all(found)


@given(PIECES, PIECES)
def test_equal_fingerprints_are_equal_bytes(one: list[bytes], other: list[bytes]) -> None:
    first, second = Recipe(one), Recipe(other)
    same = b"".join(one) == b"".join(other)
    assert (first.fingerprint == second.fingerprint) == same
    assert first.fingerprint == Recipe(one).fingerprint


def test_what_follows_each_other_in_memory_is_one_part() -> None:
    parts: list[Part] = [b"a", b"", b"b", b""]
    assert Recipe(parts).parts == (b"ab",)
    assert Recipe([]).size == 0
    assert list(Recipe([]).ranges(0, 10)) == []


# Archives


def test_the_oci_archive_is_what_export_writes(
    store: Store, layers: Layers, tmp_path: Path
) -> None:
    digest = stack().put(store)
    export_image(store, digest, parse_destination(f"oci-archive:{tmp_path}/out.tar"))
    computed = oci_archive(store, digest)
    assert whole(computed.recipe, layers) == (tmp_path / "out.tar").read_bytes()
    assert computed.absent == ()


def multi(store: Store, *images: LayeredImage) -> Digest:
    names = ("linux/amd64", "linux/arm64")
    offers = [(image.manifest, name) for image, name in zip(images, names, strict=True)]
    return store.put_index(builders.index(offers), OCI_INDEX)[0]


def test_the_oci_archive_of_an_index_has_all_that_is_stored_of_it(
    store: Store, layers: Layers, tmp_path: Path
) -> None:
    here, away = stack(), image_of(Layer().file("elsewhere"))
    here.put(store)
    digest = multi(store, here, away)
    before = oci_archive(store, digest)
    assert before.absent == (away.digest,)
    away.put(store)
    after = oci_archive(store, digest)
    assert after.absent == ()
    assert before.recipe.fingerprint != after.recipe.fingerprint
    export_image(store, digest, parse_destination(f"oci-archive:{tmp_path}/out.tar"))
    assert whole(after.recipe, layers) == (tmp_path / "out.tar").read_bytes()
    missing = {f"blobs/sha256/{blob.hex}" for blob in (away.digest, *away.layers)}
    assert missing < set(files_of(whole(after.recipe, layers)))
    assert not missing & set(files_of(whole(before.recipe, layers)))


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "zstd in frames", "xz"])
def test_a_docker_archive_has_config_and_uncompressed_layers(
    store: Store, layers: Layers, packing: str
) -> None:
    image = stack(packing)
    digest = image.put(store)
    files = files_of(whole(docker_archive(layers, digest, AMD64).recipe, layers))
    [item] = json.loads(files.pop("manifest.json"))
    assert item["RepoTags"] is None
    assert files.pop(item["Config"]) == image.config
    assert item["Config"] == f"{builders.digest_of(image.config).hex}.json"
    tars = [bottom().closed(), middle().closed(), top().closed()]
    assert [files[path] for path in item["Layers"]] == tars
    assert [path.removesuffix(".tar") for path in item["Layers"]] == [
        builders.digest_of(tar).hex for tar in tars
    ]
    assert set(files) == set(item["Layers"])


def test_the_docker_archive_of_an_index_is_that_of_the_platform(
    store: Store, layers: Layers
) -> None:
    here, away = stack(), image_of(Layer().file("elsewhere"))
    for image in (here, away):
        image.put(store)
    chosen = docker_archive(layers, multi(store, here, away), AMD64).recipe
    assert chosen.fingerprint == docker_archive(layers, here.digest, AMD64).recipe.fingerprint


def test_a_layer_that_comes_twice_is_there_once(
    store: Store, layers: Layers, tmp_path: Path
) -> None:
    digest = image_of(top(), bottom(), top(), packing=["gzip", "gzip", "zstd"]).put(store)
    archive = whole(docker_archive(layers, digest, AMD64).recipe, layers)
    [item] = json.loads(files_of(archive)["manifest.json"])
    assert item["Layers"][0] == item["Layers"][2] != item["Layers"][1]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert len(tar.getnames()) == 4
    (tmp_path / "docker.tar").write_bytes(archive)
    with Store.create(str(tmp_path / "second")) as second:
        source = parse_source(f"docker-archive:{tmp_path}/docker.tar")
        assert len(import_images(second, source).images) == 1


def test_an_image_without_layers_is_an_archive_too(store: Store, layers: Layers) -> None:
    digest = image_of().put(store)
    files = files_of(whole(docker_archive(layers, digest, AMD64).recipe, layers))
    assert json.loads(files["manifest.json"])[0]["Layers"] == []
    assert len(whole(oci_archive(store, digest).recipe, layers)) % 10240 == 0


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("form", ["oci", "gzip", "zstd"])
def test_any_range_is_that_of_the_whole(
    form: str, store: Store, layers: Layers, data: st.DataObject
) -> None:
    digest = stack("gzip" if form == "oci" else form).put(store)
    computed = (
        oci_archive(store, digest) if form == "oci" else docker_archive(layers, digest, AMD64)
    )
    recipe = computed.recipe
    expected = whole(recipe, layers)
    file = OnDemand(recipe, layers)
    buffer = memoryview(bytearray(BUFFER))
    for _ in range(data.draw(st.integers(1, 6))):
        offset = data.draw(st.integers(0, recipe.size + 10))
        length = data.draw(st.integers(0, 9000) | st.integers(0, recipe.size + 10))
        right = expected[offset : offset + length]
        ready = file.read_ready(offset, length, buffer)
        assert ready is None or bytes(ready) == right
        file.prepare(offset, length)
        assert file.read(offset, length) == right
        ready = file.read_ready(offset, length, buffer)
        assert ready is None or bytes(ready) == right


def test_nothing_is_read_before_it_is_prepared(store: Store, layers: Layers) -> None:
    recipe = oci_archive(store, stack().put(store)).recipe
    file = OnDemand(recipe, layers)
    buffer = memoryview(bytearray(BUFFER))
    assert recipe.size < BUFFER
    assert not file.prepared(0, recipe.size)
    assert file.read_ready(0, recipe.size, buffer) is None
    assert bytes(file.read_ready(0, 512, buffer) or b"") == file.read(0, 512)
    assert bytes(file.read_ready(recipe.size, 10, buffer) or b"x") == b"x"
    assert file.read(recipe.size, 10) == b""
    file.prepare(0, recipe.size)
    file.read(0, recipe.size)
    assert bytes(file.read_ready(0, 1000, buffer) or b"") == file.read(0, 1000)
    assert file.read_ready(0, 1000, buffer[:999]) is None


def test_few_parts_of_a_file_are_open(store: Store, layers: Layers) -> None:
    image = image_of(*[Layer().file(f"{number}", os.urandom(100)) for number in range(50)])
    recipe = oci_archive(store, image.put(store)).recipe
    before = len(os.listdir("/proc/self/fd"))
    file = OnDemand(recipe, layers)
    for offset in range(0, recipe.size, 700):
        file.prepare(offset, 700)
        file.read(offset, 700)
        assert len(os.listdir("/proc/self/fd")) < before + 10
    del file
    assert len(os.listdir("/proc/self/fd")) == before


# What is wrong or not there


def _reading(recipe: Recipe, layers: Layers) -> Iterator[bytes | RossfsError]:
    file = OnDemand(recipe, layers)
    for offset in range(0, recipe.size, 512):
        try:
            yield file.read(offset, 512)
        except RossfsError as error:
            yield error


@pytest.mark.damages_store
@pytest.mark.expects_warnings
@pytest.mark.parametrize("form", ["oci", "docker"])
@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
def test_damaged_bytes_are_never_given(
    store: Store, layers: Layers, tmp_path: Path, form: str, packing: str
) -> None:
    image = stack(packing)
    digest = image.put(store)
    made = oci_archive(store, digest) if form == "oci" else docker_archive(layers, digest, AMD64)
    expected = whole(made.recipe, layers)
    harm(store, image.layers[0])
    fresh = Layers(store, Cache(str(tmp_path / "cache")))
    wrong = 0
    for number, data in enumerate(_reading(made.recipe, fresh)):
        if isinstance(data, bytes):
            assert data == expected[number * 512 :][:512]
        else:
            assert isinstance(data, Damaged)
            wrong += 1
    assert wrong > 2


@pytest.mark.damages_store
def test_what_is_gone_since_is_an_error(store: Store, layers: Layers) -> None:
    image = stack()
    recipe = oci_archive(store, image.put(store)).recipe
    lose(store, image.layers[1])
    errors = [data for data in _reading(recipe, layers) if not isinstance(data, bytes)]
    assert errors
    assert all(isinstance(error, NotFound) for error in errors)
    with pytest.raises(MissingContent, match=image.layers[1].hex):
        oci_archive(store, image.digest)


@pytest.mark.damages_store
def test_a_size_that_is_not_the_contents_is_refused(store: Store) -> None:
    image = stack()
    document = json.loads(image.manifest)
    document["layers"][0]["size"] += 1
    for media_type, data in image.parts():
        store.put_blob(media_type, data)
    made = store.put_manifest(builders.compact(document), OCI_MANIFEST)
    assert isinstance(made, tuple)
    with pytest.raises(Damaged, match="its manifest says"):
        oci_archive(store, made[0])


def test_an_artifact_cannot_be_loaded(store: Store, layers: Layers) -> None:
    blob = stack().blobs[0]
    store.put_blob(OCI_LAYER_GZIP, blob)
    store.put_blob("application/octet-stream", b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": builders.descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [builders.descriptor(blob, OCI_LAYER_GZIP)],
    }
    made = store.put_manifest(builders.compact(document), OCI_MANIFEST)
    assert isinstance(made, tuple)
    with pytest.raises(ManifestNotFound, match="no image"):
        docker_archive(layers, made[0], AMD64)
    assert len(files_of(whole(oci_archive(store, made[0]).recipe, layers))) == 5


def test_the_frame_has_room_for_what_is_larger_than_ustar_can_say() -> None:
    frame = TarFrame()
    size = 9 << 30
    head = frame.before("blobs/sha256/big", size)
    with tarfile.open(fileobj=io.BytesIO(head + frame.after(0))) as tar:
        assert [
            (m.name, m.size) for m in (tar.next(), tar.next(), tar.next()) if m is not None
        ] == [
            ("blobs", 0),
            ("blobs/sha256", 0),
            ("blobs/sha256/big", size),
        ]
    frame.after(size)
    assert (len(head) + size + len(frame.end())) % 10240 == 0
