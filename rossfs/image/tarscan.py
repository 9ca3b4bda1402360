"""Reading a layer's tar as it streams past: what each entry is, and where its content lies.

Nothing is kept of content, and of headers only what belongs to the entry under way; chunks may be
cut anywhere.  Read are v7, ustar, PAX, star, and GNU's long names, numbers in base 256 and sparse
files of all four forms.  The archive may end without blocks of zeros and without the padding of its
last entry (umoci writes so).  One block of zeros is passed over if a header follows.

Where the archive itself is broken (a checksum, a size, a PAX header; an end in the middle of an
entry) InvalidLayer says at which byte, and the scanner is of no further use.  Where only an entry
makes no sense but its extent is known, it is refused and the others go on.  What is taken where
tools differ is said in `tarheader.py` and `tarextension.py`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple
from zlib import adler32

from rossfs.errors import InvalidLayer
from rossfs.image import pax, sparse
from rossfs.image.tarextension import FLAGS, Extensions
from rossfs.image.tarheader import (
    BLOCK,
    FIELDS,
    ZEROS,
    Owners,
    Sums,
    Times,
    device,
    is_signed,
    number,
    owner,
    prefixed,
    text,
)
from rossfs.image.tarname import PATH_LIMIT, clean
from rossfs.oci.quotation import quote

HARDLINK = 0
"""The kind of an entry that is one more name of an earlier one."""

_SIZE_LIMIT = 1 << 63
_NEVER = 1 << 80
_NOTHING: pax.Records = {}
_REFUSED_PATH_LIMIT = 4096

_IGNORED, _SPARSE, _UNKNOWN = -1, -2, -3
_KINDS = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,  # contiguous, which no system here has
    b"1": HARDLINK,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
    b"S": _SPARSE,
    b"V": _IGNORED,  # the name of a volume
    b"M": _IGNORED,  # the rest of a file that began in another volume
    b"N": _IGNORED,  # names, as GNU tar wrote them before 1990
}
_WITH_CONTENT = frozenset((stat.S_IFREG, _SPARSE, _IGNORED, _UNKNOWN))
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)

_unpack = FIELDS.unpack_from


class TarEntry:
    """One entry of an archive.  A record for one use; changing it changes nothing else."""

    __slots__ = (
        "gid", "kind", "linkname", "mode", "mtime_ns", "offset", "path", "rdev", "size",
        "sparse", "stored", "uid", "xattrs",
    )  # fmt: skip

    def __init__(
        self,
        path: bytes,
        kind: int,
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime_ns: int = 0,
        rdev: int = 0,
        linkname: bytes = b"",
        offset: int = 0,
        stored: int = 0,
        sparse: tuple[tuple[int, int], ...] | None = None,
        xattrs: dict[bytes, bytes] | None = None,
    ) -> None:
        self.path = path
        """As `tarname.clean` has it; b"" is the root."""
        self.kind = kind
        """S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO or HARDLINK."""
        self.mode = mode
        """Permission bits, at most 0o7777."""
        self.uid = uid
        self.gid = gid
        self.size = size
        """Bytes of the file as stat(2) shows it, 0 for what has no content."""
        self.mtime_ns = mtime_ns
        """Nanoseconds since 1970, in 64 bits with sign."""
        self.rdev = rdev
        """os.makedev of a device, else 0."""
        self.linkname = linkname
        """A symbolic link's text as it is, a hard link's target cleaned like a path, else b""."""
        self.offset = offset
        """Where the content begins, in bytes from the beginning of the uncompressed tar."""
        self.stored = stored
        """How many bytes of content are there: `size` unless the file is sparse."""
        self.sparse = sparse
        """(offset in the file, length) of each stored piece, in order; None if not sparse."""
        self.xattrs = xattrs
        """Extended attributes by name; None if there are none."""

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.__slots__))
        return f"TarEntry({fields})"


class Refusal(NamedTuple):
    """An entry that is not shown."""

    path: bytes
    """As the archive has it, cut after 4,096 bytes."""
    reason: str
    """What is wrong with it, for people, to be read after the path: "leads out of the root"."""


class TarScanner:
    """The entries of one archive, told one by one while its bytes are fed.

    *entry* gets each entry before its content was fed, *refused* each entry that is not shown.
    What these raise comes out of `feed`.
    """

    def __init__(
        self,
        entry: Callable[[TarEntry], None],
        refused: Callable[[Refusal], None] = lambda refusal: None,
    ) -> None:
        self._entry = entry
        self._refused = refused
        self._length = 0
        # What comes next: *_want* bytes at *_next*, given to *_unit*; *_rest* has the first of them
        # if a chunk ended there.  Up to *_needed* the archive must go.
        self._next = 0
        self._want = BLOCK
        self._unit: Callable[[bytes | memoryview, int, int], None] = self._header
        self._rest = bytearray()
        self._needed = 0
        self._zeros = False  # the last block was one of zeros
        self._extensions = Extensions()
        self._flag = b""  # of the extension header whose body comes next
        # A sparse file whose map is not complete (None if it is refused), and how much of its
        # content is still to come.
        self._pending: TarEntry | None = None
        self._map = sparse.SparseMap()
        self._left = 0
        self._sums = Sums()
        self._owners = Owners()
        self._times = Times()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the archive.  InvalidLayer if they cannot be read."""
        base, size = self._length, len(data)
        self._length = base + size
        if self._rest:
            lack = self._want - len(self._rest)
            self._rest += data[:lack]
            if size < lack:
                return
            unit = bytes(self._rest)
            self._rest.clear()
            self._unit(unit, 0, base + lack - self._want)
        while (at := self._next - base) < size:
            if at + self._want > size:
                self._rest += data[at:]
                return
            self._unit(data, at, base + at)

    def finish(self) -> int:
        """Say that this was all.  Return its length; InvalidLayer if it ends inside an entry."""
        unended = self._next < _NEVER and not self._zeros
        if self._length < self._needed or (
            unended and (any(self._rest) or self._extensions.are_pending())
        ):
            raise InvalidLayer(f"the layer is truncated: its tar ends after {self._length} bytes")
        return self._length

    # --- headers ---

    def _header(self, data: bytes | memoryview, at: int, offset: int) -> None:
        name, owners, size, mtime, check, flag, link, _, devices, prefix = _unpack(data, at)
        block = data[at : at + BLOCK]
        if adler32(block) & 0xFFFF != self._sums[check] and not self._is_header(
            bytes(block), offset
        ):
            return
        self._zeros = False
        if flag in FLAGS:
            self._begin_extension(flag, size, offset)
            return
        path = text(name)
        if prefix[0]:
            path = prefixed(path, bytes(block))
        link = text(link)
        records = _NOTHING
        if self._extensions.present:
            path, link, records = self._extensions.apply(path, link)
        kind = _KINDS.get(flag, _UNKNOWN)
        if flag == b"\0" and path.endswith(b"/"):
            kind = stat.S_IFDIR
        content = offset + BLOCK
        stored = self._stored(size, records, offset) if kind in _WITH_CONTENT else 0
        self._needed = content + stored
        self._next = content + stored + (-stored % BLOCK)
        if kind == _IGNORED:
            return
        try:
            mode, uid, gid = self._owners[owners]
            entry = TarEntry(
                clean(path), kind, mode, uid, gid, stored, self._times[mtime], 0, b"", content,
                stored,
            )  # fmt: skip
            if records:
                _amend(entry, records)
            if kind != stat.S_IFREG:
                _specify(entry, link, devices, flag)
        except ValueError as error:
            self._refuse(path, error)
            if kind == _SPARSE:
                self._begin_map(None, sparse.OldMap(bytes(block)), content, stored)
            return
        if kind == _SPARSE:
            self._begin_map(entry, sparse.OldMap(bytes(block)), content, stored)
        elif records and kind == stat.S_IFREG and (found := sparse.pax_map(records)):
            self._begin_map(entry, found, content, stored)
        else:
            self._entry(entry)

    def _is_header(self, block: bytes, offset: int) -> bool:
        """What a block is whose checksum, taken the usual way, is wrong."""
        if block == ZEROS:
            self._next = _NEVER if self._zeros else offset + BLOCK
            self._zeros = True
            return False
        if is_signed(block):
            return True
        if self._zeros:  # GNU tar and tarfile end at one block of zeros, too
            self._next = _NEVER
            return False
        what = f"no tar header at byte {offset}" if offset else "no tar archive"
        raise InvalidLayer(f"the layer is damaged: {what}")

    def _stored(self, field: bytes, records: pax.Records, offset: int) -> int:
        try:
            value = records.get(pax.SIZE)
            size = pax.decimal(value) if value else number(field)
        except ValueError:
            size = -1
        if not 0 <= size < _SIZE_LIMIT:
            raise InvalidLayer(f"the layer is damaged: no size in the tar header at byte {offset}")
        return size

    def _refuse(self, path: bytes, error: ValueError) -> None:
        self._refused(Refusal(path[:_REFUSED_PATH_LIMIT], str(error)))

    def _begin_extension(self, flag: bytes, field: bytes, offset: int) -> None:
        size = self._stored(field, _NOTHING, offset)
        if size > Extensions.limit(flag):
            raise InvalidLayer(f"the layer has a tar header of {size} bytes at byte {offset}")
        self._next = offset + BLOCK
        self._needed = self._next + size
        self._flag = flag
        if size:
            self._want = size
            self._unit = self._extension
        else:
            self._extension(b"", 0, self._next)

    def _extension(self, data: bytes | memoryview, at: int, offset: int) -> None:
        size = self._needed - offset
        self._next = self._needed + (-size % BLOCK)
        self._want = BLOCK
        self._unit = self._header
        try:
            self._extensions.take(self._flag, bytes(data[at : at + size]))
        except ValueError as error:
            raise InvalidLayer(
                f"the layer is damaged: the PAX header at byte {offset} {error}"
            ) from None

    # --- sparse files ---

    def _begin_map(
        self, entry: TarEntry | None, found: sparse.SparseMap, content: int, stored: int
    ) -> None:
        self._pending, self._map, self._left = entry, found, stored
        self._read_map(content)

    def _read_map(self, content: int) -> None:
        """Go on at *content*: with the next block of the map, or with what follows it."""
        found, left = self._map, self._left
        if not found.complete and left >= found.counted:
            self._unit = self._map_block
            self._next = content
            self._needed = content + BLOCK - found.counted + left
            return
        self._unit = self._header
        self._needed = content + left
        self._next = content + left + (-left % BLOCK)
        entry, self._pending = self._pending, None
        if entry is None:
            return
        try:
            entry.sparse = found.pieces(left)
        except ValueError as error:
            self._refuse(entry.path, error)
            return
        entry.kind, entry.size, entry.stored, entry.offset = (
            stat.S_IFREG, found.size, left, content,
        )  # fmt: skip
        self._entry(entry)

    def _map_block(self, data: bytes | memoryview, at: int, offset: int) -> None:
        self._left -= self._map.counted
        self._map.add(bytes(data[at : at + BLOCK]))
        self._read_map(offset + BLOCK)


