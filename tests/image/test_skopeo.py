"""What other tools say of what rossfs writes, and what rossfs makes of what they write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rossfs.image.import_ import import_images
from rossfs.image.transport import parse_source
from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, digest_of, image_parts
from tests.image.conftest import Tool
from tests.image.exports import files_below, files_in, give
from tests.image.sources import blob_path, layout_of, plain_layers, write_tree

ROUND_TRIPS = ("oci:{0}/out:v1", "oci-archive:{0}/out.tar:v1")


@pytest.mark.parametrize("place", ROUND_TRIPS)
def test_skopeo_sees_the_same_digests(store: Store, tmp_path: Path, tool: Tool, place: str) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    place = place.format(tmp_path)
    give(store, "app:v1", place)
    seen = json.loads(tool("skopeo", "inspect", place))
    assert seen["Digest"] == str(image.manifest)
    assert seen["Layers"] == list(map(str, image.layers))
    assert tool("skopeo", "inspect", "--raw", place).encode() == image.parts.manifest


@pytest.mark.parametrize("place", ROUND_TRIPS)
def test_what_skopeo_copies_from_us_is_what_we_had(
    store: Store, tmp_path: Path, tool: Tool, place: str
) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    place = place.format(tmp_path)
    give(store, "app:v1", place)
    tool("skopeo", "copy", "--preserve-digests", place, f"oci:{tmp_path}/copy:v1")
    copied = files_below(tmp_path / "copy")
    parts = image.parts
    for data in (parts.manifest, parts.config, *parts.layers):
        assert copied[blob_path(data)] == data


def test_skopeo_reads_an_index_with_all_its_images(
    store: Store, tmp_path: Path, tool: Tool
) -> None:
    amd = builders.image(store, "a", architecture="amd64")
    arm = builders.image(store, "b", architecture="arm64")
    data = builders.index(
        [(amd.parts.manifest, "linux/amd64"), (arm.parts.manifest, "linux/arm64")]
    )
    store.set_tag("lab/multi", "v1", store.put_index(data, OCI_INDEX)[0])
    give(store, "lab/multi:v1", tmp_path / "out")
    tool("skopeo", "copy", "--all", f"oci:{tmp_path}/out:v1", f"dir:{tmp_path}/dir")
    copied = files_below(tmp_path / "dir")
    assert copied["manifest.json"] == data
    assert copied[f"{arm.manifest.hex}.manifest.json"] == arm.parts.manifest
    import_images(store, parse_source(f"dir:{tmp_path}/dir"), "lab/again:v1")
    assert store.resolve_tag("lab/again", "v1")[0] == digest_of(data)


def test_skopeo_reads_the_archive_for_docker(store: Store, tmp_path: Path, tool: Tool) -> None:
    """In a docker archive skopeo names layers by their uncompressed digests."""
    image = builders.image(store, "app", tag="lab/app:v1")
    give(store, "lab/app:v1", f"docker-archive:{tmp_path}/out.tar")
    seen = json.loads(tool("skopeo", "inspect", f"docker-archive:{tmp_path}/out.tar:lab/app:v1"))
    assert seen["Layers"] == [str(digest_of(data)) for data in plain_layers(image.parts)]
    config = tool("skopeo", "inspect", "--config", "--raw", f"docker-archive:{tmp_path}/out.tar")
    assert config.encode() == image.parts.config
    again = json.loads(tool("skopeo", "inspect", f"oci-archive:{tmp_path}/out.tar:v1"))
    assert again["Digest"] == str(image.manifest)


def test_an_archive_that_skopeo_wrote_for_docker_keeps_its_layers(
    store: Store, tmp_path: Path, tool: Tool
) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "in", layout_of({"v1": parts}))
    place = f"docker-archive:{tmp_path}/in.tar:lab/app:v1"
    tool("skopeo", "copy", f"oci:{source}:v1", place)
    seen = json.loads(tool("skopeo", "inspect", place))
    import_images(store, parse_source(place))
    digest, _ = store.resolve_tag("lab/app", "v1")
    document = json.loads(store.get_manifest(digest)[0])
    assert [layer["digest"] for layer in document["layers"]] == seen["Layers"]
    assert document["config"]["digest"] == str(digest_of(parts.config))
    assert json.loads(files_in(tmp_path / "in.tar")["manifest.json"])[0]["RepoTags"] == [
        "docker.io/lab/app:v1"
    ]


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_a_directory_that_skopeo_wrote_comes_byte_for_byte(
    store: Store, tmp_path: Path, tool: Tool, form: str
) -> None:
    source = write_tree(tmp_path / "in", layout_of({"v1": image_parts()}))
    tool("skopeo", "copy", "--format", form, f"oci:{source}:v1", f"dir:{tmp_path}/dir")
    import_images(store, parse_source(str(tmp_path / "dir")), "lab/app:v1")
    digest, _ = store.resolve_tag("lab/app", "v1")
    assert store.get_manifest(digest)[0] == (tmp_path / "dir" / "manifest.json").read_bytes()
    # Alone in a layout, skopeo finds it also where it is one of Docker's.
    give(store, "lab/app:v1", tmp_path / "out")
    assert json.loads(tool("skopeo", "inspect", f"oci:{tmp_path}/out"))["Digest"] == str(digest)


def test_umoci_and_skopeo_can_add_to_what_we_wrote_and_we_to_theirs(
    store: Store, tmp_path: Path, tool: Tool
) -> None:
    builders.image(store, "one", tag="library/app:v1")
    builders.image(store, "two", tag="library/app:v2")
    give(store, "app:v1", tmp_path / "out")
    tool("umoci", "tag", "--image", f"{tmp_path}/out:v1", "by-umoci")
    tool("skopeo", "copy", f"oci:{tmp_path}/out:v1", f"oci:{tmp_path}/out:by-skopeo")
    give(store, "app:v2", tmp_path / "out")
    listed = tool("umoci", "ls", "--layout", tmp_path / "out").split()
    assert sorted(listed) == ["by-skopeo", "by-umoci", "v1", "v2"]
    tool("umoci", "stat", "--image", f"{tmp_path}/out:v2", "--json")
    before = files_below(tmp_path / "out")
    tool("umoci", "gc", "--layout", tmp_path / "out")
    assert files_below(tmp_path / "out").keys() == before.keys()


def test_umoci_unpacks_what_we_wrote(store: Store, tmp_path: Path, tool: Tool) -> None:
    builders.image(store, "app", tag="library/app:v1")
    give(store, "app:v1", tmp_path / "out")
    bundle = tmp_path / "bundle"
    tool("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/out:v1", bundle)
    assert (bundle / "rootfs/etc/os-release").read_bytes() == b"NAME=app\nLAYER=1\n"
