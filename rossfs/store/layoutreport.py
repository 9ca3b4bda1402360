"""Lines for the log about a writing of index.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rossfs.oci.layoutmerge import Dispute, descriptors_of, name_of
from rossfs.oci.quotation import quote
from rossfs.store.tagtree import is_tag


def dispute(repository: str, found: Dispute) -> str:
    """Who won."""
    name = found.name if is_tag(found.name) else quote(found.name)
    what = f"tag {repository}:{name}" if found.name else f"a manifest of {repository}"
    lost = found.theirs if found.kept == found.ours else found.ours
    return (
        f"{what} was changed by two at once: {found.kept} stays,"
        f" {'its removal' if lost is None else lost} does not count"
    )


def no_tags(
    repository: str, present: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    """About new names that can be no tags."""
    known = set(map(name_of, descriptors_of(present)))
    for name in dict.fromkeys(map(name_of, descriptors_of(document))):
        if name and name not in known and not is_tag(name):
            yield (
                f"{quote(name)} can be no tag: only oci/{repository}/index.json has it,"
                " and keeps what it names"
            )
