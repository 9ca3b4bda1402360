"""README at the top of the mount: what is here, for somebody who has just found it."""

TEXT = b"""\
This is a Ross store of container images, mounted by rossfs.

tags/REPOSITORY/TAG    a symbolic link to an image: `readlink` says which digest the tag names
images/sha256/HEX/     one image or index by its digest: manifest.json, config.json, layers/,
                       and for an index index.json and platforms/; it never changes
blobs/sha256/HEX       everything that is stored, under the hash of its bytes
manifests/, indexes/   only the manifests, only the indexes
incoming/              write here: what is closed becomes a blob, and its name a link to it
.ross/                 the state of this mount: version, stats, log, damaged

    ls tags/library/nginx/latest/                    what the tag's image consists of
    cat tags/library/nginx/latest/manifest.json      its manifest, byte for byte
    cp FILE incoming/ && readlink incoming/FILE      store a file, see its digest
    ln -s ../../../images/sha256/HEX tags/a/b/TAG    tag an image (ln -sfn to move the tag)
    rm tags/a/b/TAG                                  remove a tag, not the image

Bytes that do not match their digest are never shown: reading them is an I/O error, and
.ross/damaged names them.  A refusal without a reason has its reason in .ross/log.
The extended attributes user.ross.* tell digest, media type, size and time: getfattr -d FILE.
"""
