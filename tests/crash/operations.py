"""The operations that die at every step: how a store looks before, and what is done to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from rossfs.errors import Conflict, NotFound, StoreFull
from rossfs.store import commit
from rossfs.store.ingest import Ingest
from rossfs.store.store import Store
from tests.builders import (
    DOCKER_LIST,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    OCTET_STREAM,
    digest_of,
    image,
    image_parts,
    index,
)
from tests.crash.stores import (
    APP,
    LIST_OF_ROSS,
    LOOSE,
    NEW,
    NEXT_LAYOUT,
    OF_OTHER,
    OTHER,
    damaged,
    nothing,
    of_ross,
    of_ross_with_index,
    promised_blob,
    promised_index,
    some,
    with_blobs,
    with_directory,
    with_empty_layout,
    with_empty_repository,
    with_garbage,
    with_garbage_in_layouts,
    with_layout,
    with_two,
    without_meta,
)

RECORD = "commit record: renamed"


class Operation(NamedTuple):
    """One operation.  `before` makes the store, `run` changes it."""

    run: Callable[[str], None]
    before: Callable[[str], None]
    through: frozenset[str]
    """Steps that it must come through."""
    in_one: bool = True
    """It happens wholly or not at all; otherwise step by step, each thing wholly."""
    promised: str = ""
    """Once this step is done, it happened: the next opening sees to that."""
    repairs: bool = False
    """There is damage before it."""
    recovers: bool = False
    """It is an opening of the store, which carries out what was promised."""
    changes: bool = True
    """Something can be seen afterwards that was not there, or the other way round."""


OPERATIONS: dict[str, Operation] = {}


def operation(
    before: Callable[[str], None],
    *through: str,
    in_one: bool = True,
    promised: str = "",
    repairs: bool = False,
    recovers: bool = False,
    changes: bool = True,
) -> Callable[[Callable[[str], None]], Callable[[str], None]]:
    """Enter a function among the operations, under its own name."""

    def enter(run: Callable[[str], None]) -> Callable[[str], None]:
        OPERATIONS[run.__name__] = Operation(
            run, before, frozenset(through), in_one, promised, repairs, recovers, changes
        )
        return run

    return enter


# Making a store, and the first change of one that Ross made


@operation(nothing, "store: made", "format: renamed", changes=False)
def create_a_store(root: str) -> None:
    Store.create(root).close()


@operation(of_ross, "format: renamed", "blob: renamed")
def change_a_store_of_ross(root: str) -> None:
    with Store.open(root) as store:
        store.put_blob(OCTET_STREAM, NEW)


# Content

_BLOB = ("ingest: synced", "blob: renamed", "blob: directory synced", "blob meta: renamed")


@operation(some, *_BLOB)
def put_a_blob(root: str) -> None:
    with Store.open(root) as store:
        store.put_blob(OCI_LAYER_GZIP, NEW)


@operation(some, "blob: made", "blob: renamed")
def put_a_blob_by_another_algorithm(root: str) -> None:
    with Store.open(root) as store:
        store.put_blob(OCTET_STREAM, NEW, digest_of(NEW, "sha512"))


@operation(of_ross, "blob: renamed", changes=False)
def put_a_blob_over_that_of_ross(root: str) -> None:
    with Store.open(root) as store:
        store.put_blob(OCTET_STREAM, LOOSE)


@operation(with_blobs, "manifest: renamed", "manifest meta: renamed")
def put_a_manifest(root: str) -> None:
    with Store.open(root) as store:
        store.put_manifest(OTHER.manifest, OCI_MANIFEST)


@operation(some, "index: renamed", "index meta: renamed", "index link: linked")
def put_an_index(root: str) -> None:
    with Store.open(root) as store:
        store.put_index(OF_OTHER, OCI_INDEX)


@operation(of_ross, "index: renamed", "index link: linked", changes=False)
def put_an_index_over_the_list_of_ross(root: str) -> None:
    with Store.open(root) as store:
        store.put_index(LIST_OF_ROSS, DOCKER_LIST)


@operation(of_ross_with_index, "index: renamed", "index link: renamed", changes=False)
def put_an_index_over_that_of_ross(root: str) -> None:
    with Store.open(root) as store:
        store.put_index(index([(APP.manifest, "linux/arm64")]), OCI_INDEX)


@operation(some, "manifest: renamed", "tag: renamed", in_one=False)
def put_and_tag_an_image(root: str) -> None:
    with Store.open(root) as store, store.pins.hold(OTHER.digest):
        image(store, "other", tag="library/other:v1")


@operation(without_meta, "rebuilt meta: renamed", changes=False)
def find_content_without_meta(root: str) -> None:
    with Store.open(root) as store:
        assert store.stat_blob(digest_of(NEW)) is not None


@operation(of_ross, "access time: renamed", changes=False)
def note_an_access(root: str) -> None:
    with Store.open(root) as store:
        content = store.contents.settle(digest_of(LOOSE))
        assert content is not None
        store.contents.note_access(content)


@operation(some, "blob: removed", "blob meta: removed")
def delete_a_blob(root: str) -> None:
    with Store.open(root) as store:
        store.delete_blob(digest_of(LOOSE))


@operation(with_garbage, "manifest: removed", "manifest meta: removed")
def delete_a_manifest(root: str) -> None:
    with Store.open(root) as store:
        store.delete_manifest(OTHER.digest)


@operation(with_garbage, "index: removed", "index meta: removed")
def delete_an_index(root: str) -> None:
    with Store.open(root) as store:
        store.delete_index(digest_of(OF_OTHER))


@operation(some, "blob: removed")
def remove_what_nothing_needs(root: str) -> None:
    with Store.open(root) as store:
        store.references.remove_unreferenced(digest_of(LOOSE))


@operation(with_garbage, "index: removed")
def remove_an_index_that_nothing_needs(root: str) -> None:
    with Store.open(root) as store:
        store.references.remove_unreferenced(digest_of(OF_OTHER))


@operation(with_garbage, "manifest: removed", "blob: removed", "meta: removed", in_one=False)
def collect_garbage(root: str) -> None:
    with Store.open(root) as store:
        store.garbage_collect()


# Tags


@operation(some, "tag: made", "tag: renamed", in_one=False)
def set_a_new_tag(root: str) -> None:
    with Store.open(root) as store:
        store.set_tag("some/where/new", "v1", APP.digest)


@operation(with_two, "tag: renamed")
def set_a_tag_over_another(root: str) -> None:
    with Store.open(root) as store:
        store.set_tag("library/app", "v1", OTHER.digest)


@operation(some, "tag: removed")
def delete_a_tag(root: str) -> None:
    with Store.open(root) as store:
        store.delete_tag("library/all", "v1")


@operation(with_two, "tag: renamed")
def rename_a_tag_over_another(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(NotFound):
        store.tags.rename(("library/other", "v1"), ("library/app", "v1"))


@operation(some, "repository: made", "tag: renamed", in_one=False)
def rename_a_tag_into_a_new_repository(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(NotFound):
        store.tags.rename(("library/app", "v1"), ("some/where", "v2"))


@operation(some, "repository: made", in_one=False)
def make_a_repository(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(Conflict):
        store.tags.make_repository("some/where/else")


@operation(with_empty_repository, "repository: removed")
def remove_a_repository(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(NotFound):
        store.tags.remove_repository("library/empty")


@operation(some, "repository: renamed", in_one=False)
def rename_a_repository(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(NotFound):
        store.tags.rename_repository("library/app", "some/app")


# Layouts


@operation(with_layout, "layout: renamed", "tag: renamed", "tag: removed", in_one=False)
def write_an_index(root: str) -> None:
    _write(root, NEXT_LAYOUT)


@operation(with_layout, "layout: written", "layout: renamed", "layout: directory synced")
def write_an_index_of_the_same_tags(root: str) -> None:
    with Store.open(root) as store:
        base, _ = store.layouts.index("library/app")
        store.layouts.replace("library/app", base, base.replace(b"of all", b"something else"))


@operation(some, "layout: made", "layout: renamed", "tag: made", in_one=False)
def write_the_first_index(root: str) -> None:
    _write(root, NEXT_LAYOUT.replace(str(OTHER.digest).encode(), str(APP.digest).encode()), "new")


def _write(root: str, text: bytes, repository: str = "library/app") -> None:
    with Store.open(root) as store:
        is_there = store.layouts.is_layout(repository)
        base = store.layouts.index(repository)[0] if is_there else None
        store.layouts.replace(repository, base, text)


@operation(some, "layout: renamed", in_one=False)
def make_a_layout(root: str) -> None:
    with Store.open(root) as store:
        store.layouts.create("some/where")


@operation(some, "layout directory: made", in_one=False)
def make_a_directory_of_layouts(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(Conflict):
        store.layouts.make_directory("some/where")


@operation(
    with_empty_layout,
    "layout: removed",
    "layout mark: removed",
    "layout directory: removed",
    "repository: removed",
    in_one=False,
)
def remove_a_layout(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(NotFound):
        store.layouts.remove_directory("library/empty")


@operation(with_layout, "layout mark: renamed", in_one=False)
def put_through_a_layout(root: str) -> None:
    with Store.open(root) as store:
        digest, _ = store.put_blob(OCTET_STREAM, NEW)
        store.layouts.put("library/app", digest)


@operation(with_layout, "layout mark: removed")
def put_again_through_a_layout(root: str) -> None:
    with Store.open(root) as store:
        store.layouts.put("library/app", digest_of(APP.config))


@operation(with_layout, "layout mark: removed", "layout mark: renamed")
def drop_from_a_layout(root: str) -> None:
    with Store.open(root) as store:
        store.layouts.drop("library/app", digest_of(image_parts("put").config))


@operation(with_layout, "repository: renamed", "layout directory: renamed", in_one=False)
def rename_a_layout(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(NotFound):
        store.tags.rename_repository("library/app", "some/app")


@operation(with_garbage_in_layouts, "manifest: removed", "layout: renamed", in_one=False)
def collect_what_layouts_say_too(root: str) -> None:
    with Store.open(root) as store:
        store.garbage_collect()


# incoming/


@operation(some, RECORD, "blob: renamed", "incoming link: renamed", promised=RECORD)
def commit_a_file(root: str) -> None:
    _commit(root, NEW)


@operation(with_blobs, RECORD, "manifest: renamed", "incoming link: renamed", promised=RECORD)
def commit_a_manifest(root: str) -> None:
    _commit(root, OTHER.manifest)


@operation(some, "incoming directory: made", RECORD, "incoming link: renamed", in_one=False)
def commit_a_file_below_a_directory(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(FileExistsError):
        store.incoming.make_directory(b"made")
    _commit(root, NEW, b"made/name")


@operation(
    promised_blob,
    "blob: renamed",
    "incoming link: renamed",
    "commit record: removed",
    recovers=True,
)
def recover_a_blob(root: str) -> None:
    Store.open(root).close()


@operation(promised_index, "index link: linked", "incoming link: renamed", recovers=True)
def recover_an_index(root: str) -> None:
    Store.open(root).close()


@operation(with_directory, "incoming link: renamed", "incoming link: removed", in_one=False)
def move_a_pin(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(FileNotFoundError):
        store.incoming.move(b"down/below/name", b"name")


@operation(some, "incoming: removed")
def remove_a_pin(root: str) -> None:
    with Store.open(root) as store, contextlib.suppress(FileNotFoundError):
        store.incoming.remove(b"kept")


@operation(some, "incoming file: renamed")
def refuse_a_file(root: str) -> None:
    with Store.open(root) as store, Ingest.create(store.contents) as ingest:
        ingest.append(NEW)
        store.incoming.leave(ingest.path, b"refused", "it is none")
        ingest.detach()


def _commit(root: str, data: bytes, name: bytes = b"name") -> None:
    """What the mount does from the first write to the end."""
    with Store.open(root) as store, Ingest.create(store.contents) as ingest:
        ingest.append(data)
        stored = ingest.finish()
        promise = commit.accept(store.contents, store.incoming, ingest, name, stored)
        try:
            commit.carry_out(store.contents, store.incoming, ingest, promise)
        except StoreFull:
            # What was promised waits for the next opening.
            ingest.detach()
            promise.abandon()
            raise


# Holding and repairing


@operation(some, "pins: made", "blob: renamed")
def hold_and_put(root: str) -> None:
    with Store.open(root) as store, store.pins.hold(digest_of(NEW)):
        store.put_blob(OCTET_STREAM, NEW)


@operation(
    damaged,
    "quarantine: made",
    "quarantine: renamed",
    "quarantine meta: renamed",
    "rebuilt meta: renamed",
    "index link: linked",
    "lone meta: removed",
    in_one=False,
    repairs=True,
)
def repair(root: str) -> None:
    with Store.open(root) as store:
        findings = list(store.fsck(repair=True))
    if any("No space left" in finding.text for finding in findings):
        # It goes on with the next fault.
        raise StoreFull("not all could be repaired")


from tests.crash import useoperations  # noqa: E402, F401 - it enters its own
