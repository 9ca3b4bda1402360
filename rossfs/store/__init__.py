"""Bytes on disk, by digest.

On disk (`paths.py` has every place)::

    blobs/sha256/<hex>       content, and beside it
             <hex>.meta      {"media_type","size","created_at","accessed_at"}, times in Unix seconds
    manifests/sha256/<hex>   and <hex>.meta {"media_type","size","created_at","schema_version"}
    indexes/sha256/<hex>     likewise; each also hard-linked in manifests/, where Ross looks
    tags/<repository>/<tag>  {"digest_algorithm","digest_hash","updated_at"}
    format                   msgpack: version and feature flags
    incoming/                pins (symlinks), waiting files; .tmp/ for what is being written
    layouts/<repository>/    what a layout has beside tags (`layouts.py`)
    pins/                    digests that running processes hold, one locked file each
    uses/                    what podman uses in place: counts, and of which content (`uses.py`)
    quarantine/              damaged content that a repair moved aside
    settings                 msgpack: what was chosen for the store
    lock                     flock: shared to write, exclusive to sweep
    cache/                   tables of layers (rossfs/image), which may be deleted at any time

The first four are Ross's own and written as Ross writes them; Ross ignores the others.

Write ordering: content before its .meta, blobs before the manifest, the manifest before the tag.
Each file is written under a temporary name in incoming/.tmp, synced, renamed, and its directory
synced (`durable.py`).

What a crash leaves, and who repairs it::

    died while               left behind                     mended by
    writing a file           incoming/.tmp/<uuid>            gc, once nobody holds it
    before the .meta         content without .meta           first find: hashed, .meta rebuilt
    before the manifest      unreferenced blobs              gc
    before an index's link   an index in manifests/ only     nobody needs to: it counts as index
    before RELEASE           incoming/.tmp/<uuid>.commit     next opening for writing
    holding content          pins/<uuid> that nobody locks   gc
    repairing                some faults cured, others not   the next repair
    collecting               some garbage, pins/arrivals     next writer, next gc

Lock order: the store lock (`lock.py`), then in-process locks of one module; take them downwards
only and never two of the latter.  Functions that change the store take `Access.writing`, or say
that they require it.
"""
