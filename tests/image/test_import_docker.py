"""Importing what docker save writes, old and new."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from rossfs.errors import (
    DigestMismatch,
    InvalidDocument,
    InvalidSource,
    MissingContent,
    RossfsError,
    UsageError,
)
from rossfs.image.import_ import Import, import_images
from rossfs.image.transport import parse_source
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    ImageParts,
    compact,
    config,
    digest_of,
    image_parts,
)
from tests.image.sources import (
    Files,
    blob_path,
    docker_archive,
    layout_of,
    plain_layers,
    tar_of,
    write_tree,
)


def take(store: Store, path: Path, data: bytes | None = None, name: str | None = None) -> Import:
    if data is not None:
        path.write_bytes(data)
    return import_images(store, parse_source(str(path)), name)


def manifest_of(store: Store, repository: str, tag: str = "latest") -> dict[str, object]:
    digest, media_type = store.resolve_tag(repository, tag)
    assert media_type == OCI_MANIFEST
    document: dict[str, object] = json.loads(store.get_manifest(digest)[0])
    return document


def of_one_layer(data: bytes, diff_id: Digest) -> Files:
    document = config([str(diff_id)])
    item = {"Config": "config.json", "RepoTags": ["lab/one:v1"], "Layers": ["l"]}
    return {"config.json": document, "l": data, "manifest.json": compact([item])}


def test_config_and_layers_keep_their_digests(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    done = take(store, tmp_path / "a.tar", tar_of(docker_archive({"lab/app:v1": parts})))
    assert [str(name) for name in done.images[0].references] == ["lab/app:v1"]
    assert manifest_of(store, "lab/app", "v1") == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": OCI_CONFIG,
            "digest": str(digest_of(parts.config)),
            "size": len(parts.config),
        },
        "layers": [
            {"mediaType": OCI_LAYER, "digest": str(digest_of(data)), "size": len(data)}
            for data in plain_layers(parts)
        ],
    }
    assert store.get_blob(digest_of(parts.config)) == parts.config
    for data in plain_layers(parts):
        assert store.get_blob(digest_of(data)) == data


def test_compressed_layers_stay_compressed(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    take(store, tmp_path / "a.tar", tar_of(docker_archive({"lab/app:v1": parts}, compressed=True)))
    layers = manifest_of(store, "lab/app", "v1")["layers"]
    assert layers == [
        {"mediaType": OCI_LAYER_GZIP, "digest": str(digest_of(data)), "size": len(data)}
        for data in parts.layers
    ]


@pytest.mark.parametrize("tail", [b"", bytes(512)])
def test_a_layer_of_several_gzip_members_is_its_diff_id(
    store: Store, tmp_path: Path, tail: bytes
) -> None:
    plain = plain_layers(image_parts())[0] * 400
    cut = len(plain) // 3
    data = gzip.compress(plain[:cut]) + gzip.compress(plain[cut:]) + tail
    take(store, tmp_path / "a.tar", tar_of(of_one_layer(data, digest_of(plain))))
    assert store.get_blob(digest_of(data)) == data


def test_an_empty_layer_is_a_layer(store: Store, tmp_path: Path) -> None:
    take(store, tmp_path / "a.tar", tar_of(of_one_layer(bytes(1024), digest_of(bytes(1024)))))
    assert store.get_blob(digest_of(bytes(1024))) == bytes(1024)


def test_all_images_and_all_their_names_come(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("1"), image_parts("2")
    files = docker_archive({"lab/app:v1": one, "docker.io/nginx:v2": two})
    items = json.loads(files["manifest.json"])
    items[0]["RepoTags"].append("localhost:5000/other:v3")
    take(store, tmp_path / "a.tar", tar_of(files | {"manifest.json": compact(items)}))
    assert sorted(map(str, store.tags.names())) == [
        "lab/app:v1",
        "library/nginx:v2",
        "localhost:5000/other:v3",
    ]


def test_an_image_without_a_name_is_called_as_its_file(store: Store, tmp_path: Path) -> None:
    take(
        store, tmp_path / "saved.tar.gz", gzip.compress(tar_of(docker_archive({"": image_parts()})))
    )
    assert list(map(str, store.tags.names())) == ["library/saved:latest"]


def test_one_image_can_be_chosen_by_its_name(store: Store, tmp_path: Path) -> None:
    files = docker_archive({"lab/app:v1": image_parts("1"), "nginx:v2": image_parts("2")})
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(files))
    with pytest.raises(UsageError, match="2 images"):
        take(store, path, name="lab/new:v9")
    chosen = parse_source(f"docker-archive:{path}:docker.io/library/nginx:v2")
    import_images(store, chosen, "lab/new:v9")
    assert list(map(str, store.tags.names())) == ["lab/new:v9"]


def test_layers_may_be_links_to_layers(store: Store, tmp_path: Path) -> None:
    """docker before 1.10 and skopeo link the same layer of several images; tar links same files."""
    parts = image_parts(layers=2)
    files = docker_archive({"lab/app:v1": parts})
    item = json.loads(files["manifest.json"])[0]
    first, second = item["Layers"]
    links = {
        "x/layer.tar": (tarfile.SYMTYPE, f"../{first}"),
        "x/chain.tar": (tarfile.SYMTYPE, "layer.tar"),
        "hard": (tarfile.LNKTYPE, second),
    }
    item["Layers"] = ["x/chain.tar", "./hard"]
    data = tar_of(files | {"manifest.json": compact([item])}, links)
    take(store, tmp_path / "a.tar", data)
    assert store.stat_blob(digest_of(plain_layers(parts)[0])) is not None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../../../etc/passwd", "leads out"),
        ("/etc/passwd", "leads out"),
        ("layer.tar", "link to itself"),
        ("nowhere", "lacks the layer"),
    ],
)
def test_links_that_lead_nowhere_good_are_refused(
    store: Store, tmp_path: Path, target: str, message: str
) -> None:
    files = docker_archive({"lab/app:v1": image_parts(layers=1)})
    item = json.loads(files["manifest.json"])[0]
    item["Layers"] = ["x/layer.tar"]
    data = tar_of(
        files | {"manifest.json": compact([item])}, {"x/layer.tar": (tarfile.SYMTYPE, target)}
    )
    with pytest.raises(RossfsError, match=message):
        take(store, tmp_path / "a.tar", data)
    assert not list(store.tags.names())


@pytest.mark.parametrize("path", ["../layer.tar", "a/../../b", "/../x"])
def test_a_path_that_leads_out_of_the_archive_is_refused(
    store: Store, tmp_path: Path, path: str
) -> None:
    files = docker_archive({"lab/app:v1": image_parts()})
    with pytest.raises(InvalidSource, match="leads out of it"):
        take(store, tmp_path / "a.tar", tar_of(files | {path: b"x"}))
    item = json.loads(files["manifest.json"])[0]
    item["Layers"][0] = path
    with pytest.raises(InvalidSource, match="leads out of it"):
        take(store, tmp_path / "a.tar", tar_of(files | {"manifest.json": compact([item])}))


def test_an_unpacked_archive_is_the_same(store: Store, tmp_path: Path) -> None:
    take(store, write_tree(tmp_path / "a", docker_archive({"lab/app:v1": image_parts()})))
    assert list(map(str, store.tags.names())) == ["lab/app:v1"]


def test_an_archive_that_is_a_layout_too_keeps_the_digests_of_the_layout(
    store: Store, tmp_path: Path
) -> None:
    """docker 25 and later write both."""
    parts = image_parts()
    item = {
        "Config": blob_path(parts.config),
        "RepoTags": ["lab/app:v1"],
        "Layers": [blob_path(data) for data in parts.layers],
    }
    data = tar_of(layout_of({"lab/app:v1": parts}) | {"manifest.json": compact([item])})
    take(store, tmp_path / "a.tar", data)
    assert store.resolve_tag("lab/app", "v1")[0] == parts.digest
    # Asked for as a docker archive, the same without the manifest: another one is made.
    import_images(store, parse_source(f"docker-archive:{tmp_path}/a.tar"), "lab/other:v1")
    layers = manifest_of(store, "lab/other", "v1")["layers"]
    assert isinstance(layers, list)
    assert [layer["digest"] for layer in layers] == [str(digest_of(d)) for d in parts.layers]


def broken(parts: ImageParts, what: str) -> Files:
    files = docker_archive({"lab/app:v1": parts})
    item = json.loads(files["manifest.json"])[0]
    match what:
        case "layer missing":
            del files[item["Layers"][1]]
        case "config missing":
            del files[item["Config"]]
        case "layer changed":
            files[item["Layers"][1]] = files[item["Layers"][1]][:-1] + b"x"
        case "layer swapped":
            item["Layers"].reverse()
        case "config changed":
            files[item["Config"]] += b" "
        case "layer too many":
            item["Layers"].append(item["Layers"][0])
        case "layer zstd":
            files[item["Layers"][0]] = b"\x28\xb5\x2f\xfd" + bytes(2000)
        case "gzip truncated":
            files[item["Layers"][0]] = parts.layers[0][:-9]
        case "gzip damaged":
            files[item["Layers"][0]] = parts.layers[0][:20] + b"xxxx" + parts.layers[0][24:]
        case "gzip of something else":
            files[item["Layers"][0]] = gzip.compress(b"something else")
        case "no config":
            del item["Config"]
        case "layers no list":
            item["Layers"] = "abc"
        case "names no strings":
            item["RepoTags"] = [5]
    files["manifest.json"] = compact([item])
    return files


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("layer missing", MissingContent, "lacks the layer"),
        ("config missing", MissingContent, "lacks the config"),
        ("layer changed", DigestMismatch, "expected sha256"),
        ("layer swapped", DigestMismatch, "expected sha256"),
        ("config changed", DigestMismatch, "hashes to"),
        ("layer too many", InvalidDocument, "2 diff IDs, but there are 3"),
        ("layer zstd", InvalidSource, "zstd"),
        ("gzip truncated", InvalidSource, "truncated"),
        ("gzip damaged", InvalidSource, "damaged"),
        ("gzip of something else", DigestMismatch, "the config says"),
        ("no config", InvalidDocument, "without Config"),
        ("layers no list", InvalidDocument, "without Config or Layers"),
        ("names no strings", InvalidDocument, "without Config or Layers"),
    ],
)
def test_a_broken_archive_is_refused(
    store: Store, tmp_path: Path, what: str, error: type[RossfsError], message: str
) -> None:
    with pytest.raises(error, match=message):
        take(store, tmp_path / "a.tar", tar_of(broken(image_parts(), what)))
    assert not list(store.tags.names())
    assert not list(store.list_manifests())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "0 images"),
        (b"[5]", "no list of images"),
        (b"[" * 100_000, "manifest.json of"),
        (b"[\xff]", "not UTF-8"),
        (b'[{"Config": "x"', "not JSON"),
    ],
)
def test_a_manifest_json_that_is_none_is_refused(
    store: Store, tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(RossfsError, match=message):
        take(store, tmp_path / "a.tar", tar_of({"manifest.json": data}))


def test_a_truncated_archive_is_refused_wherever_it_ends(store: Store, tmp_path: Path) -> None:
    data = tar_of(docker_archive({"lab/app:v1": image_parts()}))
    path = tmp_path / "a.tar"
    end = data.rindex(b"manifest.json") + 512
    for cut in [*range(0, end, 1111), end]:
        with pytest.raises(RossfsError):
            take(store, path, data[:cut])
    assert not list(store.tags.names())


def test_other_compressions_are_named(store: Store, tmp_path: Path) -> None:
    for magic, word in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\x00", "xz"), (b"BZh9", "bzip2")):
        with pytest.raises(InvalidSource, match=word):
            take(store, tmp_path / "a.tar", magic + os.urandom(100))


def test_what_the_store_has_is_not_read_again(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    take(store, tmp_path / "a.tar", tar_of(docker_archive({"lab/app:v1": parts})))
    done = take(store, tmp_path / "b.tar", tar_of(docker_archive({"lab/app:v2": parts})))
    assert (done.blobs_copied, done.bytes_copied) == (0, 0)
