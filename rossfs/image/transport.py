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


def parse_destination(text: str) -> Place:
    """Read what follows `rossfs export NAME`; UsageError if it names nothing.

    Without a transport, a name that ends in `.tar` is an archive and any other a layout.
    """
    place = _parse(text)
    if place.transport is None and place.path.endswith(".tar"):
        return place._replace(transport=Transport.OCI_ARCHIVE)
    return place


def _parse(text: str) -> Place:
    prefix, colon, rest = text.partition(":")
    try:
        transport = Transport(prefix) if colon else None
    except ValueError:
        transport = None
    path, selection = rest if transport else text, ""
    if transport is not None and not os.path.lexists(path):
        path, _, selection = path.partition(":")
    if not path or "\0" in path:
        raise UsageError(f"{quote(text)} names no file or directory")
    return Place(transport, path, selection)
