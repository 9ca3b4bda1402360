"""Images made of given layers, so that several can share some."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence

from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCI_FOREIGN_GZIP
from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, digest_of


def layer_of(size: int, mark: str) -> bytes:
    """A layer, stored without compression, of a little more than *size* bytes."""
    return gzip.compress(builders.tar({mark: mark.encode() * (size // len(mark) + 1)}), 0, mtime=0)


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of an archive: a regular file unless *fields* (those of TarInfo) say otherwise."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = builders.CREATED
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer of *members*, in their order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), 1, mtime=0)


def stack(
    store: Store,
    layers: Sequence[bytes],
    *tags: str,
    history: Iterable[Mapping[str, object]] | None = None,
    diff_ids: Sequence[str] | None = None,
    absent: int = 0,
) -> Digest:
    """Store an image of *layers*, the bottom first; *tags* are "repository:tag".

    The topmost *absent* layers are foreign and not stored.
    """
    if diff_ids is None:
        diff_ids = [str(digest_of(gzip.decompress(data))) for data in layers]
    config = builders.config(diff_ids)
    if history is not None:
        document = json.loads(config) | {"history": list(history)}
        config = builders.compact(document)
    types = [OCI_LAYER_GZIP] * (len(layers) - absent) + [OCI_FOREIGN_GZIP] * absent
    store.put_blob(OCI_CONFIG, config)
    for data in dict.fromkeys(layers[: len(layers) - absent]):
        store.put_blob(OCI_LAYER_GZIP, data)
    manifest = builders.manifest(config, layers, layer_types=types)
    digest, _ = store.put_manifest(manifest, OCI_MANIFEST)
    for tag in tags:
        builders.set_tag(store, tag, digest)
    return digest
