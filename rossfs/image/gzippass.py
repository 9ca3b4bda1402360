"""One way through a gzip blob: its uncompressed bytes, and the seek points on the way.

Members, checksums and lengths as RFC 1952 has them.  What follows the last member is ignored, as
gzip(1) does: zeros are padding, and what else does not begin a member is garbage.

Points lie where a deflate block begins.  Where none begins for long, because few bytes stand for
many or because whoever compressed it made one block of everything, a point lies at a code within
the block, and the block's header is kept with it.  Memory is bounded whatever the blob holds.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from rossfs.errors import InvalidLayer
from rossfs.image.deflate import (
    RAW,
    Z_BLOCK,
    Z_BUF_ERROR,
    Z_MEM_ERROR,
    Z_OK,
    Z_STREAM_END,
    Z_TREES,
    Inflater,
    Library,
    libraries,
)
from rossfs.image.seekpoints import INTERVAL, SeekPoint, SeekPointBuilder

MAGIC = b"\x1f\x8b"

PIECE = 256 << 10
"""The most bytes that are given in one piece; output that fits the processor's cache is faster."""

_HEADER_LIMIT = 320  # bytes; a block's header has at most 17 + 19 * 3 + 316 * 7 bits (RFC 1951)


class GzipPass:
    """Inflates one blob that is fed in any pieces; belongs to one thread at a time."""

    def __init__(self, interval: int = INTERVAL, library: Library | None = None) -> None:
        """*interval*: bytes of uncompressed data between two seek points, about."""
        self._library = library or libraries()[0]
        self._stream = Inflater(self._library)
        self._buffer = ctypes.create_string_buffer(PIECE)
        self._points = SeekPointBuilder(interval)
        self._members = 0
        self._inside = False  # a member
        self._ended = False  # after the last member
        self._pending = b""  # the first byte of what may be a member
        self._data = b""  # the input at hand
        self._taken = 0  # bytes of the blob before it
        self._previous = b""  # the last of them
        self._given = 0  # bytes of uncompressed data so far
        self._last = SeekPoint(0, 0, b"")
        self._block_bit = 0  # where the present block begins
        self._block = b""  # its first bytes, from the byte on in which it begins
        self.notes: list[str] = []
        """What is unusual about the blob, a line each."""

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Take the next bytes of the blob and give what they inflate to, in pieces that are not
        empty and have at most 256 KiB.

        The iterator must be used up before the next call.  InvalidLayer for damaged data.
        """
        self._data = data = self._pending + data
        self._pending = b""
        if self._inside:
            self._block += data[: _HEADER_LIMIT - len(self._block)]
        self._stream.feed(data)
        address, filled = ctypes.addressof(self._buffer), 0
        while self._inside or self._begin():
            room = min(PIECE - filled, self._room())
            status, written = self._stream.run(address + filled, room, Z_BLOCK)
            filled += written
            self._given += written
            if filled == PIECE:
                yield ctypes.string_at(address, filled)
                filled = 0
            if status == Z_STREAM_END:
                self._inside = False
            elif status == Z_MEM_ERROR:
                raise MemoryError
            elif status not in (Z_OK, Z_BUF_ERROR):
                raise InvalidLayer(
                    f"damaged gzip data at byte {self._used()}: {self._stream.message}"
                )
            elif self._stream.at_border:
                self._note_border()
            elif written == room:
                self._note_code()
            elif not self._stream.left:
                break
        if filled:
            yield ctypes.string_at(address, filled)
        self._taken += len(data) - len(self._pending)
        self._previous = data[-1:] or self._previous
        self._data = b""

    def finish(self) -> None:
        """The blob has ended.  InvalidLayer if it ends within a member, or has none."""
        size = self._taken + len(self._pending)
        if self._inside or (self._members and self._pending):
            raise InvalidLayer(f"truncated gzip data: it ends after {size} bytes")
        if not self._members:
            raise InvalidLayer(f"no gzip data: {size} bytes")
        self._points.length = self._given
        self._points.size = size

    def points(self) -> SeekPointBuilder:
        """Return the seek points; they are complete when `finish` was called."""
        return self._points

    def _begin(self) -> bool:
        """Begin a member with what is left of the input, if it is one."""
        at = len(self._data) - self._stream.left
        if not self._ended:
            head = self._data[at : at + 2]
            if head == MAGIC:
                self._members += 1
                self._inside = True
                self._stream.restart()
                return True
            if head == MAGIC[: len(head)]:
                self._pending = head
                return False
            if not self._members:
                raise InvalidLayer("no gzip data: it does not begin with the bytes 1f 8b")
        self._ended = True
        if not self.notes and self._data[at:].strip(b"\0"):
            self.notes.append(f"what follows the gzip data is ignored, from byte {self._used()} on")
        return False

    def _room(self) -> int:
        """How many bytes may be inflated before `_note_code` has to look."""
        left = self._last.offset + self._points.interval * 3 // 2 - self._given
        if left > 0:
            return left
        # A point cannot lie within what a code stands for: go on to the end of that.
        return PIECE if self._stream.mark().back < 0 else 1

    def _note_border(self) -> None:
        """A block begins here: remember that, and make it a point if it is time."""
        self._block_bit = bit = self._used() * 8 - self._stream.unused_bits
        at = (bit >> 3) - self._taken
        # One bit of the last piece of input can be left while the first code is read from it.
        self._block = self._data[max(at, 0) : at + _HEADER_LIMIT]
        if at < 0:
            self._block = self._previous + self._block
        interval = self._points.interval
        if (
            not len(self._points)
            or self._given - self._last.offset >= interval
            or bit - self._last.bit >= interval * 16
        ):
            self._add(SeekPoint(bit, self._given, self._stream.window()))

    def _note_code(self) -> None:
        """Make this place a point if it is late for one, and a code begins here."""
        if self._given - self._last.offset < self._points.interval * 3 // 2:
            return
        mark = self._stream.mark()
        if mark.back < 0 or mark.written:
            return
        bit = self._used() * 8 - self._stream.unused_bits - mark.back
        header_bits, header = self._block_header()
        if header_bits:
            self._add(SeekPoint(bit, self._given, self._stream.window(), header_bits, header))

    def _block_header(self) -> tuple[int, bytes]:
        """Return how many bits the header of the present block has, and these; 0 if it is cut."""
        shift = self._block_bit & 7
        bits = int.from_bytes(self._block, "little") >> shift
        block = bits.to_bytes(len(self._block), "little")
        stream = Inflater(self._library, RAW)
        stream.feed(block)
        nothing = ctypes.c_char()
        stream.run(ctypes.addressof(nothing), 1, Z_TREES)
        if not stream.after_header:
            return 0, b""
        length = (len(block) - stream.left) * 8 - stream.unused_bits
        header = bits & ((1 << length) - 1)
        return length, header.to_bytes((length + 7) // 8, "little")

    def _add(self, point: SeekPoint) -> None:
        self._points.add(point)
        self._last = point

    def _used(self) -> int:
        """How many bytes of the blob were used."""
        return self._taken + len(self._data) - self._stream.left
