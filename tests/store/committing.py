"""What the tests of committing have in common: short ways to commit, to find, and to look at the
files."""

from __future__ import annotations

from pathlib import Path

from rossfs.oci.digest import Digest
from rossfs.store.content import Content
from rossfs.store.contents import Contents
from rossfs.store.filing import Stored
from rossfs.store.ingest import Ingest


def put(
    contents: Contents, data: bytes, media_type: str | None = None, expected: Digest | None = None
) -> Stored:
    with Ingest.create(contents) as ingest:
        ingest.append(data)
        return ingest.commit(expected, media_type)


def find(contents: Contents, digest: Digest) -> Content:
    content = contents.settle(digest)
    assert content is not None
    return content


def files(root: Path) -> set[str]:
    """All files of a store but the ones that are there without content."""
    found = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    return found - {"format", "lock"}
