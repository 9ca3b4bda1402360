"""The file `settings`: what was chosen for this store, and holds for every process that uses it.

msgpack: {"pin_age": seconds}.  Absent, unreadable or without a key: the default.  A mount writes it
when it is told an option that also concerns others, such as a collection in another process.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import msgpack

from rossfs.store import durable, smallfile
from rossfs.store.access import Access
from rossfs.store.paths import Paths

_LIMIT = 65536


class Settings(NamedTuple):
    """What can be chosen."""

    pin_age: float = 86400.0
    """Seconds for which a symbolic link in incoming/ protects what it names from collection."""


def read(paths: Paths) -> Settings:
    """What was chosen for the store."""
    try:
        data = smallfile.read(paths.settings, _LIMIT)
        record = msgpack.unpackb(data, raw=False)
        pin_age = float(record["pin_age"])
    except (OSError, ValueError, KeyError, TypeError, msgpack.UnpackException):
        return Settings()
    return Settings(pin_age) if 0 <= pin_age < inf else Settings()


def write(access: Access, settings: Settings) -> None:
    """Choose *settings*, if they are not chosen already."""
    if read(access.paths) == settings:
        return
    with access.writing():
        record = msgpack.packb(settings._asdict())
        durable.replace_file(access.paths.settings, record, access.paths.scratch, "settings")
