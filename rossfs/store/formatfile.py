"""The file `format`: which rossfs may open this store.

msgpack: {"version": 1, "compatible": [...], "incompatible": [...]}, feature names as strings.  A
reader that does not know an *incompatible* feature, or the version, must not touch the store;
*compatible* ones it may ignore.  A store that Ross made has no such file and is version 1 with no
features.
"""

from __future__ import annotations

from typing import Any

import msgpack

from rossfs.errors import UnknownFormat
from rossfs.store import durable
from rossfs.store.paths import Paths

VERSION = 1
INCOMPATIBLE: frozenset[str] = frozenset()
"""Features that change what the files of the store mean, and that this rossfs knows."""

_LIMIT = 65536


def check(paths: Paths) -> bool:
    """Return whether the store has a format file; UnknownFormat if this rossfs must not open it."""
    try:
        with open(paths.format, "rb") as file:
            data = file.read(_LIMIT)
    except FileNotFoundError:
        return False
    try:
        record: Any = msgpack.unpackb(data, raw=False)
        version, incompatible = record["version"], set(record.get("incompatible", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnknownFormat(f"{paths.format} cannot be read: {error}") from error
    if version != VERSION:
        raise UnknownFormat(
            f"{paths.root} has format version {version}; this rossfs knows {VERSION}"
        )
    if unknown := incompatible - INCOMPATIBLE:
        names = ", ".join(sorted(map(repr, unknown)))
        raise UnknownFormat(f"{paths.root} uses features that this rossfs does not know: {names}")
    return True


def write(paths: Paths) -> None:
    """Say in the store which format it has."""
    record = {"version": VERSION, "compatible": [], "incompatible": sorted(INCOMPATIBLE)}
    durable.replace_file(paths.format, msgpack.packb(record), paths.scratch, "format")
