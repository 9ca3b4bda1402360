"""What is in a store, counted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from rossfs.store import areas, layoutkeeping, layoutrecord
from rossfs.store.paths import Area

if TYPE_CHECKING:
    from rossfs.store.store import Store


class StoreInfo(NamedTuple):
    """The size of a store."""

    bytes: int
    """Of all content; .meta files are not counted, and an index only once."""
    blobs: int
    manifests: int
    """Manifests and indexes."""
    tags: int
    layouts: int = 0
    """Repositories of which oci/ keeps more than their tags."""


def gather(store: Store) -> StoreInfo:
    """Count what is stored, right or wrong.  Looks at the status of every file, reads none."""
    paths = store.access.paths
    size = 0
    counts = dict.fromkeys(Area, 0)
    for area in Area:
        for digest in areas.listed(paths, area):
            # An index lies in manifests/ too, hard-linked or copied.
            if area is Area.INDEXES and os.path.lexists(paths.content(Area.MANIFESTS, digest)):
                continue
            try:
                size += os.lstat(paths.content(area, digest)).st_size
            except FileNotFoundError:
                continue
            counts[area] += 1
    return StoreInfo(
        size,
        counts[Area.BLOBS],
        counts[Area.MANIFESTS] + counts[Area.INDEXES],
        sum(1 for _ in store.tags.names()),
        sum(layoutrecord.exists(paths, name) for name in layoutkeeping.repositories(paths)),
    )
