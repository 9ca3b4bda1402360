"""README at the top of the mount: what is here, for somebody who has just found it."""

TEXT = b"""\
This is a Ross store of container images, mounted by rossfs.

tags/REPOSITORY/TAG   a symbolic link to an image: readlink tells its digest
images/sha256/HEX/    one image or index, by digest: manifest.json,
                      config.json, rootfs/ with all layers merged, layers/ with
                      each alone, archive/ to load; of an index platforms/ too
blobs/sha256/HEX      everything that is stored, by the hash of its bytes
manifests/, indexes/  only the manifests, only the indexes
oci/REPOSITORY/       an OCI image layout for skopeo, umoci and others to write
incoming/             write here: what is closed is stored, and becomes a link
podman/               an image store: podman runs images from it (rossfs run)
als/                  an additional layer store: podman pull fetches no layer
.ross/                the state of this mount: version, stats, log, damaged,
                      progress (of what is looked into for the first time)

ls tags/library/nginx/latest/                what the image of a tag consists of
cat tags/library/nginx/latest/manifest.json  its manifest, byte for byte
ls tags/library/nginx/latest/rootfs/etc      files as a container sees them
cp FILE incoming/ && readlink incoming/FILE  store a file, see its digest
ln -s images/sha256/HEX tags/me/app/TAG      tag an image (ln -sfn moves it)
rm tags/me/app/TAG                           remove a tag; the image stays

Bytes that do not match their digest are never shown: reading them is an I/O
error, and .ross/damaged names them.  Where something is refused without saying
why, .ross/log says it.  getfattr -d FILE shows digest, media type, size, time.
"""
