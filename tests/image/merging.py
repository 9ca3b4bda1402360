"""Root filesystems of layers made for a test, and what umoci makes of the same layers."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rossfs.image.merged import Merged, Place
from rossfs.image.rootfs import Rootfs
from rossfs.image.tarscan import TarScanner
from rossfs.image.toc import Toc
from rossfs.image.tocbuilder import TocBuilder
from tests.builders import digest_of
from tests.layers import Layer, image_of
from tests.treecompare import Picture

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
}
"""Types in the words of treecompare."""


class Tabled:
    """A layer with its table of contents."""

    def __init__(self, layer: Layer) -> None:
        self.tar = layer.closed()
        builder = TocBuilder()
        scanner = TarScanner(builder.add, builder.refuse)
        scanner.feed(self.tar)
        length = scanner.finish()
        descriptor = os.memfd_create("toc")
        with open(descriptor, "w+b") as file:
            digest = digest_of(self.tar)
            builder.write(file, digest=digest, diff_id=digest, length=length)
            file.flush()
            self.toc = Toc.from_fd(descriptor)

    def content(self, index: int) -> bytes:
        """What the file *index* holds; it is not sparse."""
        record = self.toc.record(index)
        return self.tar[record.data : record.data + record.size]


def rootfs_of(*layers: Layer) -> Rootfs:
    """The root filesystem of *layers*, the lowest first."""
    return Rootfs([Tabled(layer) for layer in layers])


def picture(rootfs: Rootfs) -> Picture:
    """Everything that a root filesystem shows, as treecompare has it of a tree on disk.

    On the way: what is listed can be looked up and is the same, names come once and in order, a
    directory is found again by its key, and its parent is the one that it was found in.
    """
    found: Picture = {b"": _properties(rootfs, rootfs.root)}
    groups: dict[Place, list[bytes]] = {}
    pending = [(b"", rootfs.root)]
    keys = {rootfs.root.key}
    while pending:
        path, directory = pending.pop()
        entries = rootfs.entries(directory)
        names = [entries[number][0] for number in range(len(entries))]
        assert names == sorted(set(names))
        for name, item in entries:
            below = path + b"/" + name if path else name
            again = rootfs.lookup(directory, name)
            found[below] = _properties(rootfs, item)
            if isinstance(item, Merged):
                assert isinstance(again, Merged)
                assert _same(item, again)
                assert item.key not in keys
                keys.add(item.key)
                remade = rootfs.directory(item.key)
                assert remade is not None
                assert _same(remade, item)
                assert rootfs.parent(item).key == directory.key
                assert rootfs.name(item) == name
                pending.append((below, item))
            else:
                assert again == item
                groups.setdefault(item, []).append(below)
    for paths in groups.values():
        if len(paths) > 1:
            for path in paths:
                found[path]["links"] = tuple(sorted(paths))
    return found


def _same(one: Merged, other: Merged) -> bool:
    mine, theirs = ((each.parts, each.owner, each.key, each.markers) for each in (one, other))
    return mine == theirs


def _properties(rootfs: Rootfs, item: Merged | Place) -> dict[str, object]:
    place = item.owner if isinstance(item, Merged) else item
    record = rootfs.record(place)
    kind = stat.S_IFMT(record.mode)
    known: dict[str, object] = {
        "type": KINDS[kind],
        "mode": oct(stat.S_IMODE(record.mode)),
        "owner": (record.uid, record.gid),
        "mtime": record.mtime_ns,
    }
    if not rootfs.layers:
        return known
    layer = rootfs.layer_of(place)
    assert isinstance(layer, Tabled)
    if kind == stat.S_IFREG:
        known["size"] = record.size
        known["content"] = hashlib.sha256(layer.content(place.index)).hexdigest()
    elif kind == stat.S_IFLNK:
        known["size"] = record.size
        known["target"] = layer.toc.symlink_text(place.index)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        known["device"] = (os.major(record.data), os.minor(record.data))
    for name, value in layer.toc.xattrs(place.index).items():
        known[f"xattr {os.fsdecode(name)}"] = value
    return known


def paths(rootfs: Rootfs) -> set[str]:
    """The paths of everything but the root."""
    return {os.fsdecode(path) for path in picture(rootfs) if path}


def unpack(top: Path, layers: Sequence[Layer]) -> Path | None:
    """The root filesystem that umoci makes of *layers* in the empty directory *top*; None where it
    refuses to."""
    layout = image_of(*layers, packing="plain").write_layout(top / "layout")
    done = subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:latest", top / "bundle"],
        umask=0o022,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return top / "bundle/rootfs" if done.returncode == 0 else None
