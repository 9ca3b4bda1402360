"""Tags of a store, opened without the rest of it."""

from __future__ import annotations

from pathlib import Path

from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.tags import Tags


def open_tags(root: Path, *, read_only: bool = False) -> Tags:
    access = Access.open(str(root), read_only=read_only)
    return Tags(access, Contents(access))
