from __future__ import annotations

from typing import Any

import pytest

from rossfs.errors import InvalidDocument
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
)
from rossfs.oci.recognise import parse_as, recognise
from tests import builders

PARTS = builders.image_parts()
CONFIG = builders.descriptor(PARTS.config, OCI_CONFIG)
MANIFEST = builders.compact({"config": CONFIG, "layers": []})
INDEX = builders.compact({"manifests": []})


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PARTS.manifest, OCI_MANIFEST),
        (builders.image_parts(docker=True).manifest, DOCKER_MANIFEST),
        (builders.index([(PARTS.manifest, "linux/amd64")]), OCI_INDEX),
        (builders.index([(PARTS.manifest, "linux/amd64")], docker=True), DOCKER_LIST),
        (MANIFEST, OCI_MANIFEST),
        (INDEX, OCI_INDEX),
        (b'{"schemaVersion":2,"manifests":null}', OCI_INDEX),
        (b" \t\r\n" * 1000 + MANIFEST + b"\n", OCI_MANIFEST),
        (MANIFEST.replace(b'"layers"', b'"\\u006cayers"'), OCI_MANIFEST),
        (INDEX.replace(b"manifests", b"\\u006danifests"), OCI_INDEX),
    ],
)
def test_a_manifest_or_index_is_recognised(data: bytes, media_type: str) -> None:
    assert recognise(data) == media_type
    assert parse_as(data, OCTET_STREAM).media_type == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}",
        b"[]",
        b"\x1f\x8b\x08",
        b"\xef\xbb\xbf" + MANIFEST,
        MANIFEST + b"x",
        MANIFEST[:-1],
        PARTS.config,
        b'{"manifests":1}',
        b'{"manifests":[1]}',
        b'{"mediaType":1,"config":null,"layers":[]}',
        builders.compact({"layers": [], "config": {"name": "keras"}}),
        builders.compact({"layers": []}),
        builders.compact({"config": CONFIG}),
        builders.compact({"config": CONFIG, "layers": [], "manifests": [CONFIG]}),
        builders.compact({"mediaType": "application/vnd.new", "config": CONFIG, "layers": []}),
        builders.compact({"mediaType": OCI_CONFIG, "config": CONFIG, "layers": []}),
        builders.compact({"mediaType": OCI_MANIFEST, "manifests": []}),
        builders.compact({"schemaVersion": 1, "fsLayers": [], "layers": [], "config": CONFIG}),
        b"{" + b" " * (4 << 20) + MANIFEST[1:],
        b'{"manifests":' + b"[" * 1_000_000,
        b'{"layers":[],"config":{"size":' + b"9" * 1_000_000 + b"}}",
    ],
)
def test_everything_else_is_not(data: bytes) -> None:
    assert recognise(data) is None


def test_a_document_is_read_as_what_it_is_said_to_be() -> None:
    assert isinstance(parse_as(PARTS.manifest, OCI_MANIFEST), Manifest)
    assert isinstance(parse_as(INDEX, DOCKER_LIST), Index)
    assert parse_as(INDEX, DOCKER_LIST).media_type == DOCKER_LIST


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PARTS.manifest, OCI_INDEX),
        (INDEX, OCI_MANIFEST),
        (PARTS.manifest, OCI_LAYER_GZIP),
        (PARTS.config, OCTET_STREAM),
        (b"{}", OCTET_STREAM),
        (b"", OCI_MANIFEST),
        (b"\x1f\x8b\x08", OCI_INDEX),
    ],
)
def test_what_it_is_not_is_refused(data: bytes, media_type: str) -> None:
    with pytest.raises(InvalidDocument):
        parse_as(data, media_type)


def test_nothing_is_read_twice_as_two_things() -> None:
    both: dict[str, Any] = {"config": CONFIG, "layers": [CONFIG], "manifests": [CONFIG]}
    for media_type in (OCI_MANIFEST, OCI_INDEX, OCTET_STREAM):
        with pytest.raises(InvalidDocument):
            parse_as(builders.compact(both), media_type)
