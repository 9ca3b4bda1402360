"""Layers for tests, byte by byte: what tools write, what bad ones write, and what nobody should.

A `Layer` is one tar archive to which entries are added in order; nothing is checked, so names may
lead anywhere, entries may come twice, and every field of a header can be set.  `LayeredImage` packs
layers as registries have them and makes an image of them: into a store, or an OCI layout for tools.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from rossfs.oci.digest import Digest
from tests import builders
from tests.builders import CREATED, Putter, digest_of

if sys.version_info >= (3, 14):
    from compression.zstd import compress as zstd_compress
else:
    from backports.zstd import compress as zstd_compress

BLOCK = 512
USTAR = b"ustar\x0000"
GNU = b"ustar  \0"
V7 = bytes(8)

OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

Name = str | bytes
Records = Mapping[Name, bytes] | Sequence[tuple[Name, bytes]]
Pieces = Sequence[tuple[int, bytes]]
"""What is stored of a sparse file: (offset in the file, bytes)."""


class Layer:
    """A tar archive in the making."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __bytes__(self) -> bytes:
        """What was added, without the end of an archive."""
        return bytes(self._data)

    def closed(self) -> bytes:
        """What was added, with the two blocks that end an archive (pax(1))."""
        return bytes(self._data) + bytes(2 * BLOCK)

    def raw(self, data: bytes) -> Self:
        """Add bytes as they are."""
        self._data += data
        return self

    # --- entries ---

    def file(self, path: Name, data: bytes = b"", mode: int = 0o644, **fields: object) -> Self:
        """Add a regular file."""
        return self.entry(path, b"0", data, mode=mode, **fields)  # type: ignore[arg-type]

    def directory(self, path: Name, mode: int = 0o755, **fields: object) -> Self:
        """Add a directory."""
        return self.entry(path, b"5", mode=mode, **fields)  # type: ignore[arg-type]

    def symlink(self, path: Name, target: Name, **fields: object) -> Self:
        """Add a symbolic link."""
        return self.entry(path, b"2", link=target, mode=0o777, **fields)  # type: ignore[arg-type]

    def link(self, path: Name, target: Name, **fields: object) -> Self:
        """Add a hard link to another path of the archive."""
        return self.entry(path, b"1", link=target, **fields)  # type: ignore[arg-type]

    def device(self, path: Name, kind: bytes, major: int, minor: int, mode: int = 0o600) -> Self:
        """Add a device; *kind* is `b"3"` for a character device, `b"4"` for a block device."""
        return self.entry(path, kind, device=(major, minor), mode=mode)

    def whiteout(self, path: Name) -> Self:
        """Say that *path* of lower layers is not there any more."""
        head, slash, name = os.fsencode(path).rpartition(b"/")
        return self.file(head + slash + b".wh." + name)

    def opaque(self, path: Name) -> Self:
        """Say that what lower layers have in the directory *path* is not there any more."""
        path = os.fsencode(path)
        return self.file(path + b"/.wh..wh..opq" if path else b".wh..wh..opq")

    def entry(
        self,
        path: Name,
        kind: bytes,
        data: bytes = b"",
        *,
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        mtime: int = CREATED,
        link: Name = b"",
        device: tuple[int, int] = (0, 0),
        xattrs: Mapping[Name, bytes] | None = None,
        pax: Records = (),
        long: str = "pax",
        **header: object,
    ) -> Self:
        """Add an entry of any *kind* (the typeflag), its data padded.

        A name over 100 bytes gets a PAX record, or an entry of GNU tar with *long* "gnu"; xattrs
        are SCHILY.xattr records; *header* goes to `header`.
        """
        path, link = os.fsencode(path), os.fsencode(link)
        records = list(pax.items() if isinstance(pax, Mapping) else pax)
        for name, value in (xattrs or {}).items():
            records.append((b"SCHILY.xattr." + os.fsencode(name), value))
        for text, record, flag in ((path, "path", b"L"), (link, "linkpath", b"K")):
            if len(text) > 100:
                if long == "gnu":
                    self._long(text, flag)
                else:
                    records.append((record, text))
        if records:
            self.pax(records)
        header.setdefault("size", len(data))
        self._data += block(
            path[:100],
            kind,
            mode=mode,
            uid=uid,
            gid=gid,
            mtime=mtime,
            link=link[:100],
            device=device,
            **header,  # type: ignore[arg-type]
        )
        return self.padded(data)

    def padded(self, data: bytes) -> Self:
        """Add bytes, and zeros up to the next block."""
        self._data += data + bytes(-len(data) % BLOCK)
        return self

    def pax(self, records: Records, kind: bytes = b"x") -> Self:
        """Add a PAX header for the next entry, or with *kind* `b"g"` for all that follow."""
        pairs = records.items() if isinstance(records, Mapping) else records
        data = b"".join(record(name, value) for name, value in pairs)
        self._data += block(b"pax", kind, size=len(data))
        return self.padded(data)

    def _long(self, text: bytes, kind: bytes) -> None:
        self._data += block(b"././@LongLink", kind, size=len(text) + 1, magic=GNU)
        self.padded(text + b"\0")

    # --- sparse files, in all forms of the manual of GNU tar, appendix D "Sparse Formats" ---

    def gnu_sparse(self, path: Name, pieces: Pieces, size: int, **fields: object) -> Self:
        """Add a sparse file of the old GNU format: four pieces in the header, the others behind."""
        numbers = [(offset, len(data)) for offset, data in pieces]
        maps = [b"".join(octal(value, 12) for pair in numbers[:4] for value in pair)]
        for start in range(4, len(numbers), 21):
            group = numbers[start : start + 21]
            maps.append(b"".join(octal(value, 12) for pair in group for value in pair))
        stored = b"".join(data for _, data in pieces)
        # star's atime, ctime, offset, longnames and a pad come first: 41 bytes from 345 on.
        tail = bytes(41) + maps[0].ljust(96, b"\0") + (b"\1" if maps[1:] else b"\0")
        self._data += block(
            os.fsencode(path),
            b"S",
            size=len(stored),
            magic=GNU,
            tail=tail + octal(size, 12),
            **fields,  # type: ignore[arg-type]
        )
        for number, part in enumerate(maps[1:], 2):
            more = b"\1" if number < len(maps) else b"\0"
            self._data += (part.ljust(504, b"\0") + more).ljust(BLOCK, b"\0")
        return self.padded(stored)

    def pax_sparse(
        self, path: Name, pieces: Pieces, size: int, version: str = "1.0", **fields: object
    ) -> Self:
        """Add a sparse file of PAX version 0.0, 0.1 or 1.0."""
        path = os.fsencode(path)
        stored = b"".join(data for _, data in pieces)
        pairs = [(b"%d" % offset, b"%d" % len(data)) for offset, data in pieces]
        count = b"%d" % len(pieces)
        records: list[tuple[Name, bytes]]
        if version == "1.0":
            lines = b"\n".join([count, *(number for pair in pairs for number in pair), b""])
            stored = lines + bytes(-len(lines) % BLOCK) + stored
            records = [
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", path),
                ("GNU.sparse.realsize", b"%d" % size),
            ]
        elif version == "0.1":
            joined = b",".join(number for pair in pairs for number in pair)
            records = [
                ("GNU.sparse.size", b"%d" % size),
                ("GNU.sparse.numblocks", count),
                ("GNU.sparse.name", path),
                ("GNU.sparse.map", joined),
            ]
        else:
            records = [("GNU.sparse.size", b"%d" % size), ("GNU.sparse.numblocks", count)]
            for offset, length in pairs:
                records += [("GNU.sparse.offset", offset), ("GNU.sparse.numbytes", length)]
        shown = path if version == "0.0" else b"./GNUSparseFile.1/" + path.rpartition(b"/")[2]
        return self.entry(shown, b"0", stored, pax=records, **fields)  # type: ignore[arg-type]


