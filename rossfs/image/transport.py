"""The words by which a source or a destination of images is named.

    oci:DIR[:NAME]              an OCI image layout
    oci-archive:FILE[:NAME]     the same in a tar archive
    docker-archive:FILE[:NAME]  what `docker save` writes and `docker load` reads
    dir:DIR                     what `skopeo copy ... dir:DIR` writes
    PATH                        what it is, is found out
    -                           standard input or output

As in containers/image (containers-transports(5)), the path after a transport ends at its first
colon, unless a file of the whole name exists.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple

from rossfs.errors import UsageError
from rossfs.oci.quotation import quote


class Transport(StrEnum):
    """How images are laid out."""

    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"
    DIRECTORY = "dir"


STREAM = "-"
"""The path that means standard input or output."""

_COMPRESSED = (".gz", ".tgz", ".zst", ".xz", ".bz2")


class Place(NamedTuple):
    """Where images come from or go to."""

    transport: Transport | None
    """None: to be found out."""
    path: str
    selection: str
    """Which image of several, or what to call it there; empty if nothing was said."""


def parse_source(text: str) -> Place:
    """Read what follows `rossfs import`; UsageError if it names nothing."""
    return _parse(text)


def parse_destination(text: str, *, docker: bool | None = None) -> Place:
    """Read what follows `rossfs export NAME`; UsageError if it names nothing that can be written.

    Without a transport, *docker* means an archive for docker; otherwise a name that ends in `.tar`
    and `-` mean an archive of a layout, and any other a layout.
    """
    place = _parse(text)
    if place.transport is Transport.DIRECTORY:
        raise UsageError("dir: cannot be written; use oci:, oci-archive: or docker-archive:")
    if place.transport is None:
        if place.path.endswith(_COMPRESSED):
            raise UsageError(
                "archives are written uncompressed: export to - and pipe that into a compressor"
            )
        if docker:
            return place._replace(transport=Transport.DOCKER_ARCHIVE)
        is_archive = place.path == STREAM or place.path.endswith(".tar")
        return place._replace(transport=Transport.OCI_ARCHIVE if is_archive else Transport.OCI)
    if docker not in (None, place.transport is Transport.DOCKER_ARCHIVE):
        raise UsageError(f"{quote(text)} is not of the format that was asked for")
    return place


def _parse(text: str) -> Place:
    prefix, colon, rest = text.partition(":")
    try:
        transport = Transport(prefix) if colon else None
    except ValueError:
        transport = None
    if transport is None and rest.startswith("//") and not os.path.lexists(text):
        raise UsageError(
            f"{quote(text)} is not in reach of rossfs, only files are: `skopeo copy` goes between"
            " it and oci:DIR:NAME"
        )
    path, selection = rest if transport else text, ""
    if transport is not None and not os.path.lexists(path):
        path, _, selection = path.partition(":")
    if not path or "\0" in path:
        raise UsageError(f"{quote(text)} names no file or directory")
    return Place(transport, path, selection)
