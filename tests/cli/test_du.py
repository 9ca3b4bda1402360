"""`rossfs du`."""

from __future__ import annotations

import os

from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, digest_of
from tests.cli.conftest import Rossfs
from tests.stacking import layer_of, stack

BASE, ONE, TWO = layer_of(50_000, "base"), layer_of(30_000, "one"), layer_of(100, "two")


def documents(store: Store, image: Digest) -> int:
    """Bytes of the manifest and config of *image*."""
    data, _ = store.get_manifest(image)
    return len(data) + Manifest.parse(data).config.size


def rows(text: str) -> dict[str, list[str]]:
    """The table by its first column."""
    table = text.partition("\n\n")[0].splitlines()
    assert table[0].split()[:4] == ["IMAGE", "TOTAL", "SHARED", "EXCLUSIVE"]
    return {line.split()[0]: line.split()[1:] for line in table[1:]}


def test_what_images_have_in_common_is_told_apart(rossfs: Rossfs, store: Store) -> None:
    one = stack(store, [BASE, ONE], "library/one:v1")
    two = stack(store, [BASE, TWO], "lab/two:v1")
    found = rows(rossfs("du", "--bytes").out)
    assert list(found) == ["one:v1", "lab/two:v1"]
    alone = documents(store, one) + len(ONE)
    assert found["one:v1"] == [str(len(BASE) + alone), str(len(BASE)), str(alone)]
    alone = documents(store, two) + len(TWO)
    assert found["lab/two:v1"] == [str(len(BASE) + alone), str(len(BASE)), str(alone)]


def test_the_last_lines_count_everything_once(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BASE, ONE], "library/one:v1")
    stack(store, [BASE, TWO], "lab/two:v1")
    store.put_blob(None, b"nobody needs this")
    os.makedirs(store.paths.cache, exist_ok=True)
    with open(f"{store.paths.cache}/table", "wb") as file:
        file.write(b"x" * 77)
    told = dict(
        line.split(":", 1) for line in rossfs("du", "--bytes").out.partition("\n\n")[2].splitlines()
    )
    stored = store.get_store_info()
    tagged = stored.bytes - 17
    assert told["tagged"].split()[0] == str(tagged)
    assert told["tagged"].endswith(f"of 2 images, {len(BASE)} of it shared")
    assert told["untagged"].strip() == "17 in 1 content"
    assert told["cache"].strip() == "77 in 1 file"
    assert rossfs("du", "--json").json["untagged"] == {"contents": 1, "size": 17}


def test_several_tags_of_one_digest_are_one_image(rossfs: Rossfs, store: Store) -> None:
    names = [f"lab/app:v{number}" for number in range(5)]
    stack(store, [BASE], *names)
    assert list(rows(rossfs("du").out)) == ["lab/app:v0,lab/app:v1,+3"]
    assert list(rows(rossfs("du", "--full").out)) == [",".join(names)]
    (image,) = rossfs("du", "--json").json["images"]
    assert (image["tags"], image["shared"]) == (names, 0)


def test_images_that_are_named_come_alone_and_in_that_order(rossfs: Rossfs, store: Store) -> None:
    one = stack(store, [BASE, ONE], "library/one:v1")
    stack(store, [BASE, TWO], "lab/two:v1")
    ended = rossfs("du", "lab/two:v1", "one:v1", str(one))
    assert list(rows(ended.out)) == ["lab/two:v1", "one:v1"]
    assert "untagged" not in ended.out
    for name in ("absent", digest_of(b"absent").hex, str(digest_of(BASE))):
        assert rossfs("du", name, "one:v1", status=3).out == ""


def test_an_image_without_tag_is_measured_beside_the_tagged(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BASE, ONE], "library/one:v1")
    digest = stack(store, [BASE, TWO])
    (image,) = rossfs("du", "--json", str(digest)).json["images"]
    assert (image["tags"], image["shared"]) == ([], len(BASE))
    assert rossfs("du", "--json", str(digest)).json["untagged"]["size"] == image["exclusive"]
    assert digest.short in rows(rossfs("du", str(digest)).out)


def test_layers_are_listed_below_their_image(rossfs: Rossfs, store: Store) -> None:
    one = stack(store, [BASE, ONE], "library/one:v1")
    stack(store, [BASE, TWO], "lab/two:v1")
    lines = rossfs("du", "--layers", "--bytes", "one:v1").out.splitlines()
    assert lines[0].split()[-1] == "IMAGES"
    assert lines[2].split() == [digest_of(BASE).short, str(len(BASE)), str(len(BASE)), "-", "2"]
    assert lines[3].split() == [digest_of(ONE).short, str(len(ONE)), "-", str(len(ONE)), "1"]
    rest = str(documents(store, one))
    assert lines[4].split() == ["manifests", "and", "configs", rest, "-", rest]
    (image,) = rossfs("du", "--layers", "--json", "one:v1").json["images"]
    assert image["layers"] == [
        {"digest": str(digest_of(BASE)), "size": len(BASE), "images": 2},
        {"digest": str(digest_of(ONE)), "size": len(ONE), "images": 1},
    ]


def test_an_index_is_all_of_its_platforms(rossfs: Rossfs, store: Store) -> None:
    amd = builders.image(store, "a")
    arm = builders.image(store, "b", architecture="arm64")
    data = builders.index(
        [
            (amd.parts.manifest, "linux/amd64"),
            (arm.parts.manifest, "linux/arm64"),
            (builders.image_parts("absent").manifest, "linux/s390x"),
        ]
    )
    store.set_tag("lab/multi", "v1", store.put_index(data, OCI_INDEX)[0])
    (image,) = rossfs("du", "--json").json["images"]
    assert image["total"] == image["exclusive"] == store.get_store_info().bytes
    assert image["missing"] == 1
    store.set_tag("lab/amd", "v1", amd.manifest)
    found = {tuple(row["tags"]): row for row in rossfs("du", "--json").json["images"]}
    assert found["lab/amd:v1",]["exclusive"] == 0
    assert found["lab/multi:v1",]["shared"] == found["lab/amd:v1",]["total"]


def test_what_is_missing_or_unreadable_is_told_and_the_rest_counted(
    rossfs: Rossfs, store: Store
) -> None:
    stack(store, [BASE, ONE], "lab/foreign:v1", absent=1)
    gone = builders.image(store, tag="lab/gone:v1")
    store.delete_manifest(gone.manifest)
    tag = f"{store.paths.root}/tags/lab/torn/v1"
    os.makedirs(os.path.dirname(tag))
    with open(tag, "w") as file:
        file.write("{")
    ended = rossfs("du", "--layers")
    assert "lab/foreign:v1: 1 content not stored" in ended.err
    assert f"lab/gone:v1: no manifest {gone.manifest}" in ended.err
    assert "lab/torn:v1: " in ended.err
    assert ended.err.count("\n") == 3
    assert "lab/foreign:v1" in ended.out
    os.unlink(tag)
    store.delete_tag("lab/gone", "v1")


def test_an_empty_store_has_a_total_too(rossfs: Rossfs) -> None:
    assert rossfs("du").out.splitlines()[2].startswith("tagged:")
    assert rossfs("du", "--json").json["images"] == []
