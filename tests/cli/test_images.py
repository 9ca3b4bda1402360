"""`rossfs images`."""

from __future__ import annotations

import os

from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, OCI_MANIFEST
from tests.cli.conftest import Rossfs


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


def size_of(image: builders.Image) -> int:
    parts = image.parts
    return sum(map(len, (parts.manifest, parts.config, *parts.layers)))


def test_every_tag_is_a_row(rossfs: Rossfs, store: Store) -> None:
    one = builders.image(store, "1", tag="library/app:v1")
    builders.image(store, "2", tag="localhost:5000/lab/app:v2", architecture="arm64")
    ended = rossfs("images", "--bytes")
    assert ended.out.splitlines()[0].split() == ["REPOSITORY", "TAG", "DIGEST", "PLATFORM", "SIZE"]
    first, second = rows(ended.out)
    assert first == ["app", "v1", one.manifest.short, "linux/amd64", str(size_of(one))]
    assert second[:2] == ["localhost:5000/lab/app", "v2"]
    assert second[3] == "linux/arm64"
    assert str(one.manifest) in rossfs("images", "--full").out


def test_an_index_has_the_platforms_that_are_stored(rossfs: Rossfs, store: Store) -> None:
    amd = builders.image(store, "a")
    arm = builders.image(store, "b", architecture="arm64")
    absent = builders.image_parts("c", architecture="s390x")
    data = builders.index(
        [
            (amd.parts.manifest, "linux/amd64"),
            (arm.parts.manifest, "linux/arm64"),
            (absent.manifest, "linux/s390x"),
        ]
    )
    digest, _ = store.put_index(data, OCI_INDEX)
    store.set_tag("lab/multi", "v1", digest)
    assert rossfs("images", "--json").json == [
        {
            "repository": "lab/multi",
            "tag": "v1",
            "digest": str(digest),
            "media_type": OCI_INDEX,
            "platforms": ["linux/amd64", "linux/arm64"],
            "size": len(data) + size_of(amd) + size_of(arm),
        }
    ]


def test_an_artifact_has_no_platform(rossfs: Rossfs, store: Store) -> None:
    for data in (b"{}", b"a statement"):
        store.put_blob(None, data)
    manifest = builders.manifest(b"{}", [b"a statement"], layer_types=["application/x.statement"])
    store.set_tag("lab/sbom", "v1", store.put_manifest(manifest, OCI_MANIFEST)[0])
    assert rows(rossfs("images").out)[0][3] == "-"


def test_a_pattern_chooses(rossfs: Rossfs, store: Store) -> None:
    for number, tag in enumerate(("library/app:v1", "lab/app:v1", "lab/app:v2", "lab/tool:v1")):
        builders.image(store, str(number), tag=tag)
    chosen = {
        "app": 1,
        "lab/app": 2,
        "lab/*": 3,
        "*:v1": 3,
        "library/app": 1,
        "app:v1": 1,
        "none": 0,
    }
    for pattern, count in chosen.items():
        assert len(rows(rossfs("images", pattern).out)) == count, pattern


def test_what_is_broken_is_listed_with_a_question_mark(rossfs: Rossfs, store: Store) -> None:
    good = builders.image(store, "good", tag="library/good:v1")
    bad = builders.image(store, "bad", tag="library/bad:v1")
    store.delete_manifest(bad.manifest)
    tag = f"{store.paths.root}/tags/library/good/torn"
    with open(tag, "w") as file:
        file.write("{")
    ended = rossfs("images")
    assert rows(ended.out)[0] == ["bad", "v1", bad.manifest.short, "?", "?"]
    assert rows(ended.out)[1] == ["good", "torn", "?", "?", "?"]
    assert rows(ended.out)[2][:3] == ["good", "v1", good.manifest.short]
    assert ended.err.count("\n") == 2
    assert [row.get("error") is None for row in rossfs("images", "--json").json] == [
        False,
        False,
        True,
    ]
    os.unlink(tag)
    store.delete_tag("library/bad", "v1")
