"""rossfs: a Ross store of container images, mounted as a filesystem.

The layers, top to bottom; imports point down only, and import-linter checks it:

    cli/     commands: the only reader of argv and environment, the only printer
    fs/      the kernel's side: requests, inode table, cache times; the only importer of pyfuse3
    tree/    what a user sees: one file for each place in the mount; knows nothing of FUSE
    image/   what an image is: its manifest, its layers, its root filesystem; import and export
    store/   bytes on disk by digest: durable, verified, shared by several processes
    oci/     values of the OCI specifications: digest, descriptor, manifest, index, reference
    errors   every deliberate error, with its errno and exit status

Start with tree/root.py (the whole mount on one screen), then store/__init__.py (the on-disk format
and what a crash leaves) and fs/__init__.py (concurrency, lookup counts, cache times).
"""

__version__ = "0.1.0"
