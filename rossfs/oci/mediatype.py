"""The media types of OCI and Docker schema 2, and what kind of thing each is.

Sources: image-spec media-types.md and layer.md; distribution, manifest-v2-2.md.  A media type that
is not listed here is never an error: its kind is OTHER.
"""

from __future__ import annotations

from enum import StrEnum

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_FOREIGN_GZIP = OCI_FOREIGN + "+gzip"
OCI_FOREIGN_ZSTD = OCI_FOREIGN + "+zstd"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_TAR = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_FOREIGN_TAR = "application/vnd.docker.image.rootfs.foreign.diff.tar"

DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

OCTET_STREAM = "application/octet-stream"

EMPTY = b"{}"  # the content of the empty descriptor, image-spec manifest.md
EMPTY_HEX = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


class Kind(StrEnum):
    """What content of a media type is for."""

    MANIFEST = "manifest"
    INDEX = "index"
    CONFIG = "config"
    LAYER = "layer"
    OTHER = "other"


_KINDS = {
    OCI_MANIFEST: Kind.MANIFEST,
    DOCKER_MANIFEST: Kind.MANIFEST,
    OCI_INDEX: Kind.INDEX,
    DOCKER_LIST: Kind.INDEX,
    OCI_CONFIG: Kind.CONFIG,
    DOCKER_CONFIG: Kind.CONFIG,
}

# Encrypted layers, other compressions and other layer formats extend these names.
_LAYER_PREFIXES = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")

_FOREIGN_PREFIXES = (OCI_FOREIGN, DOCKER_FOREIGN_TAR)

_EXTENSIONS = {
    OCI_LAYER: "tar",
    OCI_LAYER_GZIP: "tar.gz",
    OCI_LAYER_ZSTD: "tar.zst",
    OCI_FOREIGN: "tar",
    OCI_FOREIGN_GZIP: "tar.gz",
    OCI_FOREIGN_ZSTD: "tar.zst",
    DOCKER_LAYER: "tar.gz",
    DOCKER_LAYER_TAR: "tar",
    DOCKER_LAYER_ZSTD: "tar.zst",
    DOCKER_FOREIGN: "tar.gz",
    DOCKER_FOREIGN_TAR: "tar",
}

_TAR_BLOCK = 512


def bare(media_type: str) -> str:
    """Return *media_type* without parameters and in lower case, as media types are compared.

    An HTTP Content-Type may carry `; charset=utf-8` (RFC 9110, 8.3.1); case does not count.
    """
    return media_type.partition(";")[0].strip().lower()


def kind_of(media_type: str) -> Kind:
    """Return what content of *media_type* is for; OTHER for what is not known here."""
    name = bare(media_type)
    known = _KINDS.get(name)
    if known is not None:
        return known
    return Kind.LAYER if name.startswith(_LAYER_PREFIXES) else Kind.OTHER


def is_schema1(media_type: str) -> bool:
    """Whether this is a manifest of Docker schema 1, which nothing here can use."""
    return bare(media_type) in (DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED)


def is_foreign(media_type: str) -> bool:
    """Whether a layer of this type may be missing: it is fetched from the URLs that it names."""
    return bare(media_type).startswith(_FOREIGN_PREFIXES)


def layer_extension(media_type: str) -> str:
    """Return the file name extension of a layer: `tar`, `tar.gz`, `tar.zst`, otherwise `bin`."""
    return _EXTENSIONS.get(bare(media_type), "bin")


def layer_from_magic(head: bytes) -> str | None:
    """Return the media type of the layer that begins with *head*, or None.

    512 bytes are enough.  gzip is known by RFC 1952 (2.3.1), zstd by RFC 8878 (3.1.1; skippable
    frames, 3.1.2, may come first), tar by the checksum of its first header (tar(5)), so that
    archives from before ustar count too.  An archive of zeros only is not distinguishable from any
    other file of zeros and is not taken for a layer.
    """
    if head.startswith(b"\x1f\x8b\x08"):
        return OCI_LAYER_GZIP
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return OCI_LAYER_ZSTD
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return OCI_LAYER_ZSTD
    return OCI_LAYER if _is_tar_header(head[:_TAR_BLOCK]) else None


def _is_tar_header(block: bytes) -> bool:
    if len(block) < _TAR_BLOCK or not block[0]:
        return False
    field = block[148:156].strip(b" \0")
    try:
        stated = int(field, 8)
    except ValueError:
        return False
    # The checksum is counted as if its own field held eight spaces.
    return stated == sum(block) - sum(block[148:156]) + 8 * 0x20