# --- headers ---


def block(
    name: bytes,
    kind: bytes,
    *,
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = CREATED,
    link: bytes = b"",
    magic: bytes = USTAR,
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
    tail: bytes | None = None,
    checksum: bytes | None = None,
) -> bytes:
    """One header (tar(5)); *tail* is what comes instead of the prefix, from byte 345 on."""
    fields = [
        name.ljust(100, b"\0"),
        octal(mode, 8),
        octal(uid, 8),
        octal(gid, 8),
        octal(size, 12),
        octal(mtime, 12),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        magic,
        bytes(64),
        octal(device[0], 8) + octal(device[1], 8) if magic != V7 else bytes(16),
        prefix.ljust(155, b"\0") if tail is None else tail,
    ]
    header = b"".join(fields).ljust(BLOCK, b"\0")
    assert len(header) == BLOCK, name
    if checksum is None:
        checksum = b"%06o\0 " % sum(header)
    return header[:148] + checksum + header[156:]


def octal(value: int, width: int) -> bytes:
    """A number as a header has it: octal digits and a NUL, or base-256 if it is too large or
    negative."""
    digits = b"%o" % value if value >= 0 else b""
    if digits and len(digits) < width:
        return digits.rjust(width - 1, b"0") + b"\0"
    if value >= 0:
        return b"\x80" + value.to_bytes(width - 1, "big")
    return value.to_bytes(width, "big", signed=True)


