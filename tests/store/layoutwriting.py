"""Writing index.json of a layout as tools do: read it, change it, write it back whole.

    python -m tests.store.layoutwriting STORE REPOSITORY WRITER ROUNDS

adds the image of the name WRITER-ROUND, which must be stored, as the tag of that name, in each of
ROUNDS rounds.  Prints "ready", and begins when it is told to by a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rossfs.oci.layout import REF_NAME
from rossfs.store.layouts import Layouts
from rossfs.store.store import Store
from tests.builders import OCI_MANIFEST, ImageParts, compact, descriptor, image_parts

Document = dict[str, Any]

WRITTEN = "application/vnd.test.writer"


def read(layouts: Layouts, repository: str) -> Document:
    """index.json, parsed."""
    document: Document = json.loads(layouts.index(repository)[0])
    return document


def entry(parts: ImageParts, name: str = "", **more: Any) -> Document:
    """The descriptor of an image in index.json."""
    if name:
        more["annotations"] = {REF_NAME: name, **more.get("annotations", {})}
    return {**descriptor(parts.manifest, OCI_MANIFEST), **more}


def index(*manifests: Document, **more: Any) -> Document:
    """An index.json."""
    return {"schemaVersion": 2, "manifests": [*manifests], **more}


def write(layouts: Layouts, repository: str, *manifests: Document, **more: Any) -> list[str]:
    """Write an index.json over what is there, as somebody who has read that."""
    base = layouts.index(repository)[0] if layouts.is_layout(repository) else None
    return layouts.replace(repository, base, compact(index(*manifests, **more)))


def names(document: Document) -> list[str]:
    """The tags that an index.json has, "" for none."""
    return [each.get("annotations", {}).get(REF_NAME, "") for each in document["manifests"]]


def add(layouts: Layouts, repository: str, additions: Iterable[tuple[str, ImageParts]]) -> None:
    """Add tags, one writing for each."""
    for name, parts in additions:
        base = layouts.index(repository)[0] if layouts.is_layout(repository) else None
        document = index() if base is None else json.loads(base)
        document["manifests"].append(entry(parts, name, artifactType=WRITTEN))
        layouts.replace(repository, base, compact(document))


def main(root: str, repository: str, writer: str, rounds: str) -> None:
    additions = [
        (name, image_parts(name, layers=1))
        for name in map(f"{writer}-{{}}".format, range(int(rounds)))
    ]
    with Store.open(root) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        add(store.layouts, repository, additions)


if __name__ == "__main__":
    main(*sys.argv[1:])
