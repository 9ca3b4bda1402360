"""Images of one gzip layer, written as streams: one large file, or a million empty ones."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any

from tests.bench.bulk import CONFIG, LAYER, MANIFEST
from tests.bench.ingest import files

LARGE = "large"
"""The name of the one large file."""

DIRECTORIES, FILES = 1000, 999
"""Of the crowded image: directories, and files in each; a million entries."""

_END = bytes(1024)


def large(layout: str, size: int) -> str:
    """Write an image with one file of *size* bytes of this machine's programs; returns the path
    of its layer."""
    member = tarfile.TarInfo(LARGE)
    member.size = size
    return _write(layout, _concatenated(member, size))


def crowded(layout: str) -> str:
    """Write an image of a million entries; returns the path of its layer."""
    return _write(layout, _crowd())


def _concatenated(member: tarfile.TarInfo, size: int) -> Iterator[bytes]:
    yield member.tobuf()
    left = size
    while left:
        for path in files("/usr"):
            with open(path, "rb") as file:
                while data := file.read(min(left, 1 << 20)):
                    left -= len(data)
                    yield data
            if not left:
                break
    yield bytes(-size % tarfile.BLOCKSIZE) + _END


def _crowd() -> Iterator[bytes]:
    for number in range(DIRECTORIES):
        name = f"d{number:04}"
        directory = tarfile.TarInfo(name)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        # One header, in which the digits of the name and the checksum are replaced: tobuf()
        # a million times would take minutes.
        header = tarfile.TarInfo(f"{name}/f0000").tobuf(tarfile.USTAR_FORMAT)
        blocks = [directory.tobuf(tarfile.USTAR_FORMAT)]
        total = int(header[148:154], 8) - 4 * ord("0")
        for file in range(FILES):
            digits = b"%04d" % file
            checksum = b"%06o\0" % (total + sum(digits))
            blocks.append(header[:7] + digits + header[11:148] + checksum + header[155:])
        yield b"".join(blocks)
    yield _END


def _write(layout: str, tar: Iterator[bytes]) -> str:
    blobs = f"{layout}/blobs/sha256"
    os.makedirs(blobs)
    diff_id, digest = hashlib.sha256(), hashlib.sha256()
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    partial = f"{layout}/layer"
    with open(partial, "wb") as file:

        def put(part: bytes) -> None:
            digest.update(part)
            file.write(part)

        for data in tar:
            diff_id.update(data)
            put(compressor.compress(data))
        put(compressor.flush())
        size = file.tell()
    path = f"{blobs}/{digest.hexdigest()}"
    os.rename(partial, path)
    layer = {"mediaType": LAYER, "digest": f"sha256:{digest.hexdigest()}", "size": size}
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id.hexdigest()}"]}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _put(blobs, config, CONFIG),
        "layers": [layer],
    }
    top = _put(blobs, manifest, MANIFEST)
    top["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    with open(f"{layout}/index.json", "w") as index:
        json.dump({"schemaVersion": 2, "manifests": [top]}, index)
    with open(f"{layout}/oci-layout", "w") as marker:
        json.dump({"imageLayoutVersion": "1.0.0"}, marker)
    return path


def _put(blobs: str, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    data = json.dumps(document).encode()
    name = hashlib.sha256(data).hexdigest()
    with open(f"{blobs}/{name}", "wb") as file:
        file.write(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}
