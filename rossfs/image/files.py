"""The files of what is being imported: a directory, an archive, or what came out of a pipe.

Paths are relative, with `/` between their parts, as a layout or a manifest has them.  A path that
leads out of its source, by `..` or through a symbolic link, is refused.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Protocol

from rossfs.errors import InvalidSource
from rossfs.oci.digest import Digest
from rossfs.oci.document import MAX_BYTES
from rossfs.oci.quotation import quote

_HOPS = 40
"""Links that are followed from one path; the kernel's own limit (path_resolution(7))."""


class Files(Protocol):
    """Files by path.  InvalidSource for what cannot be read as it should."""

    name: str
    """The source, for messages."""

    def size(self, path: str) -> int | None:
        """The size of a file in bytes; None if there is none of this path."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """Give the content of a file that `size` knows, in pieces of at most 1 MiB."""

    def stored(self, path: str) -> Digest | None:
        """The digest of a file that has been put into the store already; None for others."""

    def close(self) -> None:
        """Let go of what is open."""


def read(files: Files, path: str) -> bytes | None:
    """Return the content of a JSON file, None if there is none; InvalidSource if it is longer than
    any that is parsed."""
    size = files.size(path)
    if size is None:
        return None
    if size > MAX_BYTES:
        raise InvalidSource(
            f"{quote(path)} in {files.name} has {size} bytes; the limit is {MAX_BYTES}"
        )
    return b"".join(files.chunks(path))


def clean(path: str, source: str) -> str:
    """Return *path* without `.` parts, doubled or leading slashes; InvalidSource for `..`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise InvalidSource(f"{source} holds a path that leads out of it: {quote(path)}")
    return "/".join(parts)


def link_target(path: str, target: str) -> str | None:
    """Where the symbolic link *path* leads, as a path of the same source; None if out of it."""
    if target.startswith("/"):
        return None
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return None if joined == ".." or joined.startswith("../") else joined


def follow(path: str, links: Mapping[str, str | None], source: str) -> str:
    """Follow the links of an archive from *path*; InvalidSource out of it or in a circle."""
    first = path
    for _ in range(_HOPS):
        if path not in links:
            return path
        target = links[path]
        if target is None:
            raise InvalidSource(f"{quote(first)} in {source} is a link that leads out of it")
        path = target
    raise InvalidSource(f"{quote(first)} in {source} is a link to itself")
