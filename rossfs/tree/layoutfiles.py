"""index.json and oci-layout as they are now: files whose bytes are in memory."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rossfs.oci.layout import INDEX_FILE, LAYOUT_DOCUMENT
from rossfs.tree.handle import Handle
from rossfs.tree.node import (
    Attr,
    AttrChange,
    Caller,
    File,
    Node,
    Published,
    is_writing,
    read_only,
)
from rossfs.tree.static import CachedBytes

if TYPE_CHECKING:
    from rossfs.tree.workshop import Workshop


class LayoutFile(File):
    """oci-layout: what every layout has.  The bytes of *text* never change."""

    __slots__ = ("__weakref__", "_modified_ns", "_shop", "repository", "text")

    ttl: ClassVar[float] = 0.0  # another version of the file is another node

    def __init__(
        self,
        ino: int,
        shop: Workshop,
        repository: str,
        text: bytes = LAYOUT_DOCUMENT,
        modified_ns: int = 0,
    ) -> None:
        super().__init__(ino)
        self._shop = shop
        self._modified_ns = modified_ns
        self.repository = repository
        self.text = text

    def attr(self) -> Attr:
        mode = stat.S_IFREG | (0o644 if self._shop.writable else 0o444)
        return Attr.dated(mode, self._modified_ns, len(self.text))

    def same(self, other: Node) -> bool:
        return type(other) is type(self) and (other.repository, other.text) == (
            self.repository,
            self.text,
        )

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """EROFS for another size; everything else succeeds and changes nothing."""
        if change.size is not None:
            raise read_only()

    async def open(self, flags: int, caller: Caller) -> Handle:
        """Open for reading; Published for writing."""
        if is_writing(flags):
            if not self._shop.writable:
                raise read_only()
            raise Published
        return CachedBytes(self.text)


class IndexFile(LayoutFile):
    """index.json as it was at one moment: whoever opens it has read that."""

    __slots__ = ()

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.error: why the last attempt to write it anew was refused."""
        reason = self._shop.refusal(self.repository, INDEX_FILE)
        return {} if reason is None else {b"user.ross.error": reason}

    async def open(self, flags: int, caller: Caller) -> Handle:
        """As LayoutFile, and remember what its process read."""
        handle = await super().open(flags, caller)
        readings = self._shop.readings
        readings.saw(readings.who(caller.pid), self.repository, self.text)
        return handle
