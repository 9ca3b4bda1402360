"""`rossfs tag`, `rossfs untag` and `rossfs tags`."""

from __future__ import annotations

import pytest

from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def test_a_tag_is_made_and_moved(rossfs: Rossfs, store: Store) -> None:
    one = builders.image(store, "1", tag="library/app:v1")
    two = builders.image(store, "2")
    assert rossfs("tag", "app:v1", "localhost:5000/lab/app:v2").out == (
        f"{one.manifest} localhost:5000/lab/app:v2\n"
    )
    moved = rossfs("tag", two.manifest.hex, "localhost:5000/lab/app:v2").out
    assert moved == f"{two.manifest} localhost:5000/lab/app:v2 (was {one.manifest})\n"
    assert store.resolve_tag("localhost:5000/lab/app", "v2")[0] == two.manifest


@pytest.mark.parametrize(
    ("image", "name", "status"),
    [
        ("absent", "app:v2", 3),
        ("app:v1", "app:-bad", 2),
        ("app:v1", "../app", 2),
        ("app:v1", "a\nb", 2),
        ("app:v1", "sha256:" + "0" * 64, 2),
        ("sha256:" + "0" * 64, "app:v2", 3),
        ("app:v1", "library/app/v1:x", 5),
    ],
)
def test_what_cannot_be_a_tag_is_refused(
    rossfs: Rossfs, store: Store, image: str, name: str, status: int
) -> None:
    builders.image(store, tag="library/app:v1")
    ended = rossfs("tag", image, name, status=status)
    assert ended.err.count("\n") == 1
    assert list(map(str, store.tags.names())) == ["library/app:v1"]


def test_a_blob_cannot_be_tagged(rossfs: Rossfs, store: Store) -> None:
    digest, _ = store.put_blob(None, b"blob")
    assert "no manifest or index" in rossfs("tag", str(digest), "app:v1", status=3).err


def test_tags_are_removed_and_content_stays(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:v1")
    rossfs("tag", "app:v1", "app:v2")
    rossfs("untag", "app:v1", "docker.io/library/app:v2")
    assert not list(store.tags.names())
    assert store.get_manifest(image.manifest)[0] == image.parts.manifest
    assert "no tag library/app:v1" in rossfs("untag", "app:v1", status=3).err
    rossfs("untag", "--force", "app:v1")


def test_a_name_that_is_none_is_noticed_before_any_tag_is_removed(
    rossfs: Rossfs, store: Store
) -> None:
    builders.image(store, tag="library/app:v1")
    rossfs("untag", "app:v1", "Not Good", status=2)
    assert list(map(str, store.tags.names())) == ["library/app:v1"]


def test_a_tag_that_is_missing_is_noticed_before_any_is_removed(
    rossfs: Rossfs, store: Store
) -> None:
    builders.image(store, tag="library/app:v1")
    ended = rossfs("untag", "app:v1", "app:absent", "absent", status=3)
    assert ended.err == "rossfs: no tag library/app:absent; none was removed\n"
    assert list(map(str, store.tags.names())) == ["library/app:v1"]
    rossfs("untag", "--force", "app:absent", "app:v1", "app:v1")
    assert not list(store.tags.names())


def test_a_tag_named_twice_is_removed_once(rossfs: Rossfs, store: Store) -> None:
    builders.image(store, tag="library/app:v1")
    rossfs("untag", "app:v1", "library/app:v1")


def test_repositories_and_their_tags_are_listed(rossfs: Rossfs, store: Store) -> None:
    assert rossfs("tags").out == ""
    image = builders.image(store, tag="library/app:v2")
    rossfs("tag", "app:v2", "app:v10")
    rossfs("tag", "app:v2", "localhost:5000/x")
    assert rossfs("tags").out == "library/app\nlocalhost:5000/x\n"
    assert rossfs("tags", "--json").json == ["library/app", "localhost:5000/x"]
    lines = rossfs("tags", "app").out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["TAG", "DIGEST"],
        ["v10", str(image.manifest)],
        ["v2", str(image.manifest)],
    ]
    [entry] = rossfs("tags", "--json", "localhost:5000/x").json
    assert (entry["tag"], entry["digest"]) == ("latest", str(image.manifest))
    assert "absent" in rossfs("tags", "absent", status=3).err
