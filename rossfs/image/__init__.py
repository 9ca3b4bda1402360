"""What an image is: from a digest to its manifest, into its layers, and in and out of a store.

    resolve         a digest -> the manifest that it means on a platform
    opened          an image -> its layers and its root filesystem, checked against its config
    layers, layer   a blob -> the table of what is in it, and the bytes of its files
    rootfs          layers -> one tree
    import_, export a source -> content and tags of a store; the other way round

One pass over a layer (`indexing`; `blobindex` decides in which process, `indexer` is one of its
own, `arriving` does it at import) gives its diff ID and its tables, which `tables` finds in the
`cache` (`cachelocation` says where that is, `temporary` is a file of it that is being written):

    tarscan         the entries of a tar as it streams past (tarheader, tarname, tarextension, pax,
                    sparse)
    toc             the table of contents: mapped, a record of 64 bytes for each entry (record,
                    rare, tocformat); tocbuilder, entrytree, lowerlinks and tocwriter make it
    gzippass        gzip through zlib's C interface (deflate); seekpoints are where reading can
                    begin, and gzipdata reads from there (gzipdecoder, emptyblocks)
    streampass      zstd, bzip2, xz and plain tar (zstdpass, zstdframes, framenotes); frametable
                    says where zstd can be entered, framecopy makes a copy that can; frameddata,
                    copieddata, livedata and plaindata read
    compression     which of them a blob is; layerdata opens what reads it (packed)
    spans           what is decoded, for all readers of a process
    blobdata        the compressed bytes, never unverified

Merging (image-spec layer.md; where it is silent, umoci): `layertree` is the tree of one layer,
`stack` says what a name means in a pile of layers, `graft` moves directories that a symbolic link
of a lower layer leads elsewhere, `whiteout` knows the names of markers, `merged` and `listing` are
what comes of it; `walk` goes through a tree, `differences` through two.  `configuration`, `usage`,
`sharing`, `summary` and `layerhistory` tell of images without looking into layers.

A source (`source`) offers images by name, their documents, and their blobs by digest; it is a
layout, a docker archive or a directory of skopeo (`layoutsource`, `dockersource`, `dirsource`).
Each reads its files from whatever holds them (`files`): a directory, an archive on disk, or what
came through a pipe (`directory`, `archive`, `received`).  `opening` finds out which is which,
`naming` what the images are called, `intake` puts content into the store and holds it there,
`diffids` says which layers are not what their configs say.  `transport` reads what people write for
a source or a destination; `workers` copy several blobs at once.

An export takes all that an image needs (`complete`) to a sink (`sink`): a layout or a tar archive
(`layoutsink`, `tarsink`, `outfile`; `tarframe` is what an archive has around its files).  The
same archives can be read without being written: `computed` says what they consist of, `ondemand`
reads at any offset.

Nothing that a source or a layer says is believed: every document and blob is hashed before a tag
names it or a byte is served, paths that lead out are refused, what is kept in memory has limits.
Derived files have checksums; one that was altered is made again.
"""
