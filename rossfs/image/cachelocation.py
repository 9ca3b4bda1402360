"""Where the tables of layers are kept: cache/ of the store, or a directory of the user's.

What lies there is derived from the store and may be deleted at any time.  A store that this process
cannot write has its tables in a directory of its own in the user's cache, named by the store's real
path; those that are in the store already are used from there.
"""

from __future__ import annotations

import os
from hashlib import blake2b

from rossfs.image.cache import DEFAULT_LIMIT, Cache
from rossfs.store.store import Store

_NAME_BYTES = 16

_OURS = 0o755
"""Mode of cache/ in a store: who may read the store may use its tables."""


def cache_directory(store: Store, home: str | None) -> str | None:
    """The directory for the tables of *store*, absolute; it need not exist.

    *home* is the user's cache directory, of all programs; None if there is none.  None if there is
    no place for tables.
    """
    if store.writable:
        return store.paths.cache
    if home is None:
        return None
    root = os.fsencode(os.path.realpath(store.paths.root))
    return f"{home}/rossfs/{blake2b(root, digest_size=_NAME_BYTES).hexdigest()}"


def layer_cache(
    store: Store, home: str | None, directory: str | None = None, limit: int | None = None
) -> Cache:
    """The cache for the layers of *store*: in *directory* if that is given; of at most *limit*
    bytes."""
    place = directory or cache_directory(store, home)
    limit = DEFAULT_LIMIT if limit is None else limit
    if place == store.paths.cache:
        return Cache(place, limit, mode=_OURS)
    return Cache(place, limit, shared=store.paths.cache)
