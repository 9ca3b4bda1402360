"""Merging of index.json against what two writers want: sets of names."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rossfs.oci.document import compact
from rossfs.oci.layout import REF_NAME
from rossfs.oci.layoutmerge import descriptors_of, keyed, merge, name_of

Document = dict[str, Any]

# Few of each, so that both sides meet.
NAMES = st.sampled_from(["", "a", "b", "c", "d"])
DIGESTS = st.sampled_from(["d1", "d2", "d3"])
ANNOTATIONS = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]))


@st.composite
def descriptors(draw: st.DrawFn) -> Document:
    name, annotations = draw(NAMES), draw(ANNOTATIONS)
    if name:
        annotations[REF_NAME] = name
    return {"digest": draw(DIGESTS), "annotations": annotations}


def by_name(descriptor: Document) -> tuple[str, str]:
    name = name_of(descriptor)
    return name, "" if name else descriptor["digest"]


@st.composite
def indexes(draw: st.DrawFn) -> Document:
    found = draw(st.lists(descriptors(), max_size=6, unique_by=by_name))
    more = draw(st.dictionaries(st.sampled_from(["p", "q"]), st.integers(0, 2)))
    return {"schemaVersion": 2, "manifests": found, **more}


def tags(document: Document) -> dict[str, str]:
    return {name_of(each): each["digest"] for each in descriptors_of(document) if name_of(each)}


@given(indexes(), indexes(), indexes())
def test_no_change_of_a_tag_is_lost(base: Document, theirs: Document, ours: Document) -> None:
    was, there, here = tags(base), tags(theirs), tags(ours)
    copies = copy.deepcopy((base, theirs, ours))
    found = merge(base, theirs, ours)
    assert (base, theirs, ours) == copies
    now = tags(found.document)
    for name in {*was, *there, *here}:
        old, one, other = was.get(name), there.get(name), here.get(name)
        if one in (other, old):
            wanted = other
        elif other == old:
            wanted = one
        else:
            wanted = one if other is None else other
            assert [each.kept for each in found.disputes if each.name == name] == [wanted]
        assert now.get(name) == wanted, name


@given(indexes(), indexes(), indexes())
def test_each_descriptor_comes_once_and_from_a_side(
    base: Document, theirs: Document, ours: Document
) -> None:
    found = keyed(descriptors_of(merge(base, theirs, ours).document))
    sides = keyed(descriptors_of(theirs)).keys() | keyed(descriptors_of(ours)).keys()
    assert found.keys() <= sides
    assert all(key.number == 0 for key in found)


@given(indexes(), indexes())
def test_equal_texts_change_nothing(one: Document, other: Document) -> None:
    text = compact(one)
    assert compact(merge(one, one, one).document) == text
    assert compact(merge(other, one, one).document) == text
    assert compact(merge(other, other, one).document) == text
    assert compact(merge(one, other, one).document) == compact(other)


@given(indexes(), indexes(), indexes())
def test_writing_the_result_again_changes_nothing(
    base: Document, theirs: Document, ours: Document
) -> None:
    once = merge(base, theirs, ours).document
    assert merge(once, once, once) == (once, ())


@given(indexes(), st.lists(descriptors(), max_size=3), st.lists(descriptors(), max_size=3))
def test_what_two_add_at_once_is_all_there(
    base: Document, first: list[Document], second: list[Document]
) -> None:
    def added(extra: list[Document], number: int) -> Document:
        named = [
            {"digest": each["digest"], "annotations": {REF_NAME: f"writer-{number}-{count}"}}
            for count, each in enumerate(extra)
        ]
        return {**base, "manifests": [*base["manifests"], *named]}

    one, other = added(first, 1), added(second, 2)
    found = merge(base, one, other)
    assert not found.disputes
    assert tags(found.document) == {**tags(one), **tags(other)}
