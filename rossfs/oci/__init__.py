"""Values of the OCI specifications.  No I/O, no waiting; holding a value means that it is valid.

    quotation   untrusted text made fit for a message
    digest      which content, by the hash of its bytes
    mediatype   the media types that are known, and what kind of thing each is
    document    JSON from strangers, within limits
    platform    operating system, architecture, variant; which of several fits
    descriptor  a pointer: media type, digest, size
    manifest    an image or artifact: its config and its layers
    index       several manifests, one of which fits this machine
    recognise   is this a manifest or an index?
    config      the configuration of an image: platform, diff IDs, history
    reference   the names that people give to images
    layout      names and documents of an OCI image layout

Sources: the OCI image specification 1.1, the OCI distribution specification 1.1, and Docker's
image manifest version 2, schema 2.
"""
