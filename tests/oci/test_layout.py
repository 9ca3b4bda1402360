from __future__ import annotations

import json

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.index import Index
from rossfs.oci.layout import LAYOUT_DOCUMENT, REF_NAME, blob_path, new_index
from rossfs.oci.mediatype import OCI_INDEX, OCI_MANIFEST
from rossfs.oci.platform import Platform


def test_a_layout_says_its_version() -> None:
    assert json.loads(LAYOUT_DOCUMENT) == {"imageLayoutVersion": "1.0.0"}


def test_content_lies_under_its_digest() -> None:
    digest = Digest.of(b"content", "sha512")
    assert blob_path(digest) == f"blobs/sha512/{digest.hex}"


def test_an_index_reads_back_as_it_was_made() -> None:
    tagged = Descriptor.of(b"a", OCI_MANIFEST)._replace(
        annotations={REF_NAME: "1.0"}, platform=Platform("linux", "arm64", "v8")
    )
    plain = Descriptor.of(b"b", OCI_INDEX)
    found = Index.parse(new_index([tagged, plain]))
    assert found.manifests == (tagged, plain)
    assert found.media_type == OCI_INDEX


def test_an_empty_index_has_an_empty_list() -> None:
    assert json.loads(new_index([]))["manifests"] == []
