"""Stores as they are before an operation that dies."""

from __future__ import annotations

import os
from pathlib import Path

from rossfs.oci.layout import REF_NAME
from rossfs.store import commit
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
    compact,
    descriptor,
    digest_of,
    image,
    image_parts,
    index,
    ross_store,
)

OLD_NS = 1_699_564_800 * 10**9

APP = image_parts("app")
OTHER = image_parts("other")
LOOSE = b"loose bytes\n" * 100
NEW = b"new bytes\n" * 1000
LIST = index([(APP.manifest, "linux/amd64")])
OF_OTHER = index([(OTHER.manifest, "linux/amd64")])
LAYOUT = compact(
    {
        "schemaVersion": 2,
        "manifests": [
            descriptor(
                APP.manifest, OCI_MANIFEST, annotations={REF_NAME: "v1", "said": "of the first"}
            ),
            descriptor(OF_OTHER, OCI_INDEX, annotations={REF_NAME: "gone"}),
            descriptor(
                OTHER.manifest, OCI_MANIFEST, annotations={REF_NAME: "v2", "said": "of the second"}
            ),
            descriptor(LIST, OCI_INDEX),
        ],
        "annotations": {"said": "of all"},
    }
)
NEXT_LAYOUT = compact(
    {
        "schemaVersion": 2,
        "manifests": [
            descriptor(APP.manifest, OCI_MANIFEST, annotations={"said": "of the first"}),
            descriptor(OTHER.manifest, OCI_MANIFEST, annotations={REF_NAME: "v1", "said": "now"}),
            descriptor(LIST, OCI_INDEX, annotations={REF_NAME: "no/tag"}),
            descriptor(OTHER.manifest, OCI_MANIFEST, annotations={REF_NAME: "new"}),
        ],
        "annotations": {"said": "of all"},
    }
)
LIST_OF_ROSS = index([(APP.manifest, "linux/amd64")], docker=True)


def nothing(root: str) -> None:
    """No store at all."""


def some(root: str) -> None:
    """A store of rossfs with a tagged image, an index, a loose blob and a pin."""
    with Store.create(root) as store:
        image(store, "app", tag="library/app:v1")
        digest, _ = store.put_index(LIST, OCI_INDEX)
        store.set_tag("library/all", "v1", digest)
        store.put_blob(OCTET_STREAM, LOOSE)
        with store.access.writing():
            store.incoming.link(b"kept", digest_of(APP.layers[0]))


def of_ross(root: str) -> None:
    """The same as Ross writes it."""
    Path(root).mkdir()
    ross = ross_store(root)
    image(ross, "app", tag="library/app:v1")
    ross.put_blob(OCTET_STREAM, LOOSE)
    ross.set_tag("library/all", "v1", ross.put_manifest(LIST_OF_ROSS, DOCKER_LIST))


def of_ross_with_index(root: str) -> None:
    """Ross put an index into indexes/, where its own tags do not find it."""
    of_ross(root)
    ross_store(root).put_index(index([(APP.manifest, "linux/arm64")]))


def without_meta(root: str) -> None:
    """Ross died before it wrote the .meta of a blob."""
    of_ross(root)
    ross_store(root).put_blob(OCTET_STREAM, NEW, meta=False)


def with_blobs(root: str) -> None:
    """The blobs of an image whose manifest is still to come."""
    some(root)
    with Store.open(root) as store:
        for media_type, data in OTHER.blobs():
            store.put_blob(media_type, data)


def with_garbage(root: str) -> None:
    """An untagged image, an untagged index, and .meta files alone."""
    some(root)
    with Store.open(root) as store:
        image(store, "other")
        store.put_index(OF_OTHER, OCI_INDEX)
        alone = store.paths.meta(Area.BLOBS, digest_of(b"gone"))
    Path(alone).write_bytes(b"{}")


def with_two(root: str) -> None:
    """Two tagged images."""
    some(root)
    with Store.open(root) as store:
        image(store, "other", tag="library/other:v1")


def with_layout(root: str) -> None:
    """Two tagged images and one index without a name, of which index.json says more than the tags
    do; one image came through the layout alone, one blob was unlinked in it."""
    with_two(root)
    with Store.open(root) as store:
        store.set_tag("library/app", "v2", OTHER.digest)
        of_other, _ = store.put_index(OF_OTHER, OCI_INDEX)
        store.set_tag("library/app", "gone", of_other)
        store.layouts.replace("library/app", None, LAYOUT)
        store.delete_tag("library/app", "gone")
        for _, data in image_parts("put").blobs():
            digest, _ = store.put_blob(OCTET_STREAM, data)
            store.layouts.put("library/app", digest)
        store.layouts.drop("library/app", digest_of(APP.config))


def with_empty_repository(root: str) -> None:
    """A repository without tags."""
    some(root)
    with Store.open(root) as store:
        store.tags.make_repository("library/empty")


def with_empty_layout(root: str) -> None:
    """A layout that holds nothing, and in which something was unlinked."""
    with_empty_repository(root)
    with Store.open(root) as store:
        store.layouts.create("library/empty")
        store.layouts.drop("library/empty", digest_of(LOOSE))


def with_garbage_in_layouts(root: str) -> None:
    """Layouts that say something of what a collection removes."""
    with_layout(root)
    with Store.open(root) as store:
        store.layouts.drop("library/app", digest_of(LIST))
        store.delete_tag("library/all", "v1")


def with_directory(root: str) -> None:
    """A pin in a directory of incoming/."""
    some(root)
    with Store.open(root) as store, store.access.writing():
        store.incoming.link(b"down/below/name", digest_of(APP.layers[1]))


def promised_blob(root: str) -> None:
    """A process accepted a blob and died."""
    some(root)
    _accept_and_die(root, NEW)


def promised_index(root: str) -> None:
    """A process accepted an index and died."""
    some(root)
    _accept_and_die(root, OF_OTHER)


def damaged(root: str) -> None:
    """Everything that a repair can mend, and what it moves aside."""
    Path(root).mkdir()
    ross = ross_store(root)
    app = image(ross, "app", tag="library/app:v1")
    other = image(ross, "other", tag="library/other:v1")
    path = ross.path(other.layers[0])
    path.write_bytes(b"not the layer")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    ross.meta_path(app.config).write_bytes(b"{")
    ross.meta_path(app.layers[0]).unlink()
    ross.put_index(LIST)
    (ross.root / "tags/library/app/bad").write_bytes(b"{}")
    ross.meta_path(digest_of(b"gone")).write_bytes(b"{}")
    (ross.root / "incoming/.tmp").mkdir(parents=True)
    (ross.root / "incoming/.tmp/0123").write_bytes(b"unfinished")


def _accept_and_die(root: str, data: bytes) -> None:
    child = os.fork()
    if not child:
        store = Store.open(root)
        with Ingest.create(store.contents) as ingest:
            ingest.append(data)
            commit.accept(store.contents, store.incoming, ingest, b"name", ingest.finish())
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
