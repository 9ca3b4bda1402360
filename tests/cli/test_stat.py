"""`rossfs stat`."""

from __future__ import annotations

from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, digest_of, image_parts
from tests.cli.conftest import Rossfs


def test_a_blob_is_described(rossfs: Rossfs, store: Store) -> None:
    data = builders.layer({"a": b"1"})
    digest, size = store.put_blob(None, data)
    found = rossfs("stat", "--json", str(digest)).json
    info = store.stat_blob(digest)
    assert info is not None
    assert found == {
        "digest": str(digest),
        "kind": "blob",
        "media_type": OCI_LAYER_GZIP,
        "size": size,
        "created_at": info.created_at,
        "accessed_at": info.accessed_at,
        "path": f"{store.paths.root}/blobs/sha256/{digest.hex}",
    }


def test_an_image_is_described_with_its_layers(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:v1")
    found = rossfs("stat", "--json", "app:v1").json
    assert (found["tag"], found["kind"], found["media_type"]) == (
        "library/app:v1",
        "manifest",
        OCI_MANIFEST,
    )
    assert found["config"] == str(image.config)
    assert [layer["digest"] for layer in found["layers"]] == list(map(str, image.layers))
    text = rossfs("stat", "--bytes", "app:v1").out
    assert f"layer 1:    {image.layers[1]}  {len(image.parts.layers[1])}\n" in text


def test_an_index_is_described_with_what_it_lacks(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store)
    absent = image_parts("absent", architecture="arm64")
    data = builders.index(
        [(image.parts.manifest, "linux/amd64"), (absent.manifest, "linux/arm64/v8")]
    )
    store.put_index(data, OCI_INDEX)
    found = rossfs("stat", "--json", digest_of(data).hex).json
    assert found["kind"] == "index"
    assert found["manifests"] == [
        {"digest": str(image.manifest), "platform": "linux/amd64", "stored": True},
        {"digest": str(absent.digest), "platform": "linux/arm64/v8", "stored": False},
    ]
    assert f"{absent.digest}  (not stored)\n" in rossfs("stat", digest_of(data).hex).out


def test_several_are_described_one_after_the_other(rossfs: Rossfs, store: Store) -> None:
    digests = [str(store.put_blob(None, data)[0]) for data in (b"1", b"2")]
    blocks = rossfs("stat", *digests).out.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [f"digest:     {d}" for d in digests]


def test_damaged_and_absent_content_is_an_error(rossfs: Rossfs, store: Store) -> None:
    digest, _ = store.put_blob(None, b"content")
    found = store.contents.find(digest)
    assert found is not None
    with open(found.path, "r+b") as file:
        file.write(b"CONTENT")
    assert "damaged" in rossfs("stat", str(digest), status=4).err
    store.delete_blob(digest)
    assert "not stored" in rossfs("stat", str(digest), status=3).err
