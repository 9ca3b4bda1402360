"""Which images of a layout are imported, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.errors import (
    InvalidReference,
    TagNotFound,
    UsageError,
)
from rossfs.store.store import Store
from tests.builders import (
    OCI_MANIFEST,
    image_parts,
)
from tests.image.imports import nothing_tagged, tags, take
from tests.image.sources import entry, layout, layout_of, write_tree


def test_every_tag_of_a_layout_is_imported(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("one"), image_parts("two")
    source = write_tree(tmp_path / "app", layout_of({"v1": one, "v2": two, "latest": two}))
    assert len(take(store, source).images) == 3
    assert tags(store) == {
        "library/app:v1": str(one.digest),
        "library/app:v2": str(two.digest),
        "library/app:latest": str(two.digest),
    }


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ("lab/app", "lab/app:latest"),
        ("app:v7", "library/app:v7"),
        ("docker.io/nginx", "library/nginx:latest"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
    ],
)
def test_the_name_that_is_said_counts(store: Store, tmp_path: Path, said: str, tag: str) -> None:
    take(store, write_tree(tmp_path / "app", layout_of({"v1": image_parts()})), said)
    assert list(tags(store)) == [tag]


def test_a_repository_for_several_images_keeps_their_tags(store: Store, tmp_path: Path) -> None:
    files = layout_of({"v1": image_parts("1"), "x/y:v2": image_parts("2")})
    take(store, write_tree(tmp_path / "app", files), "lab/all")
    assert sorted(tags(store)) == ["lab/all:v1", "lab/all:v2"]


def test_one_tag_cannot_name_several_images(store: Store, tmp_path: Path) -> None:
    files = layout_of({"v1": image_parts("1"), "v2": image_parts("2")})
    with pytest.raises(UsageError, match=r'2 images.*"v1", "v2"'):
        take(store, write_tree(tmp_path / "app", files), "lab/all:v3")
    assert nothing_tagged(store)


@pytest.mark.parametrize("selection", ["v2", "@1", "{digest}"])
def test_one_image_of_several_can_be_chosen(store: Store, tmp_path: Path, selection: str) -> None:
    one, two = image_parts("1"), image_parts("2")
    source = write_tree(tmp_path / "app", layout_of({"v1": one, "v2": two}))
    take(store, f"oci:{source}:{selection.format(digest=two.digest)}")
    assert tags(store) == {"library/app:v2": str(two.digest)}


def test_a_choice_that_is_not_there_lists_what_is(store: Store, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "app", layout_of({"v1": image_parts()}))
    with pytest.raises(TagNotFound, match='no image "v9"; it has "v1"'):
        take(store, f"oci:{source}:v9")


def test_images_without_names_must_be_chosen(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("1"), image_parts("2")
    both = layout_of({"1": one, "2": two})
    nameless = [entry(parts.manifest, OCI_MANIFEST) for parts in (one, two)]
    source = write_tree(tmp_path / "app", both | layout(nameless, []))
    with pytest.raises(UsageError, match="2 images without names"):
        take(store, source)
    take(store, f"oci:{source}:@1", "second")
    assert tags(store) == {"library/second:latest": str(two.digest)}


def test_what_has_a_name_is_taken_and_leftovers_are_not(store: Store, tmp_path: Path) -> None:
    """skopeo leaves the old manifest in index.json, without its name, when a tag moves."""
    old, new = image_parts("old"), image_parts("new")
    files = layout_of({"latest": new})
    entries = [entry(old.manifest, OCI_MANIFEST), entry(new.manifest, OCI_MANIFEST, "latest")]
    take(store, write_tree(tmp_path / "app", files | layout(entries, [])))
    assert tags(store) == {"library/app:latest": str(new.digest)}


def test_two_images_of_one_name_are_refused(store: Store, tmp_path: Path) -> None:
    one, two = image_parts("1"), image_parts("2")
    both = layout_of({"1": one, "2": two})
    entries = [entry(parts.manifest, OCI_MANIFEST, "v1") for parts in (one, two)]
    with pytest.raises(UsageError, match="two images would be called library/app:v1"):
        take(store, write_tree(tmp_path / "app", both | layout(entries, [])))


def test_full_names_in_annotations_count_before_tags(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    files = layout_of({"v1": parts})
    named = [
        entry(parts.manifest, OCI_MANIFEST, "v1", "docker.io/lab/app:v1"),
        entry(parts.manifest, OCI_MANIFEST, "quay.io/other/app:v3"),
    ]
    take(store, write_tree(tmp_path / "dir", files | layout(named, [])))
    assert sorted(tags(store)) == ["lab/app:v1", "quay.io/other/app:v3"]


def test_a_name_that_cannot_be_a_tag_here_asks_for_one(store: Store, tmp_path: Path) -> None:
    files = layout_of({"a@b+c": image_parts()})
    with pytest.raises(InvalidReference):
        take(store, write_tree(tmp_path / "app", files))
    with pytest.raises(UsageError, match="give it a NAME"):
        take(store, write_tree(tmp_path / "My App", layout_of({"v1": image_parts()})))
    take(store, tmp_path / "app", "app:fine")
    assert list(tags(store)) == ["library/app:fine"]


def test_a_digest_in_the_name_must_be_that_of_the_image(store: Store, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    with pytest.raises(TagNotFound, match="holds no image sha256:44"):
        take(store, source, "lab/app@sha256:" + "4" * 64)
    take(store, source, f"lab/app:v5@{parts.digest}")
    assert tags(store) == {"lab/app:v5": str(parts.digest)}
