"""Inflating with libz or zlib-ng through their C interface, which can stop at every block.

What Python's zlib modules do not offer, and seek points need: where a deflate block ends, to the
bit; where in the input a code begins; the window at that place (zlib.h: inflate with Z_BLOCK and
Z_TREES, inflateMark, inflateGetDictionary).  Only these documented functions are used, of whatever
library of the two is here; zlib-ng, from the wheel of that name, is the faster one.

An Inflater is one stream and belongs to one thread.  Other threads run while it works.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import zlib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from rossfs.errors import IndexingFailed

GZIP = 31
"""Window bits that mean: one gzip member, its checksum and length verified (zlib.h)."""
RAW = -15
"""Window bits that mean: deflate data without a frame (zlib.h)."""

Z_NO_FLUSH = 0
Z_BLOCK = 5
Z_TREES = 6

Z_OK = 0
Z_STREAM_END = 1
Z_DATA_ERROR = -3
Z_MEM_ERROR = -4
Z_BUF_ERROR = -5

WINDOW = 32768

_BITS = 63
_LAST_BLOCK = 64
_AT_BORDER = 128
_AFTER_HEADER = 256


class _ZlibStream(ctypes.Structure):
    """z_stream of zlib.h."""

    _fields_ = (
        ("next_in", ctypes.c_char_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


class _ZlibNgStream(ctypes.Structure):
    """zng_stream of zlib-ng.h."""

    _fields_ = (
        ("next_in", ctypes.c_char_p),
        ("avail_in", ctypes.c_uint32),
        ("total_in", ctypes.c_size_t),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint32),
        ("total_out", ctypes.c_size_t),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int32),
        ("adler", ctypes.c_uint32),
        ("reserved", ctypes.c_ulong),
    )


class Library:
    """A loaded library and its functions; raises OSError or AttributeError if it lacks one."""

    def __init__(self, path: str, *, ng: bool) -> None:
        self.path = path
        self.stream_type = _ZlibNgStream if ng else _ZlibStream
        functions = ctypes.CDLL(path)
        prefix = "zng_" if ng else ""
        stream = ctypes.c_void_p

        def function(name: str, answer: type | None, *arguments: type) -> ctypes._NamedFuncPointer:
            found = functions[name]
            found.restype, found.argtypes = answer, arguments
            return found

        number = ctypes.c_int
        self.version: bytes = function("zlibng_version" if ng else "zlibVersion", ctypes.c_char_p)()
        # The form with the version and the size of the structure, so that the library compares.
        self.init = function(
            prefix + "inflateInit2_", number, stream, number, ctypes.c_char_p, number
        )
        self.inflate = function(prefix + "inflate", number, stream, number)
        self.reset = function(prefix + "inflateReset", number, stream)
        self.mark = function(prefix + "inflateMark", ctypes.c_long, stream)
        self.end = function(prefix + "inflateEnd", number, stream)
        self.get_dictionary = function(
            prefix + "inflateGetDictionary", number, stream, ctypes.c_void_p, ctypes.c_void_p
        )

    def __repr__(self) -> str:
        return f"Library({self.path!r})"


class Mark(NamedTuple):
    """Where the code begins that a stream is about to write, or has written a part of."""

    back: int
    """How many bits of input it is before the present place; negative: not within codes."""
    written: int
    """How many bytes of it were written already."""


class Inflater:
    """One stream of *library*: input is given with `feed`, output written by `run`."""

    def __init__(self, library: Library, window_bits: int = GZIP) -> None:
        self._library = library
        self._stream = library.stream_type()
        self._address = ctypes.addressof(self._stream)
        size = ctypes.sizeof(self._stream)
        self._live = library.init(self._address, window_bits, library.version, size) == Z_OK
        if not self._live:
            raise IndexingFailed(f"{library.path} cannot be used to read gzip")

    def __del__(self) -> None:
        if self._live:
            self._library.end(self._address)

    def feed(self, data: bytes) -> None:
        """Take *data* as the input that comes next; what was not used of earlier input is void."""
        self._stream.next_in = data
        self._stream.avail_in = len(data)

    def run(self, address: int, room: int, flush: int) -> tuple[int, int]:
        """Inflate into *room* bytes at *address*; return zlib's status and how many were written.

        Ends where *flush* says, when there is no more room, or no more input.
        """
        stream = self._stream
        stream.next_out = address
        stream.avail_out = room
        status = self._library.inflate(self._address, flush)
        return status, room - stream.avail_out

    def restart(self) -> None:
        """Begin a new stream with the input that is left."""
        self._library.reset(self._address)

    @property
    def left(self) -> int:
        """How many bytes of the input were not used."""
        left: int = self._stream.avail_in
        return left

    @property
    def unused_bits(self) -> int:
        """How many bits of the used input were not decoded."""
        bits: int = self._stream.data_type & _BITS
        return bits

    @property
    def at_border(self) -> bool:
        """Whether the output ends where a block begins: before the first, or between two."""
        state: int = self._stream.data_type & (_AT_BORDER | _LAST_BLOCK)
        return state == _AT_BORDER

    @property
    def after_header(self) -> bool:
        """Whether the header of a block was just read (with Z_TREES)."""
        return bool(self._stream.data_type & _AFTER_HEADER)

    @property
    def message(self) -> str:
        """What zlib says about the last error."""
        text: bytes | None = self._stream.msg
        return text.decode("ascii", "replace") if text else "invalid data"

    def mark(self) -> Mark:
        """Return where the code begins that is being written."""
        mark: int = self._library.mark(self._address)
        return Mark(mark >> 16, mark & 0xFFFF)

    def window(self) -> bytes:
        """Return the output that later input can refer to: the last 32 KiB, or all there is."""
        buffer = ctypes.create_string_buffer(WINDOW)
        length = ctypes.c_uint(0)
        self._library.get_dictionary(
            self._address, ctypes.addressof(buffer), ctypes.addressof(length)
        )
        return ctypes.string_at(buffer, length.value)


@cache
def libraries() -> tuple[Library, ...]:
    """Return the libraries that can be used here, the fastest first.

    Raises IndexingFailed if there is none.
    """
    found: dict[bytes, Library] = {}
    for path, ng in _candidates():
        try:
            library = Library(path, ng=ng)
            if library.version not in found and _works(library):
                found[library.version] = library
        except (OSError, AttributeError, IndexingFailed):
            continue
    if not found:
        raise IndexingFailed("neither zlib-ng nor libz can be loaded, and gzip layers need one")
    return tuple(found.values())


def _candidates() -> Iterator[tuple[str, bool]]:
    """Give the paths of libraries, and whether their functions are those of zlib-ng."""
    spec = importlib.util.find_spec("zlib_ng")
    wheel = importlib.util.find_spec("zlib_ng.zlib_ng") if spec else None
    if wheel is not None and wheel.origin:
        yield wheel.origin, True
    yield "libz.so.1", False
    # Asks ldconfig and the compiler, which takes long: only if the plain name was not found.
    if not _is_there("libz.so.1") and (name := ctypes.util.find_library("z")):
        yield name, False


def _is_there(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _works(library: Library) -> bool:
    """Whether the library does what is expected of it, for a stream that is known."""
    text = b"a library is tried before it is trusted" * 3
    packer = zlib.compressobj(9, zlib.DEFLATED, GZIP)
    stream = Inflater(library)
    stream.feed(packer.compress(text) + packer.flush())
    output = ctypes.create_string_buffer(4096)
    address = ctypes.addressof(output)
    if stream.run(address, 4096, Z_BLOCK) != (Z_OK, 0) or not stream.at_border:
        return False
    if stream.run(address, 4096, Z_BLOCK) != (Z_OK, len(text)) or stream.window() != text:
        return False
    return (
        stream.run(address + len(text), 4096 - len(text), Z_BLOCK) == (Z_STREAM_END, 0)
        and stream.left == 0
        and output.raw[: len(text)] == text
    )
