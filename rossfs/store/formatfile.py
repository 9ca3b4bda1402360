"""The file `format`: which rossfs may open this store.

msgpack: {"version": 1, "compatible": [...], "incompatible": [...]}, feature names as strings.  A
reader that does not know an *incompatible* feature, or the version, must not touch the store;
*compatible* ones it may ignore.  A store that Ross made has no such file and is version 1 with no
features.
"""

from __future__ import annotations

import errno
from typing import Any

import msgpack

from rossfs import __version__
from rossfs.errors import UnknownFormat
from rossfs.store import durable, smallfile
from rossfs.store.paths import Paths

VERSION = 1
INCOMPATIBLE: frozenset[str] = frozenset()
"""Features that change what the files of the store mean, and that this rossfs knows."""

_LIMIT = 65536

_NO_FILE = (errno.EINVAL, errno.ELOOP, errno.EFBIG)
"""What `smallfile` says of what is there and cannot be one of ours."""


def check(paths: Paths) -> bool:
    """Return whether the store has a format file; UnknownFormat if this rossfs must not open it."""
    try:
        data = smallfile.read(paths.format, _LIMIT)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise _unreadable(paths) from error
    try:
        record: Any = msgpack.unpackb(data, raw=False)
        version, incompatible = record["version"], set(record.get("incompatible", ()))
        if not isinstance(version, int):
            raise TypeError("the version is no number")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(paths) from error
    if version != VERSION:
        raise UnknownFormat(
            f"{paths.root} has format version {version}; this rossfs knows {VERSION}"
        )
    if unknown := incompatible - INCOMPATIBLE:
        names = ", ".join(sorted(map(repr, unknown)))
        raise UnknownFormat(f"{paths.root} uses features that this rossfs does not know: {names}")
    return True


def _unreadable(paths: Paths) -> UnknownFormat:
    return UnknownFormat(
        f"{paths.format} is damaged, or no format file of rossfs: put it back from a copy, or, if "
        f"no rossfs newer than {__version__} wrote here, remove it and run `rossfs fsck`"
    )


def write(paths: Paths) -> None:
    """Say in the store which format it has."""
    record = {"version": VERSION, "compatible": [], "incompatible": sorted(INCOMPATIBLE)}
    durable.replace_file(paths.format, msgpack.packb(record), paths.scratch, "format")
