"""The bytes of a layer that is not compressed: those of the blob."""

from __future__ import annotations

from rossfs.image.compression import Read, ReadyRead


class PlainData:
    """A tar as it is.  Thread safe if what it is given is.

    *read* and *read_ready* are those of the blob; both know its bytes to be right.
    """

    def __init__(self, read: Read, read_ready: ReadyRead) -> None:
        self.read = read
        self.read_ready = read_ready

    def close(self) -> None:
        """Nothing is kept."""
