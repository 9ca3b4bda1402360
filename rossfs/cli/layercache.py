"""Where the tables of layers are kept: cache/ of the store, or the user's cache.

What lies there is derived from the store and may be deleted at any time.  A store that this process
cannot write has its tables in a directory of its own below $XDG_CACHE_HOME, or ~/.cache where that
is not set (XDG Base Directory Specification), named by the store's real path.
"""

from __future__ import annotations

import os
from hashlib import blake2b

from rossfs.image.cache import Cache
from rossfs.store.store import Store

DEFAULT_LIMIT = 4 << 30
"""Bytes that the tables of one store may take."""

_NAME_BYTES = 16


def cache_directory(store: Store) -> str | None:
    """The absolute path of the directory for the tables of *store*, which need not exist; None if
    there is no place for them."""
    if store.writable:
        return store.paths.cache
    home = _user_cache()
    if home is None:
        return None
    root = os.fsencode(os.path.realpath(store.paths.root))
    return f"{home}/rossfs/{blake2b(root, digest_size=_NAME_BYTES).hexdigest()}"


def layer_cache(store: Store, directory: str | None = None, limit: int = DEFAULT_LIMIT) -> Cache:
    """The cache for the layers of *store*: in *directory* if that is given."""
    return Cache(directory or cache_directory(store), limit)


def _user_cache() -> str | None:
    # "If an implementation encounters a relative path it should consider the path invalid."
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return named.rstrip("/")
    home = os.path.expanduser("~")
    return f"{home.rstrip('/')}/.cache" if os.path.isabs(home) else None
