"""Many digests in little memory: 32 bytes each, and 6 to 12 more where they can be looked up.

A Python set of a million strings takes 200 MB; a DigestSet of as many takes about 45.

A digest of sha512 is known by its first 32 bytes, which nobody can make collide, and kept beside
the others in full.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from rossfs.oci.digest import Digest

_WIDTH = 32
_SMALLEST = 1024
_ALGORITHM = "sha256"


class DigestList(Sequence[Digest]):
    """Digests in the order in which they were appended.  Not thread safe."""

    __slots__ = ("_others", "_packed")

    def __init__(self) -> None:
        self._packed = bytearray()
        self._others: dict[int, Digest] = {}

    def append(self, digest: Digest) -> None:
        """Put *digest* at the end."""
        if digest.algorithm != _ALGORITHM:
            self._others[len(self)] = digest
        self._packed += digest.raw[:_WIDTH]

    def __len__(self) -> int:
        return len(self._packed) // _WIDTH

    @overload
    def __getitem__(self, index: int) -> Digest: ...

    @overload
    def __getitem__(self, index: slice) -> list[Digest]: ...

    def __getitem__(self, index: int | slice) -> Digest | list[Digest]:
        if isinstance(index, slice):
            return [self._at(number) for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        return self._at(number)

    def __iter__(self) -> Iterator[Digest]:
        number = 0
        while number < len(self):
            yield self._at(number)
            number += 1

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"

    def _at(self, number: int) -> Digest:
        other = self._others.get(number)
        if other is not None:
            return other
        start = number * _WIDTH
        return Digest(_ALGORITHM, self._packed[start : start + _WIDTH].hex())


class DigestSet(DigestList):
    """Digests without duplicates, numbered from 0 in the order in which they were added.

    A table of open addressing over the packed bytes.  Python's hash of bytes is keyed anew in each
    process, so nobody can choose digests that all fall into one place.
    """

    __slots__ = ("_mask", "_slots")

    def __init__(self) -> None:
        super().__init__()
        self._resize(_SMALLEST)

    def add(self, digest: Digest) -> bool:
        """Add *digest*; False if it was there."""
        raw = digest.raw[:_WIDTH]
        slot = self._slot(raw)
        if self._slots[slot]:
            return False
        super().append(digest)
        self._slots[slot] = len(self)
        if 3 * len(self) > 2 * len(self._slots):
            self._resize(2 * len(self._slots))
        return True

    def append(self, digest: Digest) -> None:
        """As `add`."""
        self.add(digest)

    def number(self, digest: Digest) -> int:
        """Which number *digest* has; -1 if it is not there."""
        return self._slots[self._slot(digest.raw[:_WIDTH])] - 1

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, Digest) and self.number(digest) >= 0

    def _slot(self, raw: bytes) -> int:
        """The slot that holds the number of *raw*, or the free one where it belongs."""
        slots, mask, packed = self._slots, self._mask, self._packed
        slot = hash(raw) & mask
        # Each slot holds a number plus 1; 0 is a free one.
        while taken := slots[slot]:
            if packed[(taken - 1) * _WIDTH : taken * _WIDTH] == raw:
                return slot
            slot = (slot + 1) & mask
        return slot

    def _resize(self, size: int) -> None:
        self._slots = slots = array("I", bytes(4 * size))
        self._mask = mask = size - 1
        view = memoryview(self._packed)
        for number in range(len(self)):
            slot = hash(bytes(view[number * _WIDTH : (number + 1) * _WIDTH])) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number + 1
        view.release()
