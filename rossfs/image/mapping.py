"""Mapping a file without keeping it open.

A map needs no descriptor (mmap(2), "NOTES"), but Python keeps one for each (mmap.mmap, until
`trackfd` of Python 3.13): with one for each layer, those of a process are soon used up.
"""

from __future__ import annotations

import functools
import mmap
import os
import sys
from collections.abc import Callable

_MAP_FIXED = 0x10  # of Linux, but on alpha and parisc


def map_file(fd: int, size: int) -> mmap.mmap:
    """Map the first *size* bytes of the file *fd* for reading; *fd* may be closed then.

    They must be there.  Writing to what is returned kills the process.  OSError as mmap(2).
    """
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, size, access=mmap.ACCESS_READ, trackfd=False)
    import ctypes

    # Memory of nobody, in whose place the file is mapped.
    made = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(made))
    flags = mmap.MAP_PRIVATE | _MAP_FIXED
    if _mmap()(address, size, mmap.PROT_READ, flags, fd, 0) != address:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return made


@functools.cache
def _mmap() -> Callable[[int, int, int, int, int, int], int | None]:
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    )  # fmt: skip
    return function
