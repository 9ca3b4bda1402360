"""Merging two versions of the index.json of a layout that have one ancestor.

Tools read index.json, change it and write it back whole, with no lock.  So what a tool wrote is
compared with what it had read, and only what it changed is changed:

    base     what the writer had read
    theirs   what is there now
    ours     what the writer wrote

A descriptor with a name (the annotation REF_NAME, a tag) is followed by its name, one without by
its digest, so none that one side adds is ever lost.  What both changed goes to *ours*, the later;
what one removed and the other changed stays, changed.  All else (annotations and members, known or
not) is merged member by member in the same way.

Documents are what `document.parse_document` returns of a valid index, and are not changed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rossfs.oci.layout import REF_NAME

Fields = Mapping[str, Any]
"""A JSON object."""

_MANIFESTS = "manifests"
_ANNOTATIONS = "annotations"
_ABSENT = object()


class Key(NamedTuple):
    """Which descriptor, in both versions."""

    name: str
    """Its tag, or "" for none: then the digest counts."""
    digest: str
    number: int
    """How many of the same name, or of the same digest and no name, come before it."""


class Dispute(NamedTuple):
    """A named descriptor that both sides changed.  None: removed."""

    name: str
    theirs: str | None
    """The digest."""
    ours: str | None
    kept: str
    """The one that won."""


class Merged(NamedTuple):
    """What both sides together make of an index."""

    document: dict[str, Any]
    disputes: tuple[Dispute, ...] = ()


def name_of(descriptor: Fields) -> str:
    """The tag of a descriptor of index.json, "" if it has none."""
    name = (descriptor.get(_ANNOTATIONS) or {}).get(REF_NAME)
    return name if isinstance(name, str) else ""


def descriptors_of(document: Fields) -> list[dict[str, Any]]:
    """The descriptors of an index; `manifests` may be null or absent."""
    return document.get(_MANIFESTS) or []


def keyed(descriptors: Iterable[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """*descriptors* by key, in their order."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for descriptor in descriptors:
        name = name_of(descriptor)
        digest = "" if name else descriptor["digest"]
        found[Key(name, digest, seen[name, digest])] = descriptor
        seen[name, digest] += 1
    return found


def merge(base: Fields | None, theirs: Fields, ours: Fields) -> Merged:
    """The index with what *ours* changed since *base*, and what *theirs* did; *base* None: there
    was none.

    The order is that of *ours* if nobody else changed anything; otherwise that of *theirs*, and
    what *ours* adds comes last.
    """
    if base is None:
        base = {}
    if ours == base:
        return Merged(dict(theirs))
    if theirs in (base, ours):
        return Merged(dict(ours))
    disputes: list[Dispute] = []
    old, present, new = (keyed(descriptors_of(each)) for each in (base, theirs, ours))
    manifests = []
    for key in dict.fromkeys([*present, *new]):
        chosen = _choose(key, old.get(key), present.get(key), new.get(key), disputes)
        if chosen is not None:
            manifests.append(chosen)
    document = _members(_without(base), _without(theirs), _without(ours))
    return Merged({**document, _MANIFESTS: manifests}, tuple(disputes))


def _choose(
    key: Key,
    base: dict[str, Any] | None,
    theirs: dict[str, Any] | None,
    ours: dict[str, Any] | None,
    disputes: list[Dispute],
) -> dict[str, Any] | None:
    """What becomes of one descriptor; None: it goes."""
    if ours == base:
        return theirs
    if theirs in (base, ours):
        return ours
    before, there, here = (
        None if each is None else each["digest"] for each in (base, theirs, ours)
    )
    if theirs is not None and ours is not None and here == there:
        return _members(base or {}, theirs, ours)
    # Who changed the content, or removed it, comes before who only says something else of it: many
    # tools write less of a descriptor than they read.
    if here == before:
        return theirs
    if there == before:
        return ours
    kept = theirs if ours is None else ours
    assert kept is not None, "at most one side removed it"
    disputes.append(Dispute(key.name, there, here, kept["digest"]))
    return kept


def _members(base: Fields, theirs: Fields, ours: Fields) -> dict[str, Any]:
    """Merge objects member by member; the annotations in them likewise."""
    found = {}
    for name in dict.fromkeys([*theirs, *ours]):
        old, there, here = (each.get(name, _ABSENT) for each in (base, theirs, ours))
        if name == _ANNOTATIONS and isinstance(there, dict) and isinstance(here, dict):
            value: Any = _members(old if isinstance(old, dict) else {}, there, here)
        elif here == old or (here is _ABSENT and there != old):
            # The second: what one side removed and the other changed stays.
            value = there
        else:
            value = here
        if value is not _ABSENT:
            found[name] = value
    return found


def _without(document: Fields) -> Fields:
    return {name: value for name, value in document.items() if name != _MANIFESTS}
