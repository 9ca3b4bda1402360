"""Where zstd data can be entered: spans of whole frames, noted while the data is read once.

A span is one frame or, where frames are small, several.  Data with a frame too large to be decoded
for a few bytes of it has no spans: it is read through a copy.
"""

from __future__ import annotations

from array import array
from typing import BinaryIO

from rossfs.image.frametable import FrameTableWriter, Kind
from rossfs.oci.digest import Digest

SPAN = 64 << 10
"""Bytes of the tar that a span has at least, so that notes are few whatever the frames are."""

SPAN_LIMIT = 2 << 20
"""Bytes of the tar, and of zstd data, that a span has at most."""


class FrameNotes:
    """The borders of spans, counted in bytes of the blob and of the tar."""

    def __init__(self) -> None:
        self.positions = array("Q", (0, 0))
        """Pairs: position in the blob, position in the tar; the last one is the end of both."""
        self.entered = True
        """Whether every span is small enough."""

    def end(self, position: int, length: int) -> None:
        """A frame ends at *position* of the blob, which has given *length* bytes of the tar."""
        if self.entered and length - self.positions[-1] >= SPAN:
            self._add(position, length)

    def finish(self, position: int, length: int) -> None:
        """The blob ends at *position*, the tar at *length*."""
        if self.entered and (position, length) != tuple(self.positions[-2:]):
            self._add(position, length)

    def write(self, file: BinaryIO, digest: Digest) -> None:
        """Write the table of the layer *digest*, which has `entered`, to *file*."""
        writer = FrameTableWriter(file, digest, Kind.BLOB)
        for number in range(2, len(self.positions), 2):
            writer.add(*self.positions[number : number + 2])
        writer.finish()

    def _add(self, position: int, length: int) -> None:
        if max(position - self.positions[-2], length - self.positions[-1]) > SPAN_LIMIT:
            self.entered = False
            self.positions = array("Q", (0, 0))
        else:
            self.positions.extend((position, length))
