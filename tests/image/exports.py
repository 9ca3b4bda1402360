"""Exporting in one word, for tests, and looking at what came of it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from rossfs.image.export import Exported, export_image
from rossfs.image.progress import SILENT, Progress
from rossfs.image.transport import parse_destination
from rossfs.oci.platform import Platform
from rossfs.oci.reference import Reference
from rossfs.store.store import Store


def give(
    store: Store,
    name: str,
    destination: Path | str,
    platform: str | None = None,
    progress: Progress = SILENT,
) -> Exported:
    reference = Reference.parse(name)
    assert reference.tag is not None
    return export_image(
        store,
        store.resolve_tag(reference.repository, reference.tag)[0],
        parse_destination(str(destination)),
        reference=reference,
        platform=None if platform is None else Platform.parse(platform),
        progress=progress,
    )


def files_below(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def files_in(archive: Path | bytes) -> dict[str, bytes]:
    stream = io.BytesIO(archive if isinstance(archive, bytes) else archive.read_bytes())
    found = {}
    with tarfile.open(fileobj=stream) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
    return found


def index_of(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "index.json").read_bytes())["manifests"]
    return found
