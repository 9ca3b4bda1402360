"""What is wrong in uses/: records that cannot be read, or that are of what is not stored.

Who uses what cannot be invented, but what must stay can be found: the layer of the record's own
name or, if that is the digest of a table of contents, the layer of which a manifest says that it
has that table.  A repair keeps that one until somebody removes the record.  Where there is no such
layer, there is nothing to keep, and the record is moved aside.
"""

from __future__ import annotations

from collections.abc import Iterator

from rossfs.errors import Damaged, InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.recognise import parse_as
from rossfs.store import areas, documents, quarantine, uses
from rossfs.store.access import Access
from rossfs.store.finding import Cure, Fault, Finding, Kind, Severity, place
from rossfs.store.paths import ALGORITHMS, Area, Paths
from rossfs.store.recheck import Recheck


def faults(paths: Paths, recheck: Recheck) -> Iterator[Fault]:
    """The faults of uses/."""
    for algorithm in ALGORITHMS:
        for asked in areas.names(f"{paths.uses}/{algorithm}", algorithm):
            try:
                use = uses.read(paths, asked)
            except Damaged:
                if recheck.persists(lambda asked=asked: uses.is_bad(paths, asked)):  # type: ignore[misc]
                    text = "cannot be read: who uses that layer is unknown"
                    yield _fault(paths, asked, text)._replace(cure=Cure.KEEP_USED)
                continue
            if use is None or areas.stored_size(paths, use.content) is not None:
                continue
            if recheck.persists(lambda asked=asked: _is_void(paths, asked)):  # type: ignore[misc]
                text = f"says that podman uses {use.content}, which is not stored"
                yield _fault(paths, asked, text)


def keep_used(access: Access, fault: Fault) -> Finding:
    """Mend the record of *fault*, which cannot be read."""
    finding, asked, paths = fault.finding, fault.digest, access.paths
    assert asked is not None, "every fault here is about a digest"
    # Before the lock, for it reads all manifests.
    meant = {asked} if _is_layer(paths, asked) else {*_with_table(paths, asked)}
    with access.naming():
        if not uses.is_bad(paths, asked):
            return finding._replace(text=f"{finding.text}; it changed meanwhile")
        if len(meant) > 1:
            listed = ", ".join(sorted(map(str, meant)))
            return finding._replace(text=f"{finding.text}; it may be any of {listed}")
        for content in meant:
            uses.keep(paths, asked, content)
            text = f"{finding.text}; {content} is kept until this file is removed"
            return finding._replace(text=text, repaired=True)
        moved = quarantine.take_file(paths, fault.path, "use", asked.hex)
    return finding._replace(moved=place(paths, moved), repaired=True)


def _with_table(paths: Paths, toc: Digest) -> Iterator[Digest]:
    """The layers that are stored and of which a manifest says that their table of contents has the
    digest *toc*; some of them several times."""
    for document in areas.listed(paths, Area.MANIFESTS):
        try:
            data = documents.read_document(paths, document)
            if data is None or str(toc).encode() not in data:
                continue
            manifest = parse_as(data, "")
        except (Damaged, InvalidDocument):
            continue
        if isinstance(manifest, Manifest):
            for layer in manifest.layers:
                if str(toc) in layer.annotations.values() and _is_layer(paths, layer.digest):
                    yield layer.digest


def _is_layer(paths: Paths, digest: Digest) -> bool:
    return areas.stored_size(paths, digest) is not None


def _is_void(paths: Paths, asked: Digest) -> bool:
    try:
        use = uses.read(paths, asked)
    except Damaged:
        return False
    return use is not None and not _is_layer(paths, use.content)


def _fault(paths: Paths, asked: Digest, text: str) -> Fault:
    path = uses.path_of(paths, asked)
    finding = Finding(Kind.USE, Severity.DAMAGE, place(paths, path), text)
    return Fault(finding, path, digest=asked)
