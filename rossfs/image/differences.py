"""How the files of two images differ.

What comes from the same record of the same layer is the same, and so is a directory that the same
directories of layers make: then nothing below it is looked at.  Only files that have the same size
and may be different are read.

Not compared: the names of what is hard-linked to what, and times unless they are asked for, since
another build of the same files has other times.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rossfs.image.layer import Layer
from rossfs.image.merged import Merged, Place
from rossfs.image.opened import OpenedImage
from rossfs.image.record import LOWER_LINK, RECORD_SIZE, Record
from rossfs.image.walk import Item, PairWalk
from rossfs.oci.digest import Digest

PIECE = 1 << 20
"""Bytes that are read of a file at a time."""

_FLAGS = 56 // 4
"""Where the flags of a record are, in words of four bytes."""


class Side(NamedTuple):
    """What a path is in one of the images."""

    record: Record
    """Of the file, or of the directory that gives the attributes."""
    place: Place
    layer: Layer | None
    """None for the root directory of an image that has no layers."""

    @property
    def target(self) -> bytes | None:
        """The text of a symbolic link; None for anything else."""
        if self.layer is None or not stat.S_ISLNK(self.record.mode):
            return None
        return self.layer.toc.symlink_text(self.place.index)

    @property
    def rdev(self) -> int | None:
        """The number of a device; None for anything else."""
        mode = self.record.mode
        if self.layer is None or not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            return None
        return self.layer.toc.rdev(self.place.index)

    @property
    def xattrs(self) -> Mapping[bytes, bytes]:
        """The extended attributes."""
        if self.layer is None or not self.record.rare:
            return {}
        return self.layer.toc.xattrs(self.place.index)

    @property
    def sparse(self) -> Sequence[tuple[int, int]] | None:
        """Where a sparse file has bytes; None for what is not sparse."""
        return None if self.layer is None else self.layer.toc.sparse(self.place.index)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of a regular file, as `Layer.read`."""
        assert self.layer is not None, "a file is in a layer"
        return self.layer.read(self.place.index, offset, length)

    def is_same(self, other: Side) -> bool:
        """Whether both are one record of one layer."""
        if self.layer is None or other.layer is None:
            return self.layer is other.layer
        same = self.layer.digest == other.layer.digest
        return same and self.place.index == other.place.index


class Difference(NamedTuple):
    """A path that is not the same in both images."""

    path: bytes
    """Without "/" at its beginning; empty for the root."""
    old: Side | None
    """None: it is added."""
    new: Side | None
    """None: it is removed."""
    what: tuple[str, ...] = ()
    """If it is in both, some of: type, mode, owner, size, content, target, device, xattrs, time."""


def side_of(image: OpenedImage, item: Item) -> Side:
    """What *item* of the root filesystem of *image* is."""
    place = item.owner if isinstance(item, Merged) else item
    layer = image.layers[place.position] if image.layers else None
    return Side(image.rootfs.record(place), place, layer)


def differences(old: OpenedImage, new: OpenedImage, *, times: bool = False) -> Iterator[Difference]:
    """Everything that differs, by path.  Reads files as it goes: Damaged, InvalidLayer."""
    both = _Both(old, new)
    walk = PairWalk(old.rootfs, new.rootfs)
    for path, before, after in walk:
        if before is None:
            assert after is not None
            yield Difference(path, None, side_of(new, after))
        elif after is None:
            yield Difference(path, side_of(old, before), None)
        elif isinstance(before, Merged) and isinstance(after, Merged) and both.same(before, after):
            walk.skip()
        else:
            left, right = side_of(old, before), side_of(new, after)
            what = tuple(_what(left, right, times=times))
            if what:
                yield Difference(path, left, right, what)


class _Both:
    """Two images, and which of their layers always mean the same, whatever is below them."""

    def __init__(self, old: OpenedImage, new: OpenedImage) -> None:
        self._old = old
        self._new = new
        self._alone: dict[Digest, bool] = {}

    def same(self, old: Merged, new: Merged) -> bool:
        """Whether both directories are made of the same directories of layers, so that they are
        the same with everything that is in them."""
        if len(old.parts) != len(new.parts) or not old.parts:
            return False
        for (left, index), (right, other) in zip(old.parts, new.parts, strict=True):
            layer = self._old.layers[left]
            if index != other or layer.digest != self._new.layers[right].digest:
                return False
            if not self._stands_alone(layer):
                return False
        return self._same_owner(old.owner, new.owner)

    def _same_owner(self, old: Place, new: Place) -> bool:
        left, right = self._old.layers[old.position], self._new.layers[new.position]
        return left.digest == right.digest and old.index == new.index

    def _stands_alone(self, layer: Layer) -> bool:
        """Whether nothing in *layer* depends on the layers below: no hard link into them, no
        directory that could follow one of their symbolic links."""
        known = self._alone.get(layer.digest)
        if known is None:
            toc = layer.toc
            known = not any(toc.implied)
            if known:
                records = memoryview(toc.buffer)[toc.records_offset :][: toc.count * RECORD_SIZE]
                flags = records.cast("I")[_FLAGS :: RECORD_SIZE // 4]
                known = not any(each & LOWER_LINK for each in flags)
            self._alone[layer.digest] = known
        return known


def _what(old: Side, new: Side, *, times: bool) -> Iterator[str]:
    if old.is_same(new):
        return
    left, right = old.record, new.record
    same_type = stat.S_IFMT(left.mode) == stat.S_IFMT(right.mode)
    if not same_type:
        yield "type"
    # The permissions of a symbolic link mean nothing.
    is_link = stat.S_ISLNK(left.mode) or stat.S_ISLNK(right.mode)
    if not is_link and stat.S_IMODE(left.mode) != stat.S_IMODE(right.mode):
        yield "mode"
    if (left.uid, left.gid) != (right.uid, right.gid):
        yield "owner"
    if same_type:
        if stat.S_ISREG(left.mode):
            if left.size != right.size:
                yield "size"
            elif not same_content(old, new):
                yield "content"
        if old.target != new.target:
            yield "target"
        if old.rdev != new.rdev:
            yield "device"
    if old.xattrs != new.xattrs:
        yield "xattrs"
    if times and left.mtime_ns != right.mtime_ns:
        yield "time"


def same_content(old: Side, new: Side) -> bool:
    """Whether two regular files of one size hold the same bytes."""
    size = old.record.size
    for begin, end in _stored(old, new):
        for offset in range(begin, min(end, size), PIECE):
            length = min(PIECE, end - offset, size - offset)
            if old.read(offset, length) != new.read(offset, length):
                return False
    return True


def _stored(old: Side, new: Side) -> Iterator[tuple[int, int]]:
    """The ranges that are not holes in both."""
    pieces = [old.sparse, new.sparse]
    if any(each is None for each in pieces):
        yield 0, old.record.size
        return
    done = 0
    for offset, length in sorted(piece for each in pieces if each is not None for piece in each):
        begin = max(offset, done)
        if begin < offset + length:
            yield begin, offset + length
            done = offset + length
