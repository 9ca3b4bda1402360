"""From which of several texts of index.json a writer set out.

What a tool changed in index.json is told by what it had read (oci/layoutmerge.py).  Of a process
whose threads read several versions nobody knows which of them a text was made from.  So whatever
the text has or lacks as any of them is not changed by it: no tag is lost that the writer may not
have known, at the price that one it meant to remove may stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rossfs.errors import InvalidDocument
from rossfs.oci.layoutmerge import descriptors_of, keyed, name_of
from rossfs.store import layoutindex

_MANIFESTS = "manifests"
_ABSENT = object()


class Origin(NamedTuple):
    """What a writer set out from, as far as can be told."""

    text: bytes
    stays: tuple[str, ...] = ()
    """Tags that the writer's text lacks, and that are not taken for removed."""


def origin(texts: Sequence[bytes], ours: bytes) -> Origin:
    """What *ours* is to be compared with, if it was made from one of *texts*, the last of them as
    likely as not.  InvalidDocument if *ours* is no index."""
    *_, last = texts
    new = layoutindex.parse(ours)
    try:
        documents = [layoutindex.parse(each) for each in reversed(texts)]
    except InvalidDocument:
        return Origin(last)
    lists = [keyed(descriptors_of(each)) for each in documents]
    chosen = _chosen(lists, keyed(descriptors_of(new)))
    stays = [name_of(each) for key, each in lists[0].items() if key not in chosen]
    members = _chosen([_without(each) for each in documents], _without(new))
    document = {**members, _MANIFESTS: list(chosen.values())}
    return Origin(layoutindex.text_of(document), tuple(filter(None, stays)))


def _chosen(versions: Sequence[Mapping[Any, Any]], ours: Mapping[Any, Any]) -> dict[Any, Any]:
    """Of each key what *ours* has, if any of *versions* has that; else what the first has."""
    found = {}
    for key in {key: None for version in versions for key in version}:
        states = [version.get(key, _ABSENT) for version in versions]
        mine = ours.get(key, _ABSENT)
        state = mine if mine in states else states[0]
        if state is not _ABSENT:
            found[key] = state
    return found


def _without(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != _MANIFESTS}
