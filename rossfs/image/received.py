"""The files of an archive that comes through a pipe, in whatever order it has.

What is named by a digest, or looks like a layer, goes into the store as it arrives, held against
collection; manifests and other small JSON wait in memory until the archive is complete, since the
file that says what all of it means may come last.  Everything else is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain

from rossfs.errors import InvalidSource
from rossfs.image.archive import ENTRY_LIMIT
from rossfs.image.files import clean, follow, link_target
from rossfs.image.intake import Intake
from rossfs.image.tarstream import Entry, Kind, TarReader
from rossfs.oci.digest import Digest
from rossfs.oci.document import MAX_BYTES
from rossfs.oci.mediatype import OCTET_STREAM, layer_from_magic
from rossfs.oci.recognise import recognise

KEPT_LIMIT = 64 << 20
"""Bytes of manifests and other JSON that wait in memory; that of an image has a few KiB."""

# blobs/sha256/<hex> of a layout, <hex> of skopeo's dir:.
_BLOB = re.compile(r"(?:blobs/(sha256|sha512)/)?([0-9a-f]{64}|[0-9a-f]{128})")


class ReceivedFiles:
    """Files of an archive that has been read to its end."""

    def __init__(self, read: Callable[[int], bytes], name: str, intake: Intake) -> None:
        """Read the whole archive; *read* as for TarReader.

        InvalidSource if it is none, DigestMismatch for a blob that is not what its name says.
        """
        self.name = name
        self._intake = intake
        self._kept: dict[str, bytes] = {}
        self._stored: dict[str, tuple[Digest, int]] = {}
        self._links: dict[str, str | None] = {}
        self._room = KEPT_LIMIT
        reader = TarReader(read, name)
        for number, entry in enumerate(reader):
            if number >= ENTRY_LIMIT:
                raise InvalidSource(f"{name} has more than {ENTRY_LIMIT} entries: no image archive")
            self._receive(entry, reader)
        reader.drain()

    def size(self, path: str) -> int | None:
        """See Files.size."""
        path = self._follow(path)
        if path in self._stored:
            return self._stored[path][1]
        data = self._kept.get(path)
        return None if data is None else len(data)

    def chunks(self, path: str) -> Iterator[bytes]:
        """See Files.chunks."""
        path = self._follow(path)
        if path in self._stored:
            yield from self._intake.read(self._stored[path][0])
        else:
            yield self._kept[path]

    def stored(self, path: str) -> Digest | None:
        """See Files.stored."""
        found = self._stored.get(self._follow(path))
        return None if found is None else found[0]

    def close(self) -> None:
        """See Files.close: nothing stays open."""

    def _follow(self, path: str) -> str:
        return follow(clean(path, self.name), self._links, self.name)

    def _receive(self, entry: Entry, reader: TarReader) -> None:
        path = clean(entry.name, self.name)
        # A path may come twice; the last one counts.
        self._kept.pop(path, None)
        self._stored.pop(path, None)
        self._links.pop(path, None)
        if entry.kind is Kind.SYMLINK:
            self._links[path] = link_target(path, entry.target)
        elif entry.kind is Kind.HARDLINK:
            self._links[path] = clean(entry.target, self.name)
        elif entry.kind is Kind.FILE:
            self._receive_file(path, entry.size, reader.chunks())

    def _receive_file(self, path: str, size: int, chunks: Iterator[bytes]) -> None:
        digest = _named_digest(path)
        if digest is not None and self._intake.has(digest) == size:
            self._stored[path] = digest, size
            return
        head = next(chunks, b"")
        if size <= MAX_BYTES and head.lstrip()[:1] in (b"{", b"["):
            data = b"".join(chain([head], chunks))
            if digest is None or recognise(data) is not None:
                self._keep(path, data)
                return
            head, chunks = data, iter(())
        if digest is not None:
            # What it is, the manifest will say.
            self._intake.take(digest, OCTET_STREAM, size, chain([head], chunks))
            self._stored[path] = digest, size
        elif layer_from_magic(head) is not None or path.endswith(".tar"):
            taken = self._intake.take_unnamed(path, OCTET_STREAM, size, chain([head], chunks))
            self._stored[path] = taken, size

    def _keep(self, path: str, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            raise InvalidSource(f"{self.name} holds more than {KEPT_LIMIT >> 20} MiB of documents")
        self._kept[path] = data


def _named_digest(path: str) -> Digest | None:
    match = _BLOB.fullmatch(path)
    if match is None:
        return None
    algorithm, encoded = match.groups()
    algorithm = algorithm or "sha256"
    return (
        Digest(algorithm, encoded)
        if len(encoded) == (64 if algorithm == "sha256" else 128)
        else None
    )
