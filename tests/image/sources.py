"""What other tools write, made without the code under test: layouts and archives as files by path,
which may be written as a directory or as a tar archive in any order."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rossfs.image.progress import Progress
from rossfs.oci.digest import Digest
from tests.builders import ImageParts, compact, descriptor, digest_of

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"

Files = dict[str, bytes]


def blob_path(data: bytes | Digest) -> str:
    """Where content lies in a layout."""
    digest = data if isinstance(data, Digest) else digest_of(data)
    return f"blobs/{digest.algorithm}/{digest.hex}"


def entry(
    data: bytes, media_type: str, name: str | None = None, full: str | None = None
) -> dict[str, object]:
    """A descriptor for index.json."""
    annotations = {}
    if name is not None:
        annotations[REF_NAME] = name
    if full is not None:
        annotations[CONTAINERD_NAME] = full
    return descriptor(data, media_type, **({"annotations": annotations} if annotations else {}))


def layout(entries: Sequence[Mapping[str, object]], blobs: Iterable[bytes]) -> Files:
    """The files of an OCI layout."""
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": compact({"schemaVersion": 2, "manifests": list(entries)}),
    }
    return files | {blob_path(data): data for data in blobs}


def layout_of(images: Mapping[str, ImageParts]) -> Files:
    """The files of a layout that has each image under its name."""
    entries, blobs = [], []
    for name, parts in images.items():
        entries.append(entry(parts.manifest, parts.media_type, name))
        blobs += [parts.manifest, parts.config, *parts.layers]
    return layout(entries, blobs)


def plain_layers(parts: ImageParts) -> list[bytes]:
    """The layers of an image, uncompressed."""
    return [gzip.decompress(data) for data in parts.layers]


def docker_archive(images: Mapping[str, ImageParts], *, compressed: bool = False) -> Files:
    """The files of what docker save writes; names that are empty are left out."""
    files: Files = {}
    items = []
    for name, parts in images.items():
        paths = []
        for data in parts.layers if compressed else plain_layers(parts):
            path = f"{digest_of(data).hex[:32]}/layer.tar"
            files[path] = data
            paths.append(path)
        config = f"{digest_of(parts.config).hex}.json"
        files[config] = parts.config
        items.append({"Config": config, "RepoTags": [name] if name else None, "Layers": paths})
    return files | {"manifest.json": compact(items)}


def write_tree(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write *files* below *directory*."""
    for path, data in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return directory


def tar_of(
    files: Mapping[str, bytes], links: Mapping[str, tuple[bytes, str]] | None = None
) -> bytes:
    """A tar archive of *files* in their order, then of *links*: path to (type, target)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for path, (kind, target) in (links or {}).items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return stream.getvalue()


class Watching(Progress):
    """Notes what is copied; tests override `end`."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, name: str, size: int | None) -> None:
        """See Progress.begin."""
        self.begun.append(name)
