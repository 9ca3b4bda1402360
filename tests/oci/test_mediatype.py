from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from rossfs.oci import mediatype
from rossfs.oci.mediatype import Kind, is_foreign, kind_of, layer_extension, layer_from_magic


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("application/vnd.oci.image.manifest.v1+json", Kind.MANIFEST),
        ("application/vnd.docker.distribution.manifest.v2+json", Kind.MANIFEST),
        ("application/vnd.oci.image.index.v1+json", Kind.INDEX),
        ("application/vnd.docker.distribution.manifest.list.v2+json", Kind.INDEX),
        ("application/vnd.oci.image.config.v1+json", Kind.CONFIG),
        ("application/vnd.docker.container.image.v1+json", Kind.CONFIG),
        ("application/vnd.oci.image.layer.v1.tar", Kind.LAYER),
        ("application/vnd.oci.image.layer.v1.tar+zstd", Kind.LAYER),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", Kind.LAYER),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Kind.LAYER),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", Kind.LAYER),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Kind.LAYER),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", Kind.OTHER),
        ("application/vnd.oci.empty.v1+json", Kind.OTHER),
        ("application/octet-stream", Kind.OTHER),
        ("", Kind.OTHER),
        ("\x00\udcff", Kind.OTHER),
        ("Application/vnd.OCI.image.index.v1+JSON; charset=utf-8", Kind.INDEX),
    ],
)
def test_the_kind_follows_from_the_media_type(media_type: str, kind: Kind) -> None:
    assert kind_of(media_type) is kind


@pytest.mark.parametrize(
    ("media_type", "extension", "foreign"),
    [
        ("application/vnd.oci.image.layer.v1.tar", "tar", False),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "tar.gz", False),
        ("application/vnd.oci.image.layer.v1.tar+zstd", "tar.zst", False),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", "tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "tar.gz", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "tar.zst", True),
        ("application/vnd.docker.image.rootfs.diff.tar", "tar", False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "tar.gz", False),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "tar.gz", True),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "bin", False),
        ("application/vnd.in-toto+json", "bin", False),
    ],
)
def test_a_layer_has_an_extension_and_may_be_foreign(
    media_type: str, extension: str, foreign: bool
) -> None:
    assert layer_extension(media_type) == extension
    assert is_foreign(media_type) is foreign


def archive(form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        tar.addfile(tarfile.TarInfo("etc/motd"))
    return stream.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_archive_is_recognised(form: int) -> None:
    assert layer_from_magic(archive(form)[:512]) == mediatype.OCI_LAYER


def test_a_tar_archive_from_before_ustar_is_recognised() -> None:
    header = bytearray(archive(tarfile.USTAR_FORMAT)[:512])
    header[257:500] = bytes(243)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert layer_from_magic(bytes(header)) == mediatype.OCI_LAYER


def test_compressed_layers_are_recognised() -> None:
    assert layer_from_magic(gzip.compress(b"x")) == mediatype.OCI_LAYER_GZIP
    assert layer_from_magic(b"\x28\xb5\x2f\xfd\x24\x00") == mediatype.OCI_LAYER_ZSTD
    assert layer_from_magic(b"\x5e\x2a\x4d\x18\x04\0\0\0") == mediatype.OCI_LAYER_ZSTD


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x1f",
        b"\x28\xb5",
        b"\x2a\x4d\x18",
        bytes(1024),
        b"x" * 511,
        b"BZh91AY&SY",
        b"\xfd7zXZ\0",
        b"x" * 512,
        b"x" * 148 + b"0000000 " + b"x" * 356,
        archive(tarfile.USTAR_FORMAT)[:511],
        b"y" + archive(tarfile.USTAR_FORMAT)[1:512],
    ],
)
def test_other_bytes_are_no_layer(head: bytes) -> None:
    assert layer_from_magic(head) is None


def test_the_empty_descriptor_has_the_digest_of_its_content() -> None:
    assert hashlib.sha256(mediatype.EMPTY).hexdigest() == mediatype.EMPTY_HEX
