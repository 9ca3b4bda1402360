"""`rossfs put`."""

from __future__ import annotations

import os
from pathlib import Path

from rossfs.store.store import Store
from tests import builders, mounts
from tests.builders import OCI_LAYER_GZIP, OCI_MANIFEST, digest_of, image_parts
from tests.cli.conftest import Rossfs


def test_each_file_gets_a_line_with_its_digest(
    rossfs: Rossfs, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"")
    ended = rossfs("put", tmp_path / "a", tmp_path / "b", tmp_path / "a")
    lines = [str(digest_of(data)) for data in (b"one", b"", b"one")]
    assert ended.out.splitlines() == lines
    assert store.get_blob(digest_of(b"one")) == b"one"


def test_json_says_what_it_was_taken_for(rossfs: Rossfs, tmp_path: Path) -> None:
    data = builders.layer({"a": b"1"})
    (tmp_path / "a").write_bytes(data)
    assert rossfs("put", "--json", tmp_path / "a").json == [
        {
            "digest": str(digest_of(data)),
            "size": len(data),
            "media_type": OCI_LAYER_GZIP,
            "file": str(tmp_path / "a"),
        }
    ]


def test_a_media_type_can_be_said(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    rossfs("put", "--media-type", "text/plain", tmp_path / "a")
    info = store.stat_blob(digest_of(b"one"))
    assert info is not None
    assert info.media_type == "text/plain"


def test_a_manifest_is_filed_as_one_once_its_blobs_are_there(
    rossfs: Rossfs, store: Store, tmp_path: Path
) -> None:
    parts = image_parts(layers=1)
    names = []
    for number, data in enumerate((parts.manifest, parts.config, *parts.layers)):
        names.append(tmp_path / str(number))
        names[-1].write_bytes(data)
    assert str(digest_of(parts.config)) in rossfs("put", names[0], status=3).err
    rossfs("put", *names[1:], names[0])
    assert store.get_manifest(parts.digest) == (parts.manifest, OCI_MANIFEST)


def test_an_expected_digest_must_be_met(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    wrong, right = digest_of(b"two"), digest_of(b"one")
    assert str(right) in rossfs("put", "--digest", str(wrong), tmp_path / "a", status=4).err
    assert not list(store.list_blobs())
    rossfs("put", "--digest", str(right), tmp_path / "a")
    wide = digest_of(b"one", "sha512")
    assert rossfs("put", "--digest", str(wide), tmp_path / "a").out == f"{wide}\n"
    rossfs("put", "--digest", str(right), tmp_path / "a", tmp_path / "a", status=2)
    rossfs("put", "--digest", "nonsense", tmp_path / "a", status=2)


def test_standard_input_is_a_file_too(store: Store) -> None:
    data = os.urandom(3_000_000)
    ended = mounts.rossfs("--store", store.paths.root, "put", "-", stdin=data)
    assert ended.returncode == 0
    assert ended.stdout.decode() == f"{digest_of(data)}\n"
    assert store.get_blob(digest_of(data)) == data


def test_what_cannot_be_read_is_an_error(rossfs: Rossfs, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    ended = rossfs("put", tmp_path / "a", tmp_path / "none", status=3)
    assert ended.out == f"{digest_of(b'one')}\n"
    assert ended.err == f"rossfs: {tmp_path}/none: No such file or directory\n"
    assert rossfs("put", tmp_path, status=2).err == f'rossfs: "{tmp_path}" is a directory\n'
