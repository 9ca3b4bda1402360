"""Decoded pieces of layers, the least recently used forgotten first.

A span is a stretch of a layer's uncompressed bytes that is decoded by itself: from one seek point
of gzip to the next, or a frame of zstd.  One SpanCache serves all layers of a mount, so that what
is kept in memory has one limit.  A layer's data keeps its spans on a shelf, under their numbers.

Always true: what is held never counts for more than the limit; a span that was forgotten stays
usable for whoever has it.  Everything may be called from several threads.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

LIMIT = 8 << 20
"""Bytes of decoded data that a mount keeps."""

OVERHEAD = 4096
"""What a span counts for beside its bytes, so that a million tiny ones have a limit too."""

Span = TypeVar("Span")


class SpanCache:
    """The spans of all layers of a mount, of at most *limit* bytes together."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        # Held with the lock: the spans, least recently used first, and what each counts for.
        self._spans: OrderedDict[tuple[int, int], tuple[Any, int]] = OrderedDict()
        self._held = 0
        self._numbers = itertools.count()
        # Shelves that nobody has any more; a finalizer may run at any moment, so it takes no lock.
        self._gone: deque[int] = deque()

    def shelf(self) -> Shelf[Any]:
        """Return a shelf that is empty, for the spans of one layer's data."""
        return Shelf(self, next(self._numbers))

    @property
    def held(self) -> int:
        """How many bytes the spans count for, OVERHEAD of each with them."""
        return self._held

    @property
    def limit(self) -> int:
        """How many bytes the spans may count for."""
        return self._limit

    def __len__(self) -> int:
        return len(self._spans)

    def _get(self, key: tuple[int, int]) -> Any | None:
        with self._lock:
            found = self._spans.get(key)
            if found is None:
                return None
            self._spans.move_to_end(key)
            return found[0]

    def _put(self, key: tuple[int, int], span: Any, size: int) -> None:
        size += OVERHEAD
        with self._lock:
            before = self._spans.pop(key, None)
            if before is not None:
                self._held -= before[1]
            if size > self._limit:
                return
            self._spans[key] = span, size
            self._held += size
            self._shrink()

    def _claim(self, key: tuple[int, int], make: Callable[[], Any], size: int) -> Any:
        size += OVERHEAD
        with self._lock:
            found = self._spans.get(key)
            if found is not None:
                self._spans.move_to_end(key)
                return found[0]
            span = make()
            if size <= self._limit:
                self._spans[key] = span, size
                self._held += size
                self._shrink()
            return span

    def _grew(self, key: tuple[int, int], span: Any, size: int) -> None:
        size += OVERHEAD
        with self._lock:
            found = self._spans.get(key)
            if found is None or found[0] is not span:
                return
            self._held += size - found[1]
            if size > self._limit:
                del self._spans[key]
                self._held -= size
                return
            self._spans[key] = span, size
            self._shrink()

    def _remove(self, owner: int) -> None:
        with self._lock:
            for key in [key for key in self._spans if key[0] == owner]:
                self._held -= self._spans.pop(key)[1]

    def _clear_gone(self) -> None:
        """Forget the spans of shelves that nobody has any more.  Requires the lock."""
        gone = {self._gone.popleft() for _ in range(len(self._gone))}
        for key in [key for key in self._spans if key[0] in gone]:
            self._held -= self._spans.pop(key)[1]

    def _shrink(self) -> None:
        """Forget what was not used for longest.  Requires the lock."""
        if self._gone:
            self._clear_gone()
        while self._held > self._limit:
            _, (_, size) = self._spans.popitem(last=False)
            self._held -= size


class Shelf(Generic[Span]):
    """The spans of one layer's data in a SpanCache, by number.  They go with it."""

    __slots__ = ("_cache", "_owner")

    def __init__(self, cache: SpanCache, owner: int) -> None:
        self._cache = cache
        self._owner = owner

    def __del__(self) -> None:
        self._cache._gone.append(self._owner)

    def get(self, number: int) -> Span | None:
        """Return the span, which counts as used by that; None if it is not held."""
        span: Span | None = self._cache._get((self._owner, number))
        return span

    def put(self, number: int, span: Span, size: int) -> None:
        """Hold *span*, which has *size* bytes, in place of what has this number.

        A span larger than the whole limit is not held.
        """
        self._cache._put((self._owner, number), span, size)

    def claim(self, number: int, make: Callable[[], Span], size: int) -> Span:
        """Return the span of this number; where none is held, hold what *make* answers.

        Of several threads that ask at once, all get the same span.  *make* is called with the
        cache locked: it must be quick and may not use the cache.
        """
        span: Span = self._cache._claim((self._owner, number), make, size)
        return span

    def grew(self, number: int, span: Span, size: int) -> None:
        """Say that *span* has *size* bytes by now.  Nothing happens if it is no longer held."""
        self._cache._grew((self._owner, number), span, size)

    def clear(self) -> None:
        """Forget all spans of this shelf."""
        self._cache._remove(self._owner)
