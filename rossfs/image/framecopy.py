"""Making the copy of a layer in frames that can be decoded one by one.

Frames are compressed in threads beside the one that decodes the layer: each is done by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from blake3 import blake3

from rossfs.image.frametable import CHECK, FrameTableWriter, Kind
from rossfs.image.zstd import CompressionParameter, ZstdCompressor
from rossfs.oci.digest import Digest

FRAME = 256 << 10
"""Bytes of the tar in a frame, but for the last one."""

_OPTIONS: Mapping[int, int] = {
    CompressionParameter.compression_level: 1,
    CompressionParameter.checksum_flag: 1,
}
_THREADS = 2
_AHEAD = 2 * _THREADS


def write_copy(pieces: Iterable[bytes | memoryview], file: BinaryIO, digest: Digest) -> None:
    """Write the tar in *pieces*, that of the layer *digest*, to *file* as a table of kind COPY.

    What *pieces* and *file* raise passes.
    """
    writer = FrameTableWriter(file, digest, Kind.COPY)
    waiting: deque[Future[tuple[bytes, bytes, int]]] = deque()
    with ThreadPoolExecutor(_THREADS, "rossfs-frames") as workers:
        try:
            for frame in _frames(pieces):
                if len(waiting) == _AHEAD:
                    writer.add_data(*waiting.popleft().result())
                waiting.append(workers.submit(_compressed, frame))
            while waiting:
                writer.add_data(*waiting.popleft().result())
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
    writer.finish()


def _frames(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Cut the tar into frames."""
    rest = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        if rest:
            missing = FRAME - len(rest)
            rest += view[:missing]
            view = view[missing:]
            if len(rest) < FRAME:
                continue
            yield bytes(rest)
            rest.clear()
        whole = len(view) - len(view) % FRAME
        for begin in range(0, whole, FRAME):
            yield bytes(view[begin : begin + FRAME])
        rest += view[whole:]
    if rest:
        yield bytes(rest)


def _compressed(frame: bytes) -> tuple[bytes, bytes, int]:
    data = ZstdCompressor(options=_OPTIONS).compress(frame, ZstdCompressor.FLUSH_FRAME)
    return data, blake3(data).digest(CHECK), len(frame)
