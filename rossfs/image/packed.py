"""A compressed layer, to be decoded from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rossfs.errors import InvalidLayer
from rossfs.image.compression import Compression, Read, StreamPass
from rossfs.image.streampass import stream_pass
from rossfs.oci.digest import Digest

CHUNK = 256 << 10
"""Bytes of the blob that are read at once."""


class Packed(NamedTuple):
    """A compressed layer: *read* reads the blob of *size* bytes and knows them to be right."""

    digest: Digest
    compression: Compression
    read: Read
    size: int

    def decoder(self) -> StreamPass:
        """A pass that was fed nothing."""
        return stream_pass(self.compression)

    def unpack(self, decoder: StreamPass) -> Iterator[bytes | memoryview]:
        """The tar in pieces of at most 1 MiB, by a *decoder* that was fed nothing.

        InvalidLayer, and what *read* raises.
        """
        try:
            for offset in range(0, self.size, CHUNK):
                yield from decoder.feed(self.read(offset, min(CHUNK, self.size - offset)))
            decoder.finish()
        except InvalidLayer as error:
            raise InvalidLayer(f"layer {self.digest}: {error}") from error
