"""quarantine/: what a repair moves aside, so that it is neither served nor lost.

Content is <area>-<hex>-<8 digits>, its .meta beside it as <...>.meta; a tag file is
tag-<path with % for />-<8 digits>, and the record of a layout likewise layout-..., that of a use
use-<hex>-<8 digits>; a record of a commit, and what lies in place of a .meta, is
record-<name>-<8 digits> and meta-<name>-<8 digits>.  The digits make each name new.  Nothing here
is ever looked at again; people delete it.

A crash leaves content in one place or the other, and perhaps its .meta behind.
"""

from __future__ import annotations

import os
import uuid

from rossfs.oci.digest import Digest
from rossfs.store import durable
from rossfs.store.paths import META, Area, Paths

_NAME_LIMIT = 200
"""Bytes of a tag's path that its name here keeps: NAME_MAX is 255."""


def take_content(paths: Paths, area: Area, digest: Digest) -> str:
    """Move the content of *digest* in *area* aside, with its .meta; return where it is now.

    Requires `Access.sweeping`.  FileNotFoundError if it is not there.
    """
    source = paths.content(area, digest)
    target = _target(paths, f"{area}-{digest.hex}")
    durable.rename(source, target, "quarantine")
    if os.path.lexists(source + META):
        durable.rename(source + META, target + META, "quarantine meta")
    return target


def take_file(paths: Paths, source: str, kind: str, name: str) -> str:
    """Move any file aside; *kind* and *name* say what it was.  Return where it is now."""
    cut = os.fsencode(name.replace("/", "%"))[:_NAME_LIMIT]
    target = _target(paths, f"{kind}-{os.fsdecode(cut)}")
    durable.rename(source, target, "quarantine")
    return target


def _target(paths: Paths, name: str) -> str:
    durable.make_directory(paths.quarantine, "quarantine")
    return f"{paths.quarantine}/{name}-{uuid.uuid4().hex[:8]}"
