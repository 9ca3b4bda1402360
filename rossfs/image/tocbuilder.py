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
from rossfs.image.lowerlinks import settle
from rossfs.image.record import LOWER_LINK, OPAQUE, SPARSE, WHITEOUT, XATTRS
from rossfs.image.tarscan import HARDLINK, Refusal
from rossfs.image.tocwriter import Records, Table

if TYPE_CHECKING:
    from rossfs.image.tarscan import TarEntry
    from rossfs.oci.digest import Digest

REFUSALS_KEPT = 100

_DROPPED_XATTRS = (b"trusted.overlay.", b"user.overlay.")
"""An overlay filesystem above would obey them (Documentation/filesystems/overlayfs.rst)."""

_PATHS_KEPT, _PATH_KEPT = 1024, 4096
"""How many paths of directories are remembered, and how long they may be."""
_RARE_KEPT = 4096
"""How many rare things are remembered: a layer may have one label on a million files."""


class TocBuilder:
    """Takes the entries of a layer in the order of its tar, and writes the table of the layer."""

    def __init__(self) -> None:
        self._tree = EntryTree()
        self._lower: dict[int, bytes] = {}  # targets of inodes that are links to lower layers
        self._rare: list[bytes] = []
        self._rare_size = 0
        self._rare_numbers: dict[bytes, int] = {}
        self._refusals: list[Refusal] = []
        self._refused = 0
        self._directories: dict[bytes, int] = {}  # by path, as long as no directory or symlink goes
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
        path, _, name = entry.path.rpartition(b"/")
        kind = entry.kind
        if not name:
            self._add_root(entry)
            return
        if name.startswith(whiteout.PREFIX):
            self._add_whiteout(entry, path, name)
            return
        if kind == stat.S_IFCHR and not entry.rdev:
            self.refuse(Refusal(entry.path, "is the device 0, 0, which is a whiteout to overlayfs"))
            return
        if path != self._parent_path and not self._enter(entry, path):
            return
        parent = self._parent
        if kind == stat.S_IFDIR:
            self._add_directory(entry, parent, name)
            return
        if kind == HARDLINK:
            self._add_link(entry, parent, name)
            return
        tree = self._tree
        if kind == stat.S_IFREG:
            size, data = entry.size, entry.offset
        elif kind == stat.S_IFLNK:
            size, data = len(entry.linkname), tree.store(entry.linkname)
        else:
            size, data = 0, entry.rdev
        mode = kind | (0o777 if kind == stat.S_IFLNK else entry.mode)  # symlink(7)
        inode = tree.add(mode, entry.uid, entry.gid, entry.mtime_ns, size, data)
        if kind == stat.S_IFLNK:
            tree.flags[inode] = TEXT
        if entry.xattrs or entry.sparse is not None:
            self._set_rare(entry, inode)
        self._put(parent, name, inode)

    def write(self, file: BinaryIO, *, digest: Digest, diff_id: Digest, length: int) -> None:
        """Write the whole table: of the layer *digest*, *length* bytes long when uncompressed.

        After it nothing can be added; it may be called again, for another file.  Raises
        InvalidLayer if the layer is over a limit.
        """
        if self._table is None:
            later = settle(self._tree, self._lower)
            refusals = [(refusal.path, refusal.reason) for refusal in self._refusals]
            records = Records(self._tree, self._lower, later)
            self._table = Table(records, self._rare, [self._refused, refusals])
        self._table.write(file, digest, diff_id, length)

    # --- where an entry goes ---

    def _enter(self, entry: TarEntry, path: bytes) -> bool:
        """Make the directory at *path* the parent; False if there is none: *entry* is refused."""
        directory = self._directories.get(path)
        if directory is None:
            way = self._tree.walk(path)
            if way.obstacle:
                self.refuse(Refusal(entry.path, way.obstacle))
                return False
            directory = self._tree.make(way)
            if way.guessed:
                self._parent_path, self._parent = None, directory
                return True
            if len(self._directories) >= _PATHS_KEPT:
                self._directories.clear()
            if len(path) <= _PATH_KEPT:
                self._directories[path] = directory
        self._parent_path, self._parent = path, directory
        return True

    def _put(self, parent: int, name: bytes, inode: int) -> None:
        """Call *inode* *name*; what was there goes, with everything below it."""
        tree = self._tree
        if parent in tree.void:
            tree.fill(parent)
        names = tree.children.get(parent)
        if names is None:
            tree.children[parent] = {name: inode}
            return
        if name in names:
            self._remove(names[name])
        names[name] = inode

    def _remove(self, inode: int) -> None:
        """An inode loses a name: no path leads over it any more."""
        if inode in self._tree.parents:
            self._tree.remove_below(inode)
        elif self._tree.text(inode) is None:
            return
        self._directories.clear()
        self._parent_path = None

    # --- kinds of entries ---

    def _add_root(self, entry: TarEntry) -> None:
        if entry.kind == stat.S_IFDIR:
            self._set_directory(entry, ROOT)
        else:
            self.refuse(Refusal(entry.path, "is the root, but no directory"))

    def _add_directory(self, entry: TarEntry, parent: int, name: bytes) -> None:
        tree = self._tree
        inode = tree.child(parent, name)
        if inode is None or inode not in tree.parents:
            # What stood here before this directory removed what lower layers have here.
            flags = 0 if inode is None else OPAQUE
            inode = tree.add(0, 0, 0, 0, 0, 0)
            tree.flags[inode] = flags
            self._put(parent, name, inode)
            tree.parents[inode] = parent
        tree.fill(inode)
        self._set_directory(entry, inode)

    def _set_directory(self, entry: TarEntry, inode: int) -> None:
        """Replace the attributes of a directory."""
        tree = self._tree
        tree.set(inode, stat.S_IFDIR | entry.mode, entry.uid, entry.gid, entry.mtime_ns)
        tree.flags[inode] &= OPAQUE
        tree.rare[inode] = 0
        if entry.xattrs:
            self._set_rare(entry, inode)

    def _add_whiteout(self, entry: TarEntry, path: bytes, name: bytes) -> None:
        if name == whiteout.PREFIX:
            self.refuse(Refusal(entry.path, "is a whiteout of no name"))
            return
        if name.startswith(whiteout.RESERVED) and name != whiteout.OPAQUE:
            self.refuse(Refusal(entry.path, "is a marker of AUFS, which means nothing in an image"))
            return
        tree = self._tree
        way = tree.walk(path)
        if way.obstacle:
            self.refuse(Refusal(entry.path, way.obstacle))
            return
        if way.followed:
            return  # void: the symlink hides what lower layers have there
        parent = tree.make(way)
        mode = stat.S_IFREG | entry.mode
        inode = tree.add(mode, entry.uid, entry.gid, entry.mtime_ns, 0, 0)
        tree.flags[inode] = WHITEOUT
        if name == whiteout.OPAQUE:
            tree.flags[parent] |= OPAQUE
        tree.put(parent, name, inode)

    def _add_link(self, entry: TarEntry, parent: int, name: bytes) -> None:
        tree = self._tree
        directory, _, last = entry.linkname.rpartition(b"/")
        way = tree.walk(directory)
        inode = None if way.missing or way.obstacle else tree.child(way.directory, last)
        if inode in tree.void and not tree.is_below(parent, inode):
            inode = None  # whiteouts make no directory of a lower layer's file
        flaw = self._flaw_of_link(way, last, inode, parent, name)
        if flaw:
            self.refuse(Refusal(entry.path, f"is a hard link to {flaw}"))
            return
        if inode is None:
            target = b"/".join([*way.names, last])
            mode, data = stat.S_IFREG | entry.mode, tree.store(target)
            inode = tree.add(mode, entry.uid, entry.gid, entry.mtime_ns, 0, data)
            tree.flags[inode] = TEXT | LOWER_LINK
            self._lower[inode] = target
        else:
            tree.linked.add(inode)
        self._put(parent, name, inode)

    def _flaw_of_link(
        self, way: Way, last: bytes, inode: int | None, parent: int, name: bytes
    ) -> str:
        """What is wrong with the hard link *name* to *last*, called *inode*, at the end of *way*;
        empty if nothing is."""
        tree = self._tree
        if way.obstacle:
            return f"what {way.obstacle}"
        if not last or inode in tree.parents:
            return "a directory"
        if last.startswith(whiteout.PREFIX):
            return "a whiteout"
        if not way.missing and (way.directory, last) == (parent, name):
            return "itself"
        old = tree.child(parent, name)
        if old in tree.parents and tree.is_below(way.directory, old):
            return "what it replaces"
        return ""

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
            number = self._keep_rare(thing)
        tree = self._tree
        tree.rare[inode] = number
        tree.flags[inode] |= XATTRS if xattrs else 0
        tree.flags[inode] |= SPARSE if entry.sparse is not None else 0

    def _keep_rare(self, thing: bytes) -> int:
        self._rare_size += len(thing)
        if self._rare_size > MAX_HEAP:
            raise InvalidLayer(f"the layer has more than {MAX_HEAP} bytes of extended attributes")
        self._rare.append(thing)
        if len(self._rare_numbers) >= _RARE_KEPT:
            self._rare_numbers.clear()
        number = self._rare_numbers[thing] = len(self._rare)
        return number
