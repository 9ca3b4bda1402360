"""What an image is: from a digest to the manifest for a platform, and in and out of a store.

    resolve         a digest -> the manifest that it means on a platform
    summary         an image in one line: platforms and size
    import_         a source -> content and tags of a store, all or nothing
    export          content of a store -> a layout or an archive

A source (`source.py`) offers images by name, their documents, and their blobs by digest; it is a
layout, a docker archive or a directory of skopeo (`layoutsource`, `dockersource`, `dirsource`).
Each reads its files from whatever holds them (`files.py`): a directory, an archive on disk, or
what came through a pipe (`directory`, `archive`, `received`).  `opening` finds out which is which,
`naming` what the images are called, `intake` puts content into the store and holds it there.

An export takes all that an image needs (`complete`) to a sink (`sink.py`): a layout or a tar
archive (`layoutsink`, `tarsink`, `outfile`).

Nothing that a source says is believed: every document and blob is hashed before a tag names it,
paths that lead out of the source are refused, and what is kept in memory has limits.
"""
