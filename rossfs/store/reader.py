"""Reading stored content, at any offset, never unverified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Self

from rossfs.errors import Damaged, RangeError
from rossfs.store.content import Content
from rossfs.store.contents import Contents
from rossfs.store.hashing import BUFFER


def clip(size: int, offset: int, length: int) -> int:
    """How many bytes the range means in content of *size* bytes; RangeError if it lies past the
    end.

    A *length* of 0 or less reads to the end.
    """
    wanted = length if length > 0 else size - offset
    if offset < 0 or wanted < 0 or offset + wanted > size:
        end = str(offset + length) if length > 0 else "the end"
        raise RangeError(f"no bytes {offset} to {end} in content of {size} bytes")
    return wanted


class Reader:
    """One content, open for reading.  Thread safe, but for `close`.

    Opening it hashes content that nobody hashed before: Damaged if the bytes are wrong,
    BlobNotFound if it is gone.
    """

    __slots__ = ("_fd", "content")

    def __init__(self, contents: Contents, content: Content) -> None:
        contents.verifier.check(content)
        self._fd = contents.open(content)
        self.content = content

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.content.size

    def read(self, offset: int = 0, length: int = -1) -> bytes:
        """Return a range, whole; *length* of 0 or less reads to the end.  RangeError past the
        end."""
        wanted = clip(self.size, offset, length)
        data = os.pread(self.fileno(), wanted, offset)
        if len(data) == wanted:
            return data
        return b"".join((data, *self._pieces(offset + len(data), wanted - len(data))))

    def chunks(self, offset: int = 0, length: int = -1) -> Iterator[bytes]:
        """Yield a range in pieces of at most 1 MiB; RangeError past the end."""
        return self._pieces(offset, clip(self.size, offset, length))

    def fileno(self) -> int:
        """The descriptor; its position means nothing."""
        if self._fd < 0:
            raise ValueError(f"the reader of {self.content.digest} is closed")
        return self._fd

    def close(self) -> None:
        """Close the file.  May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _pieces(self, offset: int, wanted: int) -> Iterator[bytes]:
        while wanted:
            data = os.pread(self.fileno(), min(wanted, BUFFER), offset)
            if not data:
                raise Damaged(f"{self.content.digest} was cut short while it was read")
            yield data
            offset += len(data)
            wanted -= len(data)
