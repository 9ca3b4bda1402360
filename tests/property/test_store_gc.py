"""Collection against a model: what can be reached stays, all else goes."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
    compact,
    descriptor,
    digest_of,
    manifest,
    ross_store,
)

BLOBS = [f"blob {number}".encode() for number in range(6)]


class Planned(NamedTuple):
    """A document to be: choices, as numbers that are taken modulo what there is."""

    is_index: bool
    picks: list[int]
    subject: int | None
    is_stored: bool
    filed_by_ross: bool


class Document(NamedTuple):
    data: bytes
    needs: frozenset[Digest]
    is_index: bool
    is_stored: bool
    filed_by_ross: bool

    @property
    def digest(self) -> Digest:
        return digest_of(self.data)


PLANNED = st.builds(
    Planned,
    st.booleans(),
    st.lists(st.integers(0, 50), max_size=4),
    st.none() | st.integers(0, 50),
    st.integers(0, 5).map(bool),
    st.booleans(),
)


def built(plans: list[Planned]) -> list[Document]:
    """The documents of *plans*, each referring to blobs and to those before it."""
    documents: list[Document] = []
    for number, plan in enumerate(plans):
        more: dict[str, Any] = {"annotations": {"number": str(number)}}
        needs: set[Digest] = set()
        if plan.subject is not None and documents:
            base = documents[plan.subject % len(documents)]
            more["subject"] = described(base)
            needs.add(base.digest)
        if plan.is_index:
            listed = [documents[pick % len(documents)] for pick in plan.picks] if documents else []
            needs |= {below.digest for below in listed}
            data = compact(
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_INDEX,
                    "manifests": [described(below) for below in listed],
                    **more,
                }
            )
        else:
            layers = [BLOBS[pick % len(BLOBS)] for pick in plan.picks]
            needs |= {digest_of(layer) for layer in layers} | {digest_of(BLOBS[0])}
            data = manifest(BLOBS[0], layers, **more)
        documents.append(
            Document(data, frozenset(needs), plan.is_index, plan.is_stored, plan.filed_by_ross)
        )
    return documents


def described(document: Document) -> dict[str, object]:
    return descriptor(document.data, OCI_INDEX if document.is_index else OCI_MANIFEST)


def reachable(roots: set[Digest], stored: dict[Digest, Document]) -> set[Digest]:
    found: set[Digest] = set()
    pending = list(roots)
    while pending:
        digest = pending.pop()
        if digest not in found:
            found.add(digest)
            if digest in stored:
                pending.extend(stored[digest].needs)
    return found


@given(
    plans=st.lists(PLANNED, max_size=8),
    tagged=st.sets(st.integers(0, 7)),
    held=st.sets(st.integers(0, 12)),
    delete_untagged=st.booleans(),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_can_be_reached_stays_and_all_else_goes(
    plans: list[Planned], tagged: set[int], held: set[int], delete_untagged: bool
) -> None:
    documents = built(plans)
    with tempfile.TemporaryDirectory() as directory:
        ross = ross_store(Path(directory))
        for data in BLOBS:
            ross.put_blob(OCI_CONFIG if data is BLOBS[0] else OCTET_STREAM, data)
        stored: dict[Digest, Document] = {}
        roots: set[Digest] = set()
        with Store.open(directory) as store:
            for number, document in enumerate(documents):
                if not document.is_stored:
                    continue
                media_type = OCI_INDEX if document.is_index else OCI_MANIFEST
                if document.filed_by_ross:
                    ross.put_manifest(document.data, media_type)
                else:
                    store.put_manifest(document.data, media_type)
                stored[document.digest] = document
                if number in tagged:
                    ross.set_tag("some/repository", f"v{number}", document.digest)
                    roots.add(document.digest)
            if not delete_untagged:
                roots |= set(stored)
            everything = [*map(digest_of, BLOBS), *(document.digest for document in documents)]
            holding = {everything[number] for number in held if number < len(everything)}
            expected = reachable(roots | holding, stored)
            with store.pins.hold(*holding):
                told = store.garbage_collect(dry_run=True, delete_untagged=delete_untagged)
                done = store.garbage_collect(delete_untagged=delete_untagged)
            blobs = set(map(digest_of, BLOBS))
            assert set(store.list_blobs()) == blobs & expected
            left = set(store.list_manifests()) | set(store.list_indexes())
            assert left == set(stored) & expected
            removed = (blobs | set(stored)) - expected
            assert set(done.digests) == set(told.digests) == removed
            assert done[:3] == told[:3]
            assert done.blobs_removed == len(blobs - expected)
            assert done.manifests_removed == len(set(stored) - expected)
            assert done.bytes_freed == sum(
                len(data)
                for data in (*BLOBS, *(document.data for document in stored.values()))
                if digest_of(data) in removed
            )
            assert store.garbage_collect(delete_untagged=delete_untagged)[1] == len(
                set(stored) & expected - reachable(roots, stored)
            )
