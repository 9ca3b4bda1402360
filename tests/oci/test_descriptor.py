from __future__ import annotations

from typing import Any

import pytest

from rossfs.errors import InvalidDocument
from rossfs.oci.descriptor import MAX_URLS, Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.document import MAX_ANNOTATIONS
from rossfs.oci.platform import Platform

DIGEST = Digest.of(b"{}")
LEAST: dict[str, Any] = {
    "mediaType": "application/vnd.example",
    "digest": str(DIGEST),
    "size": 2,
}
MOST: dict[str, Any] = LEAST | {
    "urls": ["https://example.com/blob"],
    "annotations": {"org.opencontainers.image.ref.name": "größe"},
    "data": "e30=",
    "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
    "artifactType": "application/vnd.example.artifact",
}


def test_media_type_digest_and_size_are_enough() -> None:
    assert Descriptor.parse(LEAST, "x") == Descriptor("application/vnd.example", DIGEST, 2)


def test_all_members_are_kept() -> None:
    descriptor = Descriptor.parse(MOST, "x")
    assert descriptor.platform == Platform("linux", "arm64", "v8")
    assert descriptor.annotations == {"org.opencontainers.image.ref.name": "größe"}
    assert descriptor.urls == ("https://example.com/blob",)
    assert descriptor.artifact_type == "application/vnd.example.artifact"
    assert descriptor.data == b"{}"
    assert descriptor.as_json() == MOST
    assert list(descriptor.as_json()) == list(MOST)


def test_unknown_members_and_nulls_are_passed_over() -> None:
    nulls = dict.fromkeys(["urls", "annotations", "data", "platform", "artifactType"])
    descriptor = Descriptor.parse(LEAST | nulls | {"x-new": [{}]}, "x")
    assert descriptor == Descriptor.parse(LEAST, "x")


def test_no_data_is_not_empty_data() -> None:
    empty = Descriptor.parse(LEAST | {"data": ""}, "x")
    assert empty.data == b""
    assert empty.as_json()["data"] == ""
    assert "data" not in Descriptor.parse(LEAST, "x").as_json()


@pytest.mark.parametrize("size", [0, 1, 2**63 - 1])
def test_every_size_of_int64_is_fine(size: int) -> None:
    assert Descriptor.parse(LEAST | {"size": size}, "x").size == size


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mediaType": None}, "has no mediaType"),
        ({"mediaType": ""}, "has no mediaType"),
        ({"mediaType": 1}, "mediaType is a JSON number, not a string"),
        ({"mediaType": "text/plain\n"}, "no media type"),
        ({"mediaType": "x" * 256}, "no media type"),
        ({"mediaType": "größe"}, "no media type"),
        ({"digest": None}, "has no digest"),
        ({"digest": 5}, "digest is a JSON number"),
        ({"digest": "sha256:123"}, "no digest"),
        ({"digest": "sha256:../../" + "a" * 58}, "no digest"),
        ({"digest": "md5:" + "a" * 32}, "unknown digest algorithm"),
        ({"size": None}, "size is missing"),
        ({"size": "2"}, "size is a JSON string"),
        ({"size": True}, "size is a JSON boolean"),
        ({"size": 2.0}, "size is a JSON number, not an integer"),
        ({"size": -1}, "size is out of range: -1"),
        ({"size": 2**63}, "size is out of range"),
        ({"annotations": []}, "annotations is a JSON array"),
        ({"annotations": {"a": 1}}, 'annotation "a" is a JSON number'),
        ({"annotations": {"a": None}}, 'annotation "a" is a JSON null'),
        ({"annotations": {str(n): "" for n in range(MAX_ANNOTATIONS + 1)}}, "annotations, more"),
        ({"urls": "https://example.com"}, "urls is a JSON string"),
        ({"urls": [None]}, "urls has a JSON null among strings"),
        ({"urls": [""] * (MAX_URLS + 1)}, "urls has 1025 items"),
        ({"data": "e30"}, "data is not base64"),
        ({"data": "e3 0="}, "data is not base64"),
        ({"data": "größe"}, "data is not base64"),
        ({"data": {}}, "data is a JSON object"),
        ({"platform": "linux/amd64"}, "platform is a JSON string"),
        ({"platform": {"os": "a/b"}}, "platform: os cannot be part of a platform"),
        ({"artifactType": 1}, "artifactType is a JSON number"),
    ],
)
def test_a_hostile_descriptor_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        Descriptor.parse(LEAST | change, "manifest: layer 3")
    message = str(caught.value)
    assert message.startswith("manifest: layer 3")
    assert reason in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("obj", [None, [], "x", 1, True])
def test_what_is_no_object_is_no_descriptor(obj: object) -> None:
    with pytest.raises(InvalidDocument, match="is not a JSON object"):
        Descriptor.parse(obj, "x")


def test_content_is_described() -> None:
    assert Descriptor.of(b"{}", "application/vnd.example") == Descriptor.parse(LEAST, "x")
    assert Descriptor.of(b"{}", "x", "sha512").digest == Digest.of(b"{}", "sha512")


def test_blake3_may_be_named() -> None:
    text = "blake3:" + "a" * 64
    assert str(Descriptor.parse(LEAST | {"digest": text}, "x").digest) == text


@pytest.mark.parametrize(
    "change",
    [
        {"platform": {"os": "unknown", "architecture": "unknown"}},
        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    ],
)
def test_an_attestation_is_known_by_its_descriptor(change: dict[str, Any]) -> None:
    assert Descriptor.parse(LEAST | change, "x").is_attestation
    assert not Descriptor.parse(MOST, "x").is_attestation
