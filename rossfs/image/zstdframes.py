"""Where the frames of zstd data begin and end, found without decoding them (RFC 8878, section 3.1).

Blocks say how long they are, so passing over one costs half a microsecond.  Frames that cannot be
decoded here, because they need a dictionary or a window beyond the limit, are refused before a
decoder sees them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from rossfs.errors import InvalidLayer

MAGIC = b"\x28\xb5\x2f\xfd"

WINDOW_LOG = 27
WINDOW_LIMIT = 1 << WINDOW_LOG
"""Bytes that a decoder may have to remember: what zstd(1) allows without --long."""

_BLOCK_LIMIT = 128 << 10
_RLE = 1
_RESERVED = 3


class FrameScanner:
    """Cuts zstd data of any chunking into its frames."""

    def __init__(self) -> None:
        self.offset = 0
        """Bytes of complete frames and of what was looked at since."""
        self.whole = True
        """Whether the data may end here: between two frames."""
        self._between = True
        self._decoding = False  # inside a frame that has content
        self._parser = self._parse()
        self._wanted = next(self._parser)
        self._field = b""

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | memoryview | None]:
        """Give the bytes of each frame, in pieces, and None where it ends, when `offset` is the
        position behind it; skippable frames are left out.

        InvalidLayer for what is no zstd data, or is none that can be decoded here.
        """
        view = memoryview(data)
        end = len(view)
        position = begin = 0
        origin = self.offset
        while position < end:
            if self._wanted < 0:
                taken = min(-self._wanted, end - position)
                position += taken
                self._wanted += taken
                if self._wanted:
                    break
            else:
                taken = min(self._wanted - len(self._field), end - position)
                self._field += view[position : position + taken]
                position += taken
                if len(self._field) < self._wanted:
                    break
            was_decoding = self._decoding
            self.offset = origin + position
            field, self._field = self._field, b""
            self._wanted = self._parser.send(field)
            if self._decoding and not was_decoding:
                yield MAGIC
                begin = position
            elif was_decoding and not self._decoding:
                yield view[begin:position]
                yield None
        if self._decoding and begin < end:
            yield view[begin:]
        self.offset = origin + end
        self.whole = self._between and not self._field

    def _parse(self) -> Generator[int, bytes, None]:
        """Asks for fields of so many bytes, and with negative numbers to pass over bytes."""
        while True:
            self._between = True
            magic = yield len(MAGIC)
            self._between = False
            if magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50:
                size = int.from_bytes((yield 4), "little")
                if size:
                    yield -size
                continue
            if magic != MAGIC:
                raise InvalidLayer(f"no zstd frame at byte {self.offset - len(MAGIC)}")
            self._decoding = True
            checksum = yield from self._header()
            last = False
            while not last:
                header = int.from_bytes((yield 3), "little")
                last = bool(header & 1)
                kind, size = header >> 1 & 3, header >> 3
                if kind == _RESERVED or size > _BLOCK_LIMIT:
                    raise InvalidLayer(f"damaged zstd block before byte {self.offset}")
                if kind == _RLE:
                    size = 1
                if size:
                    yield -size
            if checksum:
                yield -4
            self._decoding = False

    def _header(self) -> Generator[int, bytes, bool]:
        """Read a frame header (3.1.1.1); whether the frame ends in a checksum."""
        descriptor = (yield 1)[0]
        single = bool(descriptor & 0x20)
        if descriptor & 0x08:
            raise InvalidLayer(f"zstd frame of an unknown kind before byte {self.offset}")
        window = 0
        if not single:
            value = (yield 1)[0]
            window = (1 << 10 + (value >> 3)) // 8 * (8 + (value & 7))
        if size := (0, 1, 2, 4)[descriptor & 3]:
            dictionary = int.from_bytes((yield size), "little")
            if dictionary:
                raise InvalidLayer(f"the zstd data needs dictionary {dictionary}")
        content = 0
        if size := (1 if single else 0, 2, 4, 8)[descriptor >> 6]:
            content = int.from_bytes((yield size), "little") + (256 if size == 2 else 0)
        window = window or content
        if window > WINDOW_LIMIT:
            raise InvalidLayer(
                f"the zstd data needs a window of {window} bytes; at most {WINDOW_LIMIT} are used"
            )
        return bool(descriptor & 0x04)
