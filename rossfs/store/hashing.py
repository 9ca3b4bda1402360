"""Hashing bytes: as they arrive, or those of an open file."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

from rossfs.oci.digest import Digest, hasher_for

BUFFER = 1 << 20
"""Bytes per read: large enough that system calls do not count, small enough for a cache."""

# Starting a thread costs as much as hashing about 100 KiB; most blobs by number are smaller than
# what is hashed before one is started.
_INLINE = 4 << 20

# More pieces than these are copied into one: to have the interpreter again after each costs more.
_PIECES = 16

# Buffers that wait for the second thread.  With 1 MiB each this bounds the memory of a stream.
_WAITING = 8


def hash_file(
    fd: int, algorithm: str, told: Callable[[int], None] | None = None
) -> tuple[Digest, int]:
    """Hash the whole file *fd* from its beginning; return its digest and how many bytes it had.

    The descriptor's position is neither used nor moved.  *told* hears of each piece how many bytes
    it had.
    """
    hasher = hasher_for(algorithm)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    buffer = memoryview(bytearray(min(BUFFER, os.fstat(fd).st_size + 1)))
    offset = 0
    while count := os.preadv(fd, [buffer], offset):
        hasher.update(buffer[:count])
        offset += count
        if told is not None:
            told(count)
    return Digest(algorithm, hasher.hexdigest()), offset


class StreamHasher:
    """Hashes a stream, from a few MiB on in a second thread, while its owner writes.

    To be used by one thread at a time.  `close` must be called.
    """

    __slots__ = (
        "_algorithm", "_gathered", "_hasher", "_pending", "_queue", "_slots", "_thread", "_told",
        "_total",
    )  # fmt: skip

    def __init__(
        self, algorithm: str = "sha256", told: Callable[[int], None] | None = None
    ) -> None:
        """*told* hears in the second thread, while there is one, how many bytes of the stream are
        hashed by now; it must not raise."""
        self._algorithm = algorithm
        self._told = told
        self._total = 0
        self._hasher = hasher_for(algorithm)
        self._thread: threading.Thread | None = None
        self._queue: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(_WAITING)
        # Small buffers are handed over together: a hand-over costs as much as hashing 10 KiB.
        self._pending: list[bytes] = []
        self._gathered = 0

    @property
    def keeps_up(self) -> bool:
        """Whether `update` would not wait now."""
        return self._thread is None or self._queue.qsize() < _WAITING // 2

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream; waits while too many are unhashed."""
        if self._thread is None:
            self._hasher.update(data)
            self._total += len(data)
            self._gathered += len(data)
            if self._gathered >= _INLINE:
                self._gathered = 0
                self._start()
            return
        self._pending.append(bytes(data))
        self._gathered += len(data)
        if self._gathered >= BUFFER:
            self._hand_over()

    def digest(self) -> Digest:
        """The digest of all bytes taken so far; more may follow."""
        self.close()
        return Digest(self._algorithm, self._hasher.hexdigest())

    def close(self) -> None:
        """End the second thread, once it has hashed what it was given."""
        if self._thread is not None:
            self._hand_over()
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="rossfs-hash", daemon=True)
        self._thread.start()

    def _hand_over(self) -> None:
        pieces = self._pending
        if len(pieces) > _PIECES:
            pieces = [b"".join(pieces)]
        self._pending = []
        self._gathered = 0
        self._slots.acquire()
        self._queue.put(pieces)

    def _run(self) -> None:
        while (pieces := self._queue.get()) is not None:
            for data in pieces:
                self._hasher.update(data)
                self._total += len(data)
            self._slots.release()
            if self._told is not None:
                self._told(self._total)
