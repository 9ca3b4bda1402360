"""What the entries of a layer's tar mean, one after the other (image-spec, layer.md).

Each entry meets the state that the entries before it have made: the last of a path wins, a hard
link is to what its target is at that moment, a directory over a directory changes its attributes
only, and everything else removes what was there.  Whiteouts are kept as files under their own
names; they speak of lower layers and remove nothing here.  What cannot be shown is refused with a
reason, and the rest of the layer is.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, BinaryIO

from rossfs.errors import InvalidLayer
from rossfs.image import rare, whiteout
from rossfs.image.entrytree import MAX_HEAP, ROOT, TEXT, EntryTree, Way
from rossfs.image.lowerlinks import LowerLink, settle
from rossfs.image.record import IMPLIED, LOWER_LINK, OPAQUE, SPARSE, WHITEOUT, XATTRS
from rossfs.image.tarscan import HARDLINK, Refusal
from rossfs.image.tocwriter import Records, Table

if TYPE_CHECKING:
    from rossfs.image.tarscan import TarEntry
    from rossfs.oci.digest import Digest

REFUSALS_KEPT = 100

_DROPPED_XATTRS = (b"trusted.overlay.", b"user.overlay.")
"""An overlay filesystem above would obey them (Documentation/filesystems/overlayfs.rst)."""

_PATHS_KEPT = 1024
_RARE_KEPT = 4096


class TocBuilder:
    """Takes the entries of a layer in the order of its tar, and writes the table of the layer."""

    def __init__(self) -> None:
        self._tree = EntryTree()
        self._lower: dict[int, LowerLink] = {}  # by inode
        self._rare: list[bytes] = []
        self._rare_size = 0
        self._rare_numbers: dict[bytes, int] = {}
        self._refusals: list[Refusal] = []
        self._refused = 0
        self._ways: dict[bytes, int] = {}  # directories by path, ~number if a symlink was followed
        self._parent_path: bytes | None = None  # of the last entry
        self._parent = ROOT
        self._table: Table | None = None

    def refuse(self, refusal: Refusal) -> None:
        """Note an entry that is not shown; the first 100 are kept."""
        self._refused += 1
        if len(self._refusals) < REFUSALS_KEPT:
            self._refusals.append(refusal)

    def add(self, entry: TarEntry) -> None:
        """Take the next entry; raises InvalidLayer if the layer is over a limit."""
        parent_path, _, name = entry.path.rpartition(b"/")
        if not name:
            self._set_root(entry)
            return
        if name.startswith(whiteout.PREFIX):
            self._add_whiteout(entry, parent_path, name)
            return
        if parent_path != self._parent_path:
            parent = self._find(parent_path)
            if parent is None:
                way = self._tree.walk(parent_path)
                if way.obstacle:
                    self.refuse(Refusal(entry.path, way.obstacle))
                    return
                parent = self._make(parent_path, way)
            self._parent_path = parent_path
            self._parent = parent
        else:
            parent = self._parent
        kind = entry.kind
        tree = self._tree
        if kind == stat.S_IFREG:
            inode = tree.add(
                stat.S_IFREG | entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size,
                entry.offset,
            )  # fmt: skip
        elif kind == stat.S_IFDIR:
            self._add_directory(entry, parent, name)
            return
        elif kind == HARDLINK:
            self._add_link(entry, parent, name)
            return
        elif kind == stat.S_IFLNK:
            text = entry.linkname
            inode = tree.add(
                stat.S_IFLNK | entry.mode, entry.uid, entry.gid, entry.mtime_ns, len(text),
                tree.store(text),
            )  # fmt: skip
            tree.flags[inode] = TEXT
        elif kind == stat.S_IFCHR and not entry.rdev:
            self.refuse(Refusal(entry.path, "is the device 0, 0, which is a whiteout to overlayfs"))
            return
        else:
            inode = tree.add(kind | entry.mode, entry.uid, entry.gid, entry.mtime_ns, 0, entry.rdev)
        if entry.xattrs or entry.sparse is not None:
            self._set_rare(entry, inode)
        self._put(parent, name, inode)

    def write(self, file: BinaryIO, *, digest: Digest, diff_id: Digest, length: int) -> None:
        """Write the whole table: of the layer *digest*, *length* bytes long when uncompressed.

        After it nothing can be added; it may be called again, for another file.
        """
        if self._table is None:
            for link in settle(self._tree, self._lower):
                self.refuse(Refusal(link.path, "is a hard link to a directory"))
            refusals = [(refusal.path, refusal.reason) for refusal in self._refusals]
            records = Records(self._tree, self._lower)
            self._table = Table(records, self._rare, [self._refused, refusals])
        self._table.write(file, digest, diff_id, length)

    # --- where an entry goes ---

    def _find(self, path: bytes) -> int | None:
        found = self._ways.get(path)
        return None if found is None else max(found, ~found)

    def _make(self, path: bytes, way: Way) -> int:
        directory = self._tree.make(way)
        if len(self._ways) >= _PATHS_KEPT:
            self._ways.clear()
        self._ways[path] = ~directory if way.followed else directory
        return directory

    def _put(self, parent: int, name: bytes, inode: int) -> None:
        """Call *inode* *name*; what was there goes, with everything below it."""
        tree = self._tree
        names = tree.children.get(parent)
        if names is None:
            tree.children[parent] = {name: inode}
            return
        if name in names:
            self._remove(names[name])
        names[name] = inode

    def _remove(self, inode: int) -> None:
        """An inode loses its name: paths that lead over it do so no more."""
        if inode in self._tree.parents:
            self._tree.remove_below(inode)
        elif self._tree.text(inode) is None:
            return
        self._ways.clear()
        self._parent_path = None

    # --- kinds of entries ---

    def _set_root(self, entry: TarEntry) -> None:
        if entry.kind == stat.S_IFDIR:
            self._set_directory(entry, ROOT)
        else:
            self.refuse(Refusal(entry.path, "is the root, but no directory"))

    def _add_directory(self, entry: TarEntry, parent: int, name: bytes) -> None:
        tree = self._tree
        old = tree.child(parent, name)
        if old is None or old not in tree.parents:
            inode = tree.add(0, 0, 0, 0, 0, 0)
            # What stood here before it hid a directory of lower layers for good.
            tree.flags[inode] = OPAQUE if old is not None else 0
            self._put(parent, name, inode)
            tree.parents[inode] = parent
        else:
            inode = old
        self._set_directory(entry, inode)

    def _set_directory(self, entry: TarEntry, inode: int) -> None:
        """Replace the attributes of a directory."""
        tree = self._tree
        tree.set(inode, stat.S_IFDIR | entry.mode, entry.uid, entry.gid, entry.mtime_ns)
        tree.flags[inode] &= ~(IMPLIED | XATTRS) & 0xFF
        tree.rare[inode] = 0
        if entry.xattrs:
            self._set_rare(entry, inode)

    def _add_whiteout(self, entry: TarEntry, parent_path: bytes, name: bytes) -> None:
        if name == whiteout.PREFIX:
            self.refuse(Refusal(entry.path, "is a whiteout of no name"))
            return
        if name.startswith(whiteout.RESERVED) and name != whiteout.OPAQUE:
            self.refuse(Refusal(entry.path, "is a marker of AUFS, which means nothing in an image"))
            return
        way = self._tree.walk(parent_path)
        if way.obstacle:
            self.refuse(Refusal(entry.path, way.obstacle))
            return
        if way.followed:
            return  # void: what it names is hidden by the symlink already
        parent = self._tree.make(way)
        inode = self._tree.add(
            stat.S_IFREG | entry.mode, entry.uid, entry.gid, entry.mtime_ns, 0, 0
        )
        self._tree.flags[inode] = WHITEOUT
        if name == whiteout.OPAQUE:
            self._tree.flags[parent] |= OPAQUE
        self._put(parent, name, inode)

    def _add_link(self, entry: TarEntry, parent: int, name: bytes) -> None:
        tree = self._tree
        directory, _, last = entry.linkname.rpartition(b"/")
        way = tree.walk(directory)
        if way.obstacle:
            self.refuse(Refusal(entry.path, f"is a hard link to what {way.obstacle}"))
            return
        inode = None if way.missing else tree.child(way.directory, last)
        if not last or inode in tree.parents:
            self.refuse(Refusal(entry.path, "is a hard link to a directory"))
            return
        if last.startswith(whiteout.PREFIX):
            self.refuse(Refusal(entry.path, "is a hard link to a whiteout"))
            return
        if not way.missing and (way.directory, last) == (parent, name):
            self.refuse(Refusal(entry.path, "is a hard link to itself"))
            return
        old = tree.child(parent, name)
        if old in tree.parents and tree.is_below(way.directory, old):
            self.refuse(Refusal(entry.path, "is a hard link to what it replaces"))
            return
        if inode is None:
            inode = tree.add(
                stat.S_IFREG | entry.mode, entry.uid, entry.gid, entry.mtime_ns, 0,
                tree.store(entry.linkname),
            )  # fmt: skip
            tree.flags[inode] = TEXT | LOWER_LINK
            self._lower[inode] = LowerLink(entry.path, entry.linkname)
        else:
            tree.linked.add(inode)
        self._put(parent, name, inode)

    def _set_rare(self, entry: TarEntry, inode: int) -> None:
        xattrs = {
            name: value
            for name, value in (entry.xattrs or {}).items()
            if not name.startswith(_DROPPED_XATTRS)
        }
        if not xattrs and entry.sparse is None:
            return
        thing = rare.pack(xattrs, entry.sparse)
        number = self._rare_numbers.get(thing)
        if number is None:
            self._rare_size += len(thing)
            if self._rare_size > MAX_HEAP:
                raise InvalidLayer(f"the layer has more than {MAX_HEAP} bytes of attributes")
            self._rare.append(thing)
            number = len(self._rare)
            if len(self._rare_numbers) >= _RARE_KEPT:
                self._rare_numbers.clear()
            self._rare_numbers[thing] = number
        self._tree.rare[inode] = number
        self._tree.flags[inode] |= (XATTRS if xattrs else 0) | (
            SPARSE if entry.sparse is not None else 0
        )
