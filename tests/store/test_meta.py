import json
from pathlib import Path

import pytest

from rossfs.store import meta
from rossfs.store.meta import InvalidMeta, Meta
from rossfs.store.paths import Area
from tests.builders import CREATED, OCI_LAYER_GZIP, OCI_MANIFEST, compact, ross_store

GOOD = {"media_type": OCI_LAYER_GZIP, "size": 7, "created_at": 5, "accessed_at": 6}


def test_what_ross_wrote_is_read(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    digest = ross.put_blob(OCI_LAYER_GZIP, b"layer")
    known = meta.parse(ross.meta_path(digest).read_bytes())
    assert known == Meta(OCI_LAYER_GZIP, 5, CREATED, CREATED)


def test_what_ross_wrote_of_a_manifest_is_read(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    digest = ross.put_manifest(b"{}")
    known = meta.parse(ross.meta_path(digest, "manifests").read_bytes())
    assert known == Meta(OCI_MANIFEST, 2, CREATED, CREATED)


def test_what_is_written_has_the_keys_of_ross() -> None:
    blob = meta.encode(Area.BLOBS, Meta(OCI_LAYER_GZIP, 1, 2, 3))
    assert blob == (
        b'{"media_type":"application/vnd.oci.image.layer.v1.tar+gzip",'
        b'"size":1,"created_at":2,"accessed_at":3}'
    )
    manifest = meta.encode(Area.MANIFESTS, Meta(OCI_MANIFEST, 1, 2, 3))
    assert json.loads(manifest) == {
        "media_type": OCI_MANIFEST,
        "size": 1,
        "created_at": 2,
        "schema_version": "2",
    }


def test_a_changed_field_leaves_the_others_alone() -> None:
    data = compact({**GOOD, "of_ross": {"a": [1]}})
    assert json.loads(meta.changed(data, accessed_at=9)) == {
        **GOOD,
        "of_ross": {"a": [1]},
        "accessed_at": 9,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"{}",
        b"[" * 60000,
        b'{"a":' * 12000,
        compact({**GOOD, "size": -1}),
        compact({**GOOD, "size": True}),
        compact({**GOOD, "size": 7.0}),
        compact({**GOOD, "size": "7"}),
        compact({**GOOD, "size": 1 << 70}),
        compact(GOOD).replace(b"7", b"9" * 5000),
        compact({**GOOD, "created_at": None}),
        compact({**GOOD, "created_at": -5}),
        compact({**GOOD, "accessed_at": "now"}),
        compact({**GOOD, "accessed_at": 1 << 70}),
        compact({**GOOD, "media_type": None}),
        compact({**GOOD, "media_type": ""}),
        compact({**GOOD, "media_type": "a\nb"}),
        compact({**GOOD, "media_type": "\x1b[31m"}),
        compact({**GOOD, "media_type": "ä"}),
        compact({**GOOD, "media_type": "a" * 513}),
        compact({**GOOD, "media_type": ["a"]}),
    ],
)
def test_hostile_meta_is_invalid(data: bytes) -> None:
    with pytest.raises(InvalidMeta):
        meta.parse(data)


def test_the_media_type_is_saved_from_a_broken_meta() -> None:
    assert meta.salvage_media_type(compact({**GOOD, "size": None})) == OCI_LAYER_GZIP
    assert meta.salvage_media_type(compact({"media_type": 7})) is None
    assert meta.salvage_media_type(b"{") is None
