"""What a store holds, as a value to compare: the same whatever way it was reached."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from rossfs.errors import Damaged
from rossfs.oci.layoutmerge import keyed
from rossfs.store import layoutkeeping, tagfile
from rossfs.store.incoming import RESERVED
from rossfs.store.store import Store

# uuid4 in the names of quarantine/.
_CHANCE = re.compile(r"-[0-9a-f]{8}$")

DAMAGED = "damaged"


def picture(store: Store) -> dict[str, str]:
    """Everything that a user of the store can see, by name; every byte of content is verified."""
    seen = {}
    for digest in store.contents.everything():
        content = store.contents.settle(digest)
        if content is None:
            continue
        try:
            data = store.get_blob(digest)
        except Damaged:
            seen[f"content {digest}"] = DAMAGED
            continue
        assert len(data) == content.size
        seen[f"content {digest}"] = f"{content.area} {content.size}"
        seen[f"type {digest}"] = content.media_type
    for directory, _, names in os.walk(store.paths.tags):
        path = os.path.relpath(directory, store.paths.tags)
        if path != ".":
            seen[f"repository {path}"] = ""
        for name in names:
            try:
                seen[f"tag {path}:{name}"] = str(tagfile.read(f"{directory}/{name}").digest)
            except Damaged:
                seen[f"tag {path}:{name}"] = DAMAGED
    for repository in layoutkeeping.repositories(store.paths):
        seen |= _layout(store, repository)
    for asked in store.uses.asked():
        seen[f"use {asked}"] = str(store.uses.get(asked))
    for found in Path(store.paths.incoming).rglob("*"):
        pin = os.fsencode(found.relative_to(store.paths.incoming))
        if not pin.startswith(RESERVED):
            seen[f"incoming {pin!r}"] = str(store.incoming.digest(pin) or "no link")
    return seen


def _layout(store: Store, repository: str) -> dict[str, str]:
    """index.json by tag, by digest where there is none, and by member; and what blobs/ lists."""
    seen = {f"layout {repository}": ""}
    if not store.layouts.is_layout(repository):
        return seen
    index = json.loads(store.layouts.index(repository)[0])
    for key, descriptor in keyed(index.pop("manifests")).items():
        seen[f"layout {repository} {key}"] = json.dumps(descriptor)
    for name, value in index.items():
        seen[f"layout {repository} member {name}"] = json.dumps(value)
    for digest in store.layouts.listing(repository):
        seen[f"layout {repository} lists {digest}"] = ""
    return seen


def files(root: str) -> dict[str, int]:
    """The names of all files below *root*, and how many names each content has.

    Left out are the store's lock and format, which appear with the first change, the .meta files in
    quarantine/, which a repair that died leaves behind, and what is random in the names there.
    """
    found = {}
    for path in Path(root).rglob("*"):
        name = str(path.relative_to(root))
        if name in ("lock", "format") or (path.is_dir() and not path.is_symlink()):
            continue
        if not name.startswith("quarantine/"):
            found[name] = 1 if name.endswith(".meta") else path.lstat().st_nlink
        elif not name.endswith(".meta"):
            found[_CHANCE.sub("", name)] = 1
    return found


def is_between(before: dict[str, str], now: dict[str, str], after: dict[str, str]) -> bool:
    """Whether *now* is on the way: each thing as before or as afterwards, nothing else."""
    return all(
        now.get(name) in (before.get(name), after.get(name)) for name in {*before, *now, *after}
    )


def without_new_types(seen: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """*seen* without the media types of content that was not there before.

    Until all is done they may be others: they are in the .meta, which comes after the content and
    is made anew from the bytes where it is missing.
    """
    return {
        name: text for name, text in seen.items() if name in before or not name.startswith("type ")
    }
