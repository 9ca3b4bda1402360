from __future__ import annotations

from typing import Any

import pytest

from rossfs.oci.layout import REF_NAME
from rossfs.oci.layoutmerge import Dispute, Merged, descriptors_of, merge, name_of

Document = dict[str, Any]


def one(digest: str, name: str = "", **more: Any) -> Document:
    """A descriptor."""
    annotations = {**({REF_NAME: name} if name else {}), **more.pop("annotations", {})}
    return {"digest": digest, **({"annotations": annotations} if annotations else {}), **more}


def index(*descriptors: Document, **more: Any) -> Document:
    return {"schemaVersion": 2, "manifests": [*descriptors], **more}


BASE = index(one("d1", "v1"), one("d2", "v2"), one("d9"))


def test_two_that_add_different_names_both_keep_theirs() -> None:
    theirs = index(*BASE["manifests"], one("d3", "v3"))
    ours = index(*BASE["manifests"], one("d4", "v4"))
    assert merge(BASE, theirs, ours) == (
        index(*BASE["manifests"], one("d3", "v3"), one("d4", "v4")),
        (),
    )


@pytest.mark.parametrize("base", [None, {}, BASE])
def test_where_only_one_wrote_it_is_what_he_wrote(base: Document | None) -> None:
    ours = index(one("d4", "v4"), one("d1", "v1"), annotations={"a": "b"}, unknown=[1])
    found = merge(base, base or {}, ours)
    assert found == Merged(ours)
    assert list(found.document) == list(ours)


def test_rewriting_what_was_read_changes_nothing() -> None:
    theirs = index(one("d3", "v1"), annotations={"a": "b"})
    assert merge(BASE, theirs, BASE) == (theirs, ())


def test_a_name_that_is_taken_away_goes_and_what_has_none_stays() -> None:
    theirs = index(*BASE["manifests"], one("d3", "v3"))
    ours = index(one("d2", "v2"), one("d9"))
    assert merge(BASE, theirs, ours).document == index(one("d2", "v2"), one("d9"), one("d3", "v3"))


def test_a_tag_that_both_changed_goes_to_the_later() -> None:
    theirs, ours = index(one("d5", "v1")), index(one("d6", "v1"))
    assert merge(BASE, theirs, ours) == (
        index(one("d6", "v1")),
        (Dispute("v1", "d5", "d6", "d6"),),
    )


def test_a_tag_that_both_made_goes_to_the_later() -> None:
    theirs, ours = index(one("d5", "new")), index(one("d6", "new"))
    assert merge(None, theirs, ours).document == ours
    assert merge(index(), theirs, ours).disputes == (Dispute("new", "d5", "d6", "d6"),)


@pytest.mark.parametrize("one_removes", [True, False])
def test_what_one_removed_and_the_other_changed_stays_changed(one_removes: bool) -> None:
    base, removed, changed = index(one("d1", "v1"), x=1), index(x=2), index(one("d5", "v1"), x=1)
    found = merge(base, *((removed, changed) if one_removes else (changed, removed)))
    assert descriptors_of(found.document) == [one("d5", "v1")]
    assert found.document["x"] == 2
    [dispute] = found.disputes
    assert (dispute.name, dispute.kept) == ("v1", "d5")


def test_a_name_moved_as_skopeo_does_it_meets_another_of_that_kind() -> None:
    base = index(one("d1", "v1"))
    theirs = index(one("d1"), one("d2", "v1"))
    ours = index(one("d1"), one("d3", "v1"))
    found = merge(base, theirs, ours)
    assert descriptors_of(found.document) == [one("d1"), one("d3", "v1")]
    assert [dispute.name for dispute in found.disputes] == ["v1"]


def test_annotations_of_one_descriptor_are_merged() -> None:
    base = index(one("d1", "v1", annotations={"a": "1", "b": "1"}))
    theirs = index(one("d1", "v1", annotations={"a": "2", "b": "1", "c": "1"}), x=1)
    ours = index(one("d1", "v1", annotations={"a": "1", "d": "1"}, platform={"os": "linux"}))
    found = merge(base, theirs, ours)
    assert descriptors_of(found.document) == [
        one("d1", "v1", annotations={"a": "2", "c": "1", "d": "1"}, platform={"os": "linux"})
    ]
    assert found.disputes == ()


def test_what_is_said_of_content_comes_from_who_changed_the_content() -> None:
    base = index(one("d1", "v1"))
    said = index(one("d1", "v1", annotations={"a": "1"}), x=1)
    moved = index(one("d2", "v1"), y=1)
    for theirs, ours in ((said, moved), (moved, said)):
        found = merge(base, theirs, ours)
        assert descriptors_of(found.document) == [one("d2", "v1")]
        assert (found.document["x"], found.document["y"], found.disputes) == (1, 1, ())


def test_members_and_annotations_of_the_index_are_merged() -> None:
    base = index(annotations={"a": "1", "b": "1", "c": "1"}, x=1, y=1, z=1)
    theirs = index(annotations={"a": "2", "b": "1", "d": "1"}, x=2, z=1)
    ours = index(annotations={"a": "1", "c": "2", "e": "1"}, x=1, y=2, w=1)
    document, disputes = merge(base, theirs, ours)
    assert disputes == ()
    assert document == index(annotations={"a": "2", "c": "2", "d": "1", "e": "1"}, x=2, y=2, w=1)


def test_several_of_one_name_or_digest_are_told_apart() -> None:
    twice = index(one("d1", "v1"), one("d2", "v1"), one("d9"), one("d9", platform={"os": "a"}))
    theirs = index(*twice["manifests"], one("d3", "v3"))
    ours = index(*twice["manifests"], one("d4", "v4"))
    names = [name_of(each) for each in descriptors_of(merge(twice, theirs, ours).document)]
    assert names == ["v1", "v1", "", "", "v3", "v4"]


def test_no_manifests_may_be_null_and_annotations_too() -> None:
    assert merge({"manifests": None}, {"manifests": []}, index(one("a", "v"))).document == index(
        one("a", "v")
    )
    assert name_of({"annotations": None}) == name_of({"annotations": {}}) == name_of({}) == ""