def record(name: Name, value: bytes) -> bytes:
    """A PAX record: "length name=value\\n", the length counting itself."""
    body = b" %b=%b\n" % (os.fsencode(name), value)
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length += 1
    return b"%d%b" % (length, body)


# --- how layers are packed ---


def _members(tar: bytes) -> bytes:
    parts = [tar[start : start + 5000] for start in range(0, len(tar), 5000)]
    return b"".join(gzip.compress(part, mtime=0) for part in parts or [b""])


def _frames(tar: bytes) -> bytes:
    skippable = (0x184D2A53).to_bytes(4, "little") + (7).to_bytes(4, "little") + b"ignored"
    parts = [tar[start : start + 5000] for start in range(0, len(tar), 5000)]
    return skippable + b"".join(map(zstd_compress, parts)) + skippable


class Packing(NamedTuple):
    """One way to pack a layer."""

    pack: Callable[[bytes], bytes]
    media_type: str


PACKINGS: Mapping[str, Packing] = {
    "plain": Packing(bytes, builders.OCI_LAYER),
    "gzip": Packing(lambda tar: gzip.compress(tar, mtime=0), builders.OCI_LAYER_GZIP),
    "gzip in members": Packing(_members, builders.OCI_LAYER_GZIP),
    "zstd": Packing(zstd_compress, OCI_LAYER_ZSTD),
    "zstd in frames": Packing(_frames, OCI_LAYER_ZSTD),
    "bzip2": Packing(bz2.compress, builders.OCI_LAYER),
    "xz": Packing(lzma.compress, builders.OCI_LAYER),
}


# --- images ---


class LayeredImage(NamedTuple):
    """The bytes of an image of layers, bottom first."""

    manifest: bytes
    config: bytes
    blobs: tuple[bytes, ...]
    types: tuple[str, ...]
    docker: bool

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return digest_of(self.manifest)

    @property
    def layers(self) -> tuple[Digest, ...]:
        """The digests of the packed layers."""
        return tuple(map(digest_of, self.blobs))

    def parts(self) -> Iterable[tuple[str, bytes]]:
        """(media type, bytes) of the layers and the config."""
        yield from zip(self.types, self.blobs, strict=True)
        yield (builders.DOCKER_CONFIG if self.docker else builders.OCI_CONFIG), self.config

    def put(self, store: Putter, tag: str | None = None) -> Digest:
        """Store it, as *tag* "repository:tag" too; return the digest of the manifest."""
        for media_type, data in self.parts():
            store.put_blob(media_type, data)
        kind = builders.DOCKER_MANIFEST if self.docker else builders.OCI_MANIFEST
        store.put_manifest(self.manifest, kind)
        if tag is not None:
            builders.set_tag(store, tag, self.digest)
        return self.digest

    def write_layout(self, path: Path, tag: str = "latest") -> Path:
        """Write it as the only image of an OCI layout (image-layout.md); return *path*."""
        blobs = path / "blobs/sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for data in (self.manifest, self.config, *self.blobs):
            (blobs / digest_of(data).hex).write_bytes(data)
        entry = builders.descriptor(
            self.manifest,
            builders.OCI_MANIFEST,
            annotations={"org.opencontainers.image.ref.name": tag},
        )
        (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        return path


def image_of(
    *layers: Layer | bytes,
    packing: str | Sequence[str] = "gzip",
    diff_ids: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    docker: bool = False,
) -> LayeredImage:
    """An image of *layers* (bytes are a whole tar), each packed by the name of one of `PACKINGS`.

    *diff_ids* and *types* say otherwise what the config and the manifest say of them.
    """
    tars = [layer.closed() if isinstance(layer, Layer) else layer for layer in layers]
    names = [packing] * len(tars) if isinstance(packing, str) else packing
    chosen = [PACKINGS[name] for name in names]
    blobs = tuple(each.pack(tar) for each, tar in zip(chosen, tars, strict=True))
    if diff_ids is None:
        diff_ids = [str(digest_of(tar)) for tar in tars]
    if types is None:
        types = [builders.DOCKER_LAYER if docker else each.media_type for each in chosen]
    return packed_image(blobs, diff_ids, types, docker=docker)


def packed_image(
    blobs: Sequence[bytes], diff_ids: Sequence[str], types: Sequence[str], *, docker: bool = False
) -> LayeredImage:
    """An image of layers that are packed already."""
    config = builders.config(diff_ids)
    manifest = builders.manifest(config, blobs, docker=docker, layer_types=types)
    return LayeredImage(manifest, config, tuple(blobs), tuple(types), docker)