def _amend(entry: TarEntry, records: pax.Records) -> None:
    """Set what PAX records say; ValueError, with the reason, if they make no sense."""
    if b"\0" in entry.path:
        raise ValueError("has a NUL in its name")
    if value := records.get(pax.UID):
        entry.uid = owner(pax.decimal(value))
    if value := records.get(pax.GID):
        entry.gid = owner(pax.decimal(value))
    if value := records.get(pax.MTIME):
        entry.mtime_ns = pax.nanoseconds(value)
    entry.xattrs = pax.xattrs(records)


def _specify(entry: TarEntry, link: bytes, devices: bytes, flag: bytes) -> None:
    """Set what is not a regular file's; ValueError, with the reason, if it makes no sense."""
    kind = entry.kind
    if kind == stat.S_IFLNK:
        if not link or len(link) > PATH_LIMIT or b"\0" in link:
            raise ValueError(f"is a symbolic link to {quote(link)}")
        entry.linkname = link
    elif kind == HARDLINK:
        if b"\0" in link:
            raise ValueError("is a link to a name with a NUL")
        try:
            entry.linkname = clean(link)
        except ValueError as error:
            raise ValueError(f"is a link to a path that {error}") from None
    elif kind in _DEVICES:
        entry.rdev = os.makedev(*device(devices))
    elif kind == _UNKNOWN:
        raise ValueError(f"is of the unknown type {quote(flag)}")
