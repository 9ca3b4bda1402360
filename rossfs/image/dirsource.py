"""What `skopeo copy ... dir:DIR` writes, as a source.

manifest.json is the manifest or index itself, `<hex>` each blob, `<hex>.manifest.json` each
manifest of an index; for other algorithms than sha256 newer versions write `<algorithm>-<hex>`
(containers/image, directory/directory_transport.go).  There are no names in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from rossfs.errors import InvalidSource
from rossfs.image.files import Files, read
from rossfs.image.source import Root
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.oci.recognise import recognise

MANIFEST_FILE = "manifest.json"


class DirSource:
    """The one image of such a directory."""

    def __init__(self, files: Files) -> None:
        """InvalidSource if *files* are no such directory."""
        self.name = files.name
        self._files = files
        data = read(files, MANIFEST_FILE)
        if data is None:
            raise InvalidSource(f"{files.name} holds no image: it has no {MANIFEST_FILE}")
        media_type = recognise(data)
        if media_type is None:
            raise InvalidSource(f"{MANIFEST_FILE} in {quote(files.name)} is no image manifest")
        self._data = data
        self._top = Descriptor.of(data, media_type)

    def roots(self) -> list[Root]:
        """See Source.roots."""
        return [Root(self._top, ())]

    def document(self, descriptor: Descriptor) -> bytes | None:
        """See Source.document."""
        if descriptor.digest == self._top.digest:
            return self._data
        path = f"{_name(descriptor.digest)}.{MANIFEST_FILE}"
        return read(self._files, path)

    def blob_size(self, digest: Digest) -> int | None:
        """See Source.blob_size."""
        return self._files.size(_name(digest))

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """See Source.blob."""
        return self._files.chunks(_name(digest))


def _name(digest: Digest) -> str:
    if digest.algorithm == "sha256":
        return digest.hex
    return f"{digest.algorithm}-{digest.hex}"
