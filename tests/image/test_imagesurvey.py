"""Which images of a store podman is shown."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from rossfs.errors import TooManyFiles
from rossfs.image.cache import Cache
from rossfs.image.imagestore import ImageStore
from rossfs.image.imagesurvey import Survey
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store import smallfile
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_FOREIGN,
    OCI_CONFIG,
    OCI_MANIFEST,
    RossStore,
    compact,
    config,
    digest_of,
    image,
    image_parts,
    index,
    layer,
    manifest,
    ross_store,
)
from tests.layers import Layer, image_of

AMD64 = Platform("linux", "amd64")


class Look:
    """A store as Ross writes it, and surveys of it."""

    def __init__(self, top: Path) -> None:
        self.ross = ross_store(top / "ross")
        self.store = Store.open(str(self.ross.root))
        self.survey = Survey(self.store, Cache(str(top / "cache")), AMD64)
        self.watched: list[str] = []

    def take(self) -> ImageStore:
        return self.survey.take(lambda path, quiet=False: self.watched.append(path))

    def images(self) -> dict[str, list[str]]:
        """The names of each image, by id."""
        return {one["id"]: one.get("names", []) for one in json.loads(self.take().images_json)}

    def layers(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in json.loads(self.take().layers_json)}


@pytest.fixture
def look(tmp_path: Path) -> Look:
    return Look(tmp_path)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "rossfs.tree")
    return caplog


def both(repository: str, tag: str) -> list[str]:
    return [f"docker.io/{repository}:{tag}", f"localhost/{repository}:{tag}"]


def tag(ross: RossStore, name: str, digest: Digest) -> None:
    repository, _, short = name.rpartition(":")
    ross.set_tag(repository, short, digest)


def test_an_empty_store_has_empty_tables(look: Look) -> None:
    store = look.take()
    assert json.loads(store.images_json) == json.loads(store.layers_json) == []


def test_an_image_has_the_names_of_its_tags(look: Look) -> None:
    one = image(look.ross, tag="lab/app:v1")
    tag(look.ross, "lab/app:v2", one.manifest)
    tag(look.ross, "quay.io/x/y:v3", one.manifest)
    expected = sorted([*both("lab/app", "v1"), *both("lab/app", "v2"), "quay.io/x/y:v3"])
    assert look.images() == {one.config.hex: expected}


def test_an_image_without_tag_has_no_name(look: Look) -> None:
    one = image(look.ross)
    assert look.images() == {one.config.hex: []}


def test_its_documents_are_named_by_digest(look: Look) -> None:
    one = image(look.ross, tag="lab/app:v1")
    shown = look.take().images[one.config.hex]
    assert shown.digest == one.manifest
    assert [(item.key, item.digest, item.size) for item in shown.data] == [
        ("manifest", one.manifest, len(one.parts.manifest)),
        (f"manifest-{one.manifest}", one.manifest, len(one.parts.manifest)),
        (str(one.config), one.config, len(one.parts.config)),
    ]


def test_layers_lie_above_each_other(look: Look) -> None:
    one = image(look.ross, layers=3)
    shown = look.layers()
    top = look.take().images[one.config.hex].layer
    chain = [shown[top]]
    while "parent" in chain[-1]:
        chain.append(shown[chain[-1]["parent"]])
    assert [item["compressed-diff-digest"] for item in reversed(chain)] == list(
        map(str, one.layers)
    )
    assert len(shown) == 3


def test_an_index_means_the_image_of_the_platform(
    look: Look, log: pytest.LogCaptureFixture
) -> None:
    here = image(look.ross, "here")
    other = image(look.ross, "other", architecture="arm64")
    both_of_them = index(
        [(here.parts.manifest, "linux/amd64"), (other.parts.manifest, "linux/arm64")]
    )
    listed = look.ross.put_index(both_of_them)
    tag(look.ross, "lab/multi:v1", listed)
    assert look.images() == {here.config.hex: both("lab/multi", "v1")}
    keys = [item.key for item in look.take().images[here.config.hex].data]
    assert f"manifest-{listed}" in keys
    assert not log.records, "nobody asked for the image of another platform"


def test_manifests_with_one_config_are_one_image(look: Look) -> None:
    layered = image_of(Layer().file("a", b"1"))
    gzip = layered.put(look.ross, "lab/gzip:v1")
    zstd = image_of(Layer().file("a", b"1"), packing="zstd").put(look.ross, "lab/zstd:v1")
    assert gzip != zstd
    (shown,) = look.take().images.values()
    assert shown.digest == gzip, "gzip is read with less work"
    assert set(shown.names) == {*both("lab/gzip", "v1"), *both("lab/zstd", "v1")}
    assert {f"manifest-{gzip}", f"manifest-{zstd}"} < {item.key for item in shown.data}
    assert len(look.layers()) == 1


def test_a_shared_layer_is_opened_with_the_smallest_image(look: Look) -> None:
    low, high = Layer().file("a", b"1"), Layer().file("b", b"2")
    large = image_of(low, high).put(look.ross)
    small = image_of(low).put(look.ross)
    layers = {item.position: item for item in look.take().layers.values()}
    assert layers[0].manifest == small
    assert layers[1].manifest == large


def test_tags_move(look: Look) -> None:
    one, other = image(look.ross, "one", tag="lab/app:v1"), image(look.ross, "other")
    assert look.images()[one.config.hex] == both("lab/app", "v1")
    tag(look.ross, "lab/app:v1", other.manifest)
    assert look.images() == {one.config.hex: [], other.config.hex: both("lab/app", "v1")}
    look.store.delete_tag("lab/app", "v1")
    look.store.garbage_collect()
    assert look.images() == {}


def test_all_directories_that_matter_are_watched(look: Look) -> None:
    image(look.ross, tag="a/b/c:v1")
    look.take()
    root = str(look.ross.root)
    areas = {f"{root}/{area}/sha256" for area in (Area.MANIFESTS, Area.INDEXES)}
    tags = {f"{root}/tags", f"{root}/tags/a", f"{root}/tags/a/b", f"{root}/tags/a/b/c"}
    assert areas | tags <= set(look.watched)


# --- names that two images would have ---


def test_a_name_that_a_tag_says_itself_is_its_own(
    look: Look, log: pytest.LogCaptureFixture
) -> None:
    derived = image(look.ross, "derived", tag="lab/app:v1")
    stated = image(look.ross, "stated", tag="localhost/lab/app:v1")
    single = image(look.ross, "single", tag="nginx:v1")
    library = image(look.ross, "library", tag="library/nginx:v1")
    for _ in range(2):
        assert look.images() == {
            derived.config.hex: ["docker.io/lab/app:v1"],
            stated.config.hex: ["localhost/lab/app:v1"],
            single.config.hex: ["localhost/nginx:v1"],
            library.config.hex: both("library/nginx", "v1"),
        }
    place = "in podman/ is the image of"
    assert sorted(log.messages) == [
        f"docker.io/library/nginx:v1 {place} library/nginx:v1, not that of nginx:v1",
        f"localhost/lab/app:v1 {place} localhost/lab/app:v1, not that of lab/app:v1",
    ]


def test_no_name_comes_twice(look: Look) -> None:
    hosts = ("", "docker.io/", "index.docker.io/", "localhost/")
    repositories = [f"{host}{name}" for host in hosts for name in ("nginx", "library/nginx")]
    for number, repository in enumerate(repositories):
        image(look.ross, str(number), tag=f"{repository}:v1")
    names = [name for names in look.images().values() for name in names]
    assert len(names) == len(set(names)) == 3


# --- what is left out ---


def put_manifest(look: Look, data: bytes, name: str = "lab/odd:v1") -> Digest:
    digest = look.ross.put_manifest(data, OCI_MANIFEST)
    tag(look.ross, name, digest)
    return digest


def put(look: Look, config_data: bytes, *layers: bytes, kinds: list[str] | None = None) -> Digest:
    look.ross.put_blob(OCI_CONFIG, config_data)
    for data in layers:
        look.ross.put_blob("", data)
    return put_manifest(look, manifest(config_data, layers, layer_types=kinds))


DATA = layer({"a": b"1"})
DIFF_ID = str(digest_of(b"whatever"))


def other_platform(look: Look) -> None:
    image(look.ross, architecture="s390x", tag="lab/odd:v1")


def too_few_diff_ids(look: Look) -> None:
    put(look, config([]), DATA)


def sha512_diff_id(look: Look) -> None:
    put(look, config([str(digest_of(b"x", "sha512"))]), DATA)


def broken_config(look: Look) -> None:
    put(look, b"no JSON", DATA)


def artifact(look: Look) -> None:
    put(
        look, config([DIFF_ID]), DATA, kinds=["application/vnd.cncf.helm.chart.content.v1.tar+gzip"]
    )


def broken_manifest(look: Look) -> None:
    put_manifest(look, compact({"schemaVersion": 2, "config": {}, "layers": []}))


def index_without_platform(look: Look) -> None:
    other = image_parts(architecture="s390x")
    tag(look.ross, "lab/odd:v1", look.ross.put_index(index([(other.manifest, "linux/s390x")])))


@pytest.mark.parametrize(
    "make",
    [other_platform, too_few_diff_ids, sha512_diff_id, broken_config, artifact, broken_manifest,
     index_without_platform],
)  # fmt: skip
def test_what_cannot_be_shown_is_left_out_and_told_once(
    look: Look, log: pytest.LogCaptureFixture, make: Any
) -> None:
    make(look)
    good = image(look.ross, "good", tag="lab/good:v1")
    for _ in range(3):
        assert look.images() == {good.config.hex: both("lab/good", "v1")}
    (told,) = log.messages
    assert told.startswith("lab/odd:v1 is not in podman/: ")


def missing_layer(look: Look) -> tuple[bytes, str]:
    put(look, config([DIFF_ID]))
    put_manifest(look, manifest(config([DIFF_ID]), [DATA]))
    return DATA, ""


def missing_foreign_layer(look: Look) -> tuple[bytes, str]:
    look.ross.put_blob(OCI_CONFIG, config([DIFF_ID]))
    put_manifest(look, manifest(config([DIFF_ID]), [DATA], layer_types=[DOCKER_FOREIGN]))
    return DATA, ""


def missing_config(look: Look) -> tuple[bytes, str]:
    look.ross.put_blob("", DATA)
    put_manifest(look, manifest(config([DIFF_ID]), [DATA]))
    return config([DIFF_ID]), OCI_CONFIG


def missing_manifest(look: Look) -> tuple[bytes, str]:
    parts = image_parts()
    for media_type, data in parts.blobs():
        look.ross.put_blob(media_type, data)
    tag(look.ross, "lab/odd:v1", look.ross.put_index(index([(parts.manifest, "linux/amd64")])))
    return parts.manifest, OCI_MANIFEST


@pytest.mark.parametrize(
    "make", [missing_layer, missing_foreign_layer, missing_config, missing_manifest]
)
def test_what_is_missing_is_awaited(look: Look, log: pytest.LogCaptureFixture, make: Any) -> None:
    data, media_type = make(look)
    before = len(look.images())
    assert not look.survey.arrived()
    assert [line for line in log.messages if "is not stored" in line]
    if media_type == OCI_MANIFEST:
        look.ross.put_manifest(data)
    else:
        look.ross.put_blob(media_type, data)
    assert look.survey.arrived()
    assert len(look.images()) == before + 1
    assert not look.survey.arrived()


def test_a_rejected_image_stays_out(look: Look, log: pytest.LogCaptureFixture) -> None:
    bad, good = image(look.ross, "bad", tag="lab/bad:v1"), image(look.ross, "good")
    look.take()
    look.survey.reject(bad.manifest, "its layers are wrong")
    assert look.images() == {good.config.hex: []}
    assert log.messages == ["lab/bad:v1 is not in podman/: its layers are wrong"]


def test_a_false_lowest_layer_takes_no_place(look: Look) -> None:
    real = image(look.ross, layers=2, tag="lab/real:v1")
    top = look.take().images[real.config.hex].layer
    put(look, config([f"sha256:{top}"]), DATA)
    shown = look.take().layers[top]
    assert shown.manifest == real.manifest
    assert shown.parent


def test_lengths_come_from_what_is_known(look: Look, tmp_path: Path) -> None:
    plain = image_of(Layer().file("a", b"1"), packing="plain")
    packed = image_of(Layer().file("b", b"2"), packing="zstd")
    for one in (plain, packed):
        one.put(look.ross)

    def lengths() -> list[int | None]:
        shown = {one["compressed-diff-digest"]: one for one in look.layers().values()}
        return [shown[str(one.layers[0])].get("diff-size") for one in (plain, packed)]

    length = len(Layer().file("a", b"1").closed())
    assert lengths() == [length, None]
    layers = Layers(look.store, Cache(str(tmp_path / "cache")))
    layers.open(packed.layers[0])
    layers.close()
    assert lengths() == [length, length]


@pytest.mark.parametrize("packing", ["gzip", "gzip in members"])
def test_gzip_says_its_length_itself(look: Look, packing: str) -> None:
    layered = image_of(Layer().file("a", bytes(100_000)), packing=packing)
    layered.put(look.ross)
    length = len(Layer().file("a", bytes(100_000)).closed())
    (shown,) = look.layers().values()
    if packing == "gzip":
        assert shown["diff-size"] == length
    else:
        assert shown.get("diff-size") != 0
    look.survey.lengths.learn(layered.layers[0], length)
    (shown,) = look.layers().values()
    assert shown["diff-size"] == length


def test_a_length_comes_from_whoever_knows_it(look: Look) -> None:
    low = Layer().file("a", bytes(100_000))
    image_of(low, packing="zstd").put(look.ross)
    image_of(low, Layer().file("b", b"2"), packing="gzip").put(look.ross)
    shown = {one.get("parent", ""): one["diff-size"] for one in look.layers().values()}
    assert shown[""] == len(low.closed())


def test_no_layer_is_read(look: Look) -> None:
    one = image(look.ross, layers=2, tag="lab/app:v1")
    for digest in one.layers:
        look.ross.path(digest).write_bytes(b"damaged beyond recognition")
    assert look.images() == {one.config.hex: both("lab/app", "v1")}


@pytest.mark.parametrize("tag", [None, "library/app:v1"])
def test_what_cannot_be_opened_now_is_not_left_out(
    look: Look, monkeypatch: pytest.MonkeyPatch, tag: str | None
) -> None:
    image(look.ross, "one", tag=tag)

    with monkeypatch.context() as patched:
        patched.setattr(smallfile, "read", Mock(side_effect=TooManyFiles("no more")))
        with pytest.raises(TooManyFiles):
            look.take()
    assert len(look.images()) == 1
