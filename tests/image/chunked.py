"""Layers with a table of contents, as eStargz and zstd:chunked have it, and images of them."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import tarfile
from typing import Any, NamedTuple

from rossfs.image.tocdigests import ESTARGZ, ZSTD_CHUNKED
from rossfs.image.zstd import ZstdCompressor
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST
from tests import builders
from tests.builders import Putter, compact, descriptor, digest_of
from tests.layers import Layer

KINDS = {
    tarfile.REGTYPE: "reg",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.FIFOTYPE: "fifo",
}


class Chunked(NamedTuple):
    """A layer as it is stored, and the digest of its table of contents."""

    blob: bytes
    toc: Digest
    diff_id: Digest
    annotation: str
    media_type: str

    @property
    def digest(self) -> Digest:
        return digest_of(self.blob)


def entries(tar: bytes) -> list[dict[str, Any]]:
    """What a table says of the entries of an archive."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return [_entry(archive, member) for member in archive]


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": member.name, "type": KINDS[member.type], "mode": member.mode}
    entry |= {"uid": member.uid, "gid": member.gid}
    if member.isreg():
        file = archive.extractfile(member)
        assert file is not None
        data = file.read()
        entry |= {"size": len(data), "digest": str(digest_of(data))} if data else {}
    if member.linkname:
        entry["linkName"] = member.linkname
    if member.ischr():
        entry |= {"devMajor": member.devmajor, "devMinor": member.devminor}
    prefix = "SCHILY.xattr."
    xattrs = {
        name.removeprefix(prefix): base64.b64encode(
            value.encode("utf-8", "surrogateescape")
        ).decode()
        for name, value in member.pax_headers.items()
        if name.startswith(prefix)
    }
    return entry | ({"xattrs": xattrs} if xattrs else {})


def table_of(listed: list[dict[str, Any]]) -> bytes:
    """The text of a table."""
    return json.dumps({"version": 1, "entries": listed}).encode()


def estargz(layer: Layer, listed: list[dict[str, Any]] | None = None) -> Chunked:
    """*layer* with a table that lists its entries, or *listed*, as its last file."""
    text = table_of(entries(bytes(layer)) if listed is None else listed)
    tar = bytes(layer.file("stargz.index.json", text))
    toc = digest_of(text)
    return Chunked(gzip.compress(tar, 1, mtime=0), toc, digest_of(tar), ESTARGZ, OCI_LAYER_GZIP)


def zstd_chunked(
    layer: Layer, listed: list[dict[str, Any]] | None = None, *, size: int = 64
) -> Chunked:
    """*layer* with a table in a skippable frame, and a footer of *size* bytes."""
    tar = bytes(layer)
    text = table_of(entries(tar) if listed is None else listed)
    packed = compress(text)
    blob = compress(tar) + frame(packed)
    footer = struct.pack("<QQQQ", len(blob) - len(packed), len(packed), len(text), 1)
    blob += frame(footer.ljust(size - 8, b"\0") + b"GnUlInUx")
    return Chunked(blob, digest_of(packed), digest_of(tar), ZSTD_CHUNKED, OCI_LAYER_ZSTD)


def frame(data: bytes) -> bytes:
    """A skippable frame of zstd."""
    return b"\x50\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def compress(data: bytes) -> bytes:
    compressor = ZstdCompressor()
    return compressor.compress(data) + compressor.flush()


def put(store: Putter, *layers: Chunked, tag: str | None = None) -> Digest:
    """Store an image of *layers* whose manifest says what tables they have."""
    config = builders.config([str(layer.diff_id) for layer in layers])
    store.put_blob(OCI_CONFIG, config)
    described = []
    for layer in layers:
        store.put_blob(layer.media_type, layer.blob)
        annotations = {layer.annotation: str(layer.toc)}
        described.append(descriptor(layer.blob, layer.media_type, annotations=annotations))
    manifest = compact(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, OCI_CONFIG),
            "layers": described,
        }
    )
    store.put_manifest(manifest, OCI_MANIFEST)
    if tag is not None:
        builders.set_tag(store, tag, digest_of(manifest))
    return digest_of(manifest)
