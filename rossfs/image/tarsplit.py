"""What is left of a layer's tar when its files lie in a directory: tar-split, version 1.

containers/storage keeps it beside each layer, and podman makes the tar again from it and the files,
byte for byte (github.com/vbatts/tar-split, tar/asm and tar/storage).  A line of JSON for each part
of the tar, `position` counting them:

    {"type":2,"payload":BASE64,"position":0}      bytes as they are: headers, padding, the end
    {"type":1,"name":PATH,"size":N,"payload":BASE64 OF CRC-64,"position":1}      a file's content

podman opens PATH below the layer's directory and refuses other bytes, so only a file that is there
in overlay form, as a regular file of just these bytes, is a part of type 1.  Everything else that
has content - sparse files, what a later entry replaces, what lies where a symbolic link led - is
in parts of type 2.  An entry without content has a part of type 1 without size, as podman writes
it; no path may come twice, or podman refuses all of it.

For archives that podman would unpack, and with no sparse files, the lines are those that podman
4.3.1 writes.
"""

from __future__ import annotations

import stat
from base64 import b64encode
from collections.abc import Callable

from rossfs.image.crc64 import crc64
from rossfs.image.layertree import LayerTree
from rossfs.image.record import LOWER_LINK, SPARSE
from rossfs.image.tarextension import FLAGS, Extensions
from rossfs.image.tarheader import BLOCK, number, prefixed, text
from rossfs.image.tarname import clean
from rossfs.image.tarscan import TarEntry, TarScanner

SEGMENT = 1 << 20
"""Bytes of a part of type 2 at most, about."""

LONGEST = 3072
"""Bytes of a path that podman can open below any directory (PATH_MAX)."""

_END = 2 * BLOCK
_PATHS = 1024

_ESCAPES = {number: f"\\u{number:04x}" for number in (*range(0x20), *b"<>&", 0x2028, 0x2029)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}
"""As Go's encoding/json writes strings (before Go 1.22)."""


class TarSplitWriter:
    """Takes a layer's tar as it streams past, and writes its tar-split data.

    *tree*: what is shown of the layer in overlay form; *write* is given lines, many at a time.
    Memory is a byte for each entry, and about SEGMENT.
    """

    def __init__(self, tree: LayerTree, write: Callable[[bytes], object]) -> None:
        self._tree = tree
        self._write = write
        self._scanner = TarScanner(self._add)
        self._entries: list[TarEntry] = []
        """What the scanner has just found."""
        self._at = 0
        self._count = 0
        self._told = bytearray(tree.limit)
        """Of each record: whether there is a part of type 1 for its path."""
        self._directories: dict[bytes, int] = {b"": 0}
        self._pending = bytearray()
        """What the next part of type 2 begins with, and how much of it is the padding of the
        content before it; None if its beginning was written already."""
        self._padding: int | None = 0
        self._file = b""
        """The beginning of the part of type 1 whose content is under way, how much is still to
        come, and the checksum so far."""
        self._left = 0
        self._sum = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the tar.  InvalidLayer if they cannot be read."""
        view = memoryview(data)
        self._entries.clear()
        self._scanner.feed(view)
        begin, end = self._at, self._at + len(view)
        at = begin
        for entry in self._entries:
            self._take(view[at - begin : entry.offset - begin])
            at = entry.offset
            self._begin(entry)
        self._take(view[at - begin :])
        self._at = end

    def finish(self) -> None:
        """Say that this was all."""
        self._scanner.finish()
        self._flush(_END + (self._padding or 0))
        self._flush(len(self._pending))
        # podman reads on until there is nothing, and notes that, too.
        self._segment(b"")

    def _add(self, entry: TarEntry) -> None:
        self._entries.append(entry)

    def _begin(self, entry: TarEntry) -> None:
        """What was taken ends with the header of *entry*; its content comes next, if it has any."""
        head = self._head(entry)
        self._flush(len(self._pending))
        self._padding = -entry.stored % BLOCK
        if not entry.stored:
            if head:
                self._line(head + b',"payload":null')
        elif head:
            self._file = b'%b,"size":%d' % (head, entry.stored)
            self._left, self._sum = entry.stored, 0
        else:
            self._padding = None

    def _take(self, data: memoryview) -> None:
        """Take bytes of which none is behind the header of an entry that is not begun."""
        if self._left:
            content = data[: self._left]
            data = data[self._left :]
            self._sum = crc64(content, self._sum)
            self._left -= len(content)
            if self._left:
                return
            checksum = b64encode(self._sum.to_bytes(8, "big"))
            self._line(b'%b,"payload":"%b"' % (self._file, checksum))
        self._pending += data
        while len(self._pending) > SEGMENT:
            end = _END + (self._padding or 0)
            at_end = self._padding is not None and not any(self._pending[self._padding : end])
            self._flush(end if at_end else SEGMENT)
            self._padding = None

    # --- what podman can open ---

    def _head(self, entry: TarEntry) -> bytes:
        """The beginning of the part of type 1 for *entry*; empty if there is none."""
        index = self._index(entry.path)
        if index < 0 or self._told[index]:
            return b""
        mode, _, flags = self._tree.facts(index)
        if stat.S_ISDIR(mode) != (entry.kind == stat.S_IFDIR):
            return b""
        if entry.stored:
            if not stat.S_ISREG(mode) or flags & (LOWER_LINK | SPARSE) or entry.sparse is not None:
                return b""
            record = self._tree.record(index)
            if (record.data, record.size) != (entry.offset, entry.stored):
                return b""
            if len(entry.path) > LONGEST:
                return b""
        self._told[index] = 1
        name = self._raw_name(entry.path)
        try:
            return b'{"type":1,"name":"%b"' % name.decode().translate(_ESCAPES).encode()
        except UnicodeDecodeError:
            return b'{"type":1,"name_raw":"%b"' % b64encode(name)

    def _index(self, path: bytes) -> int:
        """The index of what has this path in the layer; -1 if nothing has."""
        above, _, name = path.rpartition(b"/")
        directory = self._directories.get(above)
        if directory is None:
            directory = 0
            for component in above.split(b"/"):
                directory = self._tree.find(directory, component)
                if directory < 0:
                    break
            if len(self._directories) >= _PATHS:
                self._directories = {b"": 0}
            self._directories[above] = directory
        return self._tree.find(directory, name) if name and directory >= 0 else directory

    def _raw_name(self, path: bytes) -> bytes:
        """The name of an entry, *path* when it is cleaned, as the headers that are pending have it;
        *path* where these are too long, or refused entries are in front."""
        if self._padding is None:
            return path
        at = self._padding
        extensions = Extensions()
        try:
            while True:
                block = bytes(self._pending[at : at + BLOCK])
                at += BLOCK
                if block[156:157] not in FLAGS:
                    break
                size = number(block[124:136])
                extensions.take(block[156:157], bytes(self._pending[at : at + size]))
                at += size + (-size % BLOCK)
            name, _, _ = extensions.apply(prefixed(text(block[:100]), block), b"")
            return name if clean(name) == path else path
        except ValueError:
            return path

    # --- parts ---

    def _flush(self, length: int) -> None:
        """Write the first bytes that are pending."""
        if self._pending:
            self._segment(self._pending[:length])
            del self._pending[:length]

    def _segment(self, data: bytes | bytearray) -> None:
        self._line(b'{"type":2,"payload":"%b"' % b64encode(data))

    def _line(self, head: bytes) -> None:
        self._write(b'%b,"position":%d}\n' % (head, self._count))
        self._count += 1
