"""Names by which a layer says what it takes away from the layers below it.

A whiteout `.wh.NAME` hides NAME and everything below it; an opaque marker `.wh..wh..opq` hides
everything that lower layers have in its directory.  Both act on lower layers only, and before any
entry of their own layer, wherever they stand in the archive.  The name alone decides: whiteouts
that are hard links occur.  Names that begin with `.wh.` are never shown in a root filesystem.

Specification: image-spec, layer.md, "Whiteouts" and "Opaque Whiteout".
"""

from __future__ import annotations

PREFIX = b".wh."
"""What the name of each marker begins with."""

OPAQUE = b".wh..wh..opq"
"""The marker that makes its directory opaque."""

RESERVED = b".wh..wh."
"""What names begin with that AUFS keeps for itself; OPAQUE is the only one that means anything."""


def is_marker(name: bytes) -> bool:
    """Whether *name*, one component, can only be a marker and never a file of a root filesystem."""
    return name.startswith(PREFIX)


def hidden(name: bytes) -> bytes | None:
    """The name that *name* hides, or None: it is no whiteout (an opaque marker is none either).

    A bare `.wh.` and what AUFS reserves hide nothing.
    """
    if not name.startswith(PREFIX) or name.startswith(RESERVED) or name == PREFIX:
        return None
    return name[len(PREFIX) :]


def whiteout_of(name: bytes) -> bytes:
    """The name of the whiteout that hides *name*."""
    return PREFIX + name
