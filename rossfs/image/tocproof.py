"""Whether a layer is what a table of contents says: only then it may be given out by that table's
digest.

A manifest names such a digest, and the table is in the blob; but both may be anybody's, around
other files than the table lists.  Podman takes an additional layer store's word for it
(containers/image, storage_dest.go), so each entry of the table is compared with that of the tar:
path, type, mode, owner, size, link, device, extended attributes, and the hash of what is in the
file; and there may be nothing that the table does not list.  Times are not compared.

The table of eStargz is the file stargz.index.json of the layer itself (docs/estargz.md), that of
zstd:chunked a skippable frame which the last one points to (containers/storage,
pkg/chunked/internal/compression.go).  Both are JSON of the same form.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import struct
from collections.abc import Mapping
from typing import Any

from rossfs.errors import InvalidDigest, InvalidLayer
from rossfs.image import tarname
from rossfs.image.blobdata import BlobBytes
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.image.record import IMPLIED, LOWER_LINK, Record
from rossfs.image.zstd import ZstdDecompressor, ZstdError
from rossfs.oci.digest import Digest, hasher_for

LIMIT = 16 << 20
"""Bytes of a table: it is parsed in memory.  Sixty thousand files."""

TABLE = b"stargz.index.json"

_PIECE = 1 << 20
_FOOTER = struct.Struct("<QQQQ")
_FOOTER_SIZES = (64, 40)
"""Bytes of the footer: with what is said of tar-split, and as skopeo 1.9 writes it, without."""
_MAGIC = b"GnUlInUx"
_SKIPPABLE = b"\x50\x2a\x4d\x18"
"""What the frame of the footer begins with, before its size (RFC 8878, 3.1.2)."""

_KINDS = {
    "dir": stat.S_IFDIR,
    "reg": stat.S_IFREG,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}


def prove(layers: Layers, content: Digest, toc: Digest) -> None:
    """InvalidLayer, with the reason, unless *toc* is the digest of a table of contents in the layer
    *content*, and right.

    Reads the whole layer.  BlobNotFound, Damaged and whatever opening a layer raises.
    """
    layer = layers.open(content)
    index = layer.toc.find(0, TABLE)
    if index >= 0:
        text = _estargz(layer, index, toc)
    else:
        text = _zstd_chunked(BlobBytes(layers.store.contents, content), toc)
    try:
        table = json.loads(text)
        entries = table["entries"]
        if type(entries) is not list:
            raise TypeError("entries")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidLayer(f"the table of contents in layer {content} is none: {error}") from error
    try:
        listed = {_compare(layer, entry) for entry in entries if entry["type"] != "chunk"}
    except (KeyError, TypeError, ValueError, AttributeError, InvalidDigest) as error:
        raise InvalidLayer(
            f"the table of contents in layer {content} does not describe it: {error}"
        ) from error
    for index in range(1, layer.toc.count):
        if index in listed or layer.toc.record(index).flags & IMPLIED:
            continue
        if layer.toc.path(index) != TABLE:
            path = layer.toc.path(index)
            raise InvalidLayer(f"the table of contents in layer {content} lacks {path!r}")


def _estargz(layer: Layer, index: int, toc: Digest) -> bytes:
    record = layer.toc.record(index)
    if not stat.S_ISREG(record.mode) or record.size > LIMIT:
        raise InvalidLayer(f"layer {layer.digest} has no table of contents of up to {LIMIT} bytes")
    text = layer.read(index, 0, record.size)
    return _checked(text, toc, layer.digest)


def _zstd_chunked(blob: BlobBytes, toc: Digest) -> bytes:
    end = blob.size
    for footer_size in _FOOTER_SIZES:
        head = _SKIPPABLE + footer_size.to_bytes(4, "little")
        footer = blob.read(max(0, end - footer_size - len(head)), footer_size + len(head))
        if footer.startswith(head) and footer.endswith(_MAGIC):
            break
    else:
        raise InvalidLayer(f"layer {blob.digest} has no table of contents")
    start, packed_size, size, kind = _FOOTER.unpack_from(footer, len(head))
    if kind != 1 or size > LIMIT or packed_size > LIMIT or start + packed_size > end:
        raise InvalidLayer(f"layer {blob.digest} has no table of contents of up to {LIMIT} bytes")
    packed = _checked(blob.read(start, packed_size), toc, blob.digest)
    try:
        text = ZstdDecompressor().decompress(packed, size + 1)
    except ZstdError as error:
        raise InvalidLayer(
            f"the table of contents in layer {blob.digest} is damaged: {error}"
        ) from error
    if len(text) != size:
        raise InvalidLayer(f"the table of contents in layer {blob.digest} has another size")
    return text


def _checked(table: bytes, toc: Digest, layer: Digest) -> bytes:
    actual = Digest.of(table, toc.algorithm)
    if actual != toc:
        raise InvalidLayer(f"the table of contents in layer {layer} is {actual}, not {toc}")
    return table


def _compare(layer: Layer, entry: Mapping[str, Any]) -> int:
    """The index of the record that *entry* is, ValueError if it is none."""
    path = tarname.clean(_bytes(entry["name"]))
    index = _find(layer, path)
    record = layer.toc.record(index)
    if entry["type"] == "hardlink":
        target = tarname.clean(_bytes(entry["linkName"]))
        if record.flags & LOWER_LINK:
            same = layer.toc.link_target(index) == target
        else:
            same = layer.toc.record(_find(layer, target)).inode == record.inode
        _require(same, path, "link")
        return index
    _require(stat.S_IFMT(record.mode) == _KINDS[entry["type"]], path, "type")
    _require(not record.flags & LOWER_LINK, path, "type")
    _require(stat.S_IMODE(record.mode) == entry.get("mode", 0) & 0o7777, path, "mode")
    owner = (entry.get("uid", 0), entry.get("gid", 0))
    _require((record.uid, record.gid) == owner, path, "owner")
    xattrs = {
        _bytes(name): base64.b64decode(value) for name, value in (entry.get("xattrs") or {}).items()
    }
    _require(dict(layer.toc.xattrs(index)) == xattrs, path, "extended attributes")
    _compare_content(layer, index, record, entry, path)
    return index


def _compare_content(
    layer: Layer, index: int, record: Record, entry: Mapping[str, Any], path: bytes
) -> None:
    if stat.S_ISLNK(record.mode):
        text = _bytes(entry.get("linkName", ""))
        _require(layer.toc.symlink_text(index) == text, path, "link")
    elif stat.S_ISCHR(record.mode) or stat.S_ISBLK(record.mode):
        rdev = layer.toc.rdev(index)
        numbers = (entry.get("devMajor", 0), entry.get("devMinor", 0))
        _require((os.major(rdev), os.minor(rdev)) == numbers, path, "device")
    elif stat.S_ISREG(record.mode):
        _require(record.size == entry.get("size", 0), path, "size")
        if record.size:
            expected = Digest.parse(entry["digest"])
            hasher = hasher_for(expected.algorithm)
            for offset in range(0, record.size, _PIECE):
                hasher.update(layer.read(index, offset, _PIECE))
            _require(hasher.hexdigest() == expected.hex, path, "content")


def _find(layer: Layer, path: bytes) -> int:
    index = 0
    for name in path.split(b"/") if path else ():
        index = layer.toc.find(index, name)
        if index < 0:
            raise ValueError(f"{path!r} is not in the layer")
    return index


def _require(same: bool, path: bytes, what: str) -> None:
    if not same:
        raise ValueError(f"{path!r} has another {what}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
