"""The cache of the user who runs a command."""

from __future__ import annotations

import os

from rossfs.image import cachelocation
from rossfs.image.cache import Cache
from rossfs.store.store import Store


def user_cache() -> str | None:
    """The directory in which programs keep what they can make again: $XDG_CACHE_HOME, or ~/.cache
    where that is not set (XDG Base Directory Specification); None if there is none."""
    # "If an implementation encounters a relative path it should consider the path invalid."
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return named.rstrip("/")
    home = os.path.expanduser("~")
    return f"{home.rstrip('/')}/.cache" if os.path.isabs(home) else None


def layer_cache(store: Store) -> Cache:
    """The cache for the layers of *store*."""
    return cachelocation.layer_cache(store, user_cache())
