from __future__ import annotations

import json
from typing import Any

import pytest

from rossfs.errors import InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import DOCKER_MANIFEST, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, OCTET_STREAM
from rossfs.oci.schema import MAX_DESCRIPTORS
from tests import builders

CONFIG = builders.descriptor(b"{}", builders.OCI_CONFIG)
LAYER = builders.descriptor(b"layer", builders.OCI_LAYER_GZIP)
LEAST: dict[str, Any] = {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]}


def parse(change: dict[str, Any], media_type: str | None = None) -> Manifest:
    """Parse the least manifest with a change."""
    return Manifest.parse(builders.compact(LEAST | change), media_type)


@pytest.mark.parametrize("docker", [False, True])
def test_an_image_says_what_it_needs(docker: bool) -> None:
    parts = builders.image_parts(docker=docker)
    manifest = Manifest.parse(parts.manifest)
    assert manifest.media_type == (DOCKER_MANIFEST if docker else OCI_MANIFEST)
    assert [item.digest for item in manifest.references()] == [
        Digest.of(data) for _, data in parts.blobs()
    ]
    assert [item.size for item in manifest.layers] == [len(layer) for layer in parts.layers]
    assert manifest.is_image


def test_without_a_media_type_it_is_of_oci() -> None:
    assert parse({}).media_type == OCI_MANIFEST
    assert parse({"mediaType": None}).media_type == OCI_MANIFEST
    assert parse({}, OCTET_STREAM).media_type == OCI_MANIFEST


def test_what_the_document_says_counts_most() -> None:
    assert parse({}, DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    assert parse({"mediaType": OCI_MANIFEST}, DOCKER_MANIFEST).media_type == OCI_MANIFEST


def test_an_unknown_media_type_counts_for_nothing() -> None:
    assert parse({"mediaType": "application/vnd.new+json"}).media_type == OCI_MANIFEST
    changed = parse({"mediaType": "application/vnd.new+json"}, DOCKER_MANIFEST)
    assert changed.media_type == DOCKER_MANIFEST


def test_the_parameters_of_a_content_type_are_dropped() -> None:
    assert parse({}, f"{OCI_MANIFEST}; charset=utf-8").media_type == OCI_MANIFEST


def test_an_artifact_is_no_image() -> None:
    subject = builders.descriptor(b"x", builders.OCI_MANIFEST)
    manifest = parse(
        {
            "artifactType": "application/vnd.example.sbom",
            "config": builders.descriptor(b"{}", "application/vnd.oci.empty.v1+json")
            | {"data": "e30="},
            "layers": [builders.descriptor(b"sbom", "text/spdx")],
            "subject": subject,
            "annotations": {"a": "b"},
        }
    )
    assert not manifest.is_image
    assert manifest.artifact_type == "application/vnd.example.sbom"
    assert manifest.annotations == {"a": "b"}
    assert manifest.subject is not None
    assert manifest.subject not in manifest.references()
    assert manifest.subject.as_json() == subject


def test_an_attestation_is_no_image_though_its_config_is() -> None:
    statement = builders.descriptor(b"x", "application/vnd.in-toto+json")
    assert not parse({"layers": [statement]}).is_image


@pytest.mark.parametrize("layers", [None, []])
def test_an_image_may_have_no_layers(layers: object) -> None:
    manifest = parse({"layers": layers})
    assert manifest.layers == ()
    assert manifest.is_image


def test_unknown_members_are_passed_over() -> None:
    assert parse({"x-new": [1], "subject": None, "annotations": None, "manifests": None}) == parse(
        {}
    )


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": []},
        {"schemaVersion": 1},
        LEAST | {"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
        LEAST | {"fsLayers": []},
    ],
)
def test_schema_1_is_refused_by_name(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocument, match="Docker schema 1, which is not supported"):
        Manifest.parse(builders.compact(document))


def test_schema_1_is_known_by_its_content_type() -> None:
    with pytest.raises(InvalidDocument, match="Docker schema 1"):
        parse({}, "application/vnd.docker.distribution.manifest.v1+json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schemaVersion": 3}, "not of schemaVersion 2"),
        ({"schemaVersion": "2"}, "not of schemaVersion 2"),
        ({"schemaVersion": True}, "not of schemaVersion 2"),
        ({"config": None}, "has no config"),
        ({"config": []}, "config is no descriptor"),
        ({"layers": {}}, "layers is a JSON object, not an array"),
        ({"layers": [LAYER, None]}, "layer 1 is no descriptor"),
        ({"layers": [LAYER, LAYER | {"size": -5}]}, "layer 1: size is out of range"),
        ({"layers": [{}]}, "layer 0 has no mediaType"),
        ({"subject": []}, "subject is no descriptor"),
        ({"annotations": {"a": []}}, 'annotation "a"'),
        ({"artifactType": []}, "artifactType is a JSON array"),
        ({"mediaType": []}, "mediaType is a JSON array"),
        ({"mediaType": OCI_INDEX}, "the media type of another thing"),
        ({"mediaType": OCI_LAYER}, "the media type of another thing"),
        ({"manifests": [LAYER]}, "has manifests too"),
    ],
)
def test_a_hostile_manifest_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDocument, match=reason):
        parse(change)


def test_a_manifest_is_not_read_as_what_it_is_not() -> None:
    with pytest.raises(InvalidDocument, match="the media type of another thing"):
        parse({}, OCI_INDEX)


def test_the_number_of_layers_is_limited() -> None:
    least = {
        "mediaType": "a/b",
        "digest": str(Digest.of(b"")),
        "size": 0,
    }
    assert len(parse({"layers": [least] * MAX_DESCRIPTORS}).layers) == MAX_DESCRIPTORS
    with pytest.raises(InvalidDocument, match="layers has 16385 items"):
        parse({"layers": [least] * (MAX_DESCRIPTORS + 1)})


def test_messages_name_the_document() -> None:
    with pytest.raises(InvalidDocument, match=r"^manifest.json of x: layer 0"):
        Manifest.parse(json.dumps(LEAST | {"layers": [1]}).encode(), None, "manifest.json of x")
