"""Which documents refer to a content: the references of all manifests and indexes, turned round.

What a document refers to never changes, since its digest names it; only which documents there are
changes.  So each is read once, and a document that is gone is noticed when it is asked about.  Kept
in memory from the first question on: about 45 bytes for each document and each content referred to,
and 8 for each reference.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from array import array
from collections.abc import Iterator

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.store import areas, documents
from rossfs.store.digestset import DigestSet
from rossfs.store.paths import ALGORITHMS, Paths

_log = logging.getLogger("rossfs.store")

_SETTLED_NS = 2 * 10**9
"""A directory that changed so recently may change again without its time showing it."""


class ReverseIndex:
    """The references of one store, turned round.  Thread safe."""

    __slots__ = (
        "_children",
        "_complaints",
        "_guard",
        "_heads",
        "_next",
        "_parents",
        "_paths",
        "_read",
        "_seen",
    )

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._guard = threading.Lock()
        self._read = DigestSet()
        self._children = DigestSet()
        # For each child the number plus 1 of its first reference, for each reference that of the
        # next one to the same child; 0 ends the chain.
        self._heads = array("I")
        self._next = array("I")
        self._parents = array("I")
        self._seen: dict[str, int] = {}
        self._complaints: set[Digest] = set()

    def parents_of(self, digest: Digest) -> Iterator[Digest]:
        """The stored documents that refer to *digest*, other than as subject.

        The first call reads all documents of the store, later ones those that are new.  Damaged
        documents refer to nothing, with a warning in the log.
        """
        with self._guard:
            self._refresh()
            child = self._children.number(digest)
            reference = self._heads[child] if child >= 0 else 0
        while reference:
            with self._guard:
                parent = self._read[self._parents[reference - 1]]
                reference = self._next[reference - 1]
            if documents.is_stored(self._paths, parent):
                yield parent

    def _refresh(self) -> None:
        """Read the documents that are new.  Requires the guard."""
        for area in documents.AREAS:
            for algorithm in ALGORITHMS:
                directory = self._paths.area(area, algorithm)
                try:
                    modified_ns = os.stat(directory).st_mtime_ns
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if self._seen.get(directory) == modified_ns:
                    continue
                now = time.time_ns()
                complete = True
                for digest in areas.names(directory, algorithm):
                    if digest not in self._read:
                        complete = self._add(digest) and complete
                if complete and modified_ns < now - _SETTLED_NS:
                    self._seen[directory] = modified_ns

    def _add(self, parent: Digest) -> bool:
        """Read *parent* and note what it refers to; False if it could not be read."""
        try:
            data = documents.read_document(self._paths, parent)
        except Damaged as error:
            if parent not in self._complaints:
                self._complaints.add(parent)
                _log.warning("what it refers to is unknown: %s", error)
            return False
        if data is None:
            return False
        number = len(self._read)
        self._read.add(parent)
        for need in documents.needs(data):
            if need.is_subject:
                continue
            if self._children.add(need.digest):
                self._heads.append(0)
            child = self._children.number(need.digest)
            self._next.append(self._heads[child])
            self._parents.append(number)
            self._heads[child] = len(self._parents)
        return True
