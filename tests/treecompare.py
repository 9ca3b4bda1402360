"""Two directory trees compared, entry by entry: python -m tests.treecompare LEFT RIGHT

Compared are paths, types, permissions, owners, sizes, content, targets of links, which paths are
hard links of one another, extended attributes, device numbers and times of modification in
nanoseconds.  Not compared is what a filesystem decides by itself: inode numbers, link counts, sizes
of directories, and the other times.

Names are bytes, and a path may be of any length: every step is taken from an open directory (so no
tree may be deeper than there are descriptors).  Needs the standard library only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

ABSENT = "absent"
"""What stands for an entry or an attribute that one of the trees lacks."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}

Picture = dict[bytes, dict[str, object]]
"""What there is under each path (relative, b"" for the top): property to value."""


class Difference(NamedTuple):
    """One property in which the trees differ."""

    path: bytes
    what: str
    """"presence", "type", "mode", "owner", "size", "content", "target", "device", "links", "mtime",
    or "xattr NAME"."""
    left: object
    right: object

    def __str__(self) -> str:
        return f"{self.path!r}: {self.what}: {self.left!r} | {self.right!r}"


class Known(NamedTuple):
    """A kind of difference that is expected, and why."""

    reason: str
    covers: Callable[[Difference], bool]


def compare(left: os.PathLike[str] | str, right: os.PathLike[str] | str) -> Iterator[Difference]:
    """Yield every difference between two trees, in the order of paths."""
    one, other = picture(left), picture(right)
    for path in sorted(one.keys() | other.keys()):
        if path not in one or path not in other:
            kinds = (one.get(path) or {}).get("type", ABSENT), (other.get(path) or {}).get("type")
            yield Difference(path, "presence", kinds[0], kinds[1] or ABSENT)
            continue
        mine, theirs = one[path], other[path]
        for what in sorted(mine.keys() | theirs.keys()):
            if mine.get(what, ABSENT) != theirs.get(what, ABSENT):
                yield Difference(path, what, mine.get(what, ABSENT), theirs.get(what, ABSENT))


def unexpected(differences: Iterable[Difference], exceptions: Iterable[Known]) -> list[Difference]:
    """Those of *differences* that none of *exceptions* covers."""
    known = tuple(exceptions)
    return [each for each in differences if not any(one.covers(each) for one in known)]


def picture(top: os.PathLike[str] | str) -> Picture:
    """Everything that can be known of a tree and of its top."""
    found: Picture = {}
    groups: dict[tuple[int, int], list[bytes]] = {}
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found[b""] = _properties(os.fstat(descriptor), descriptor, b".")
        pending: list[tuple[bytes, list[bytes]]] = [(b"", _names(descriptor))]
        chain = [descriptor]
        while pending:
            path, names = pending[-1]
            if not names:
                pending.pop()
                if len(chain) > 1:
                    os.close(chain.pop())
                continue
            name = names.pop()
            below = path + b"/" + name if path else name
            status = os.lstat(name, dir_fd=chain[-1])
            found[below] = _properties(status, chain[-1], name)
            if stat.S_ISDIR(status.st_mode):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                chain.append(os.open(name, flags, dir_fd=chain[-1]))
                pending.append((below, _names(chain[-1])))
            else:  # whatever the link count says
                groups.setdefault((status.st_dev, status.st_ino), []).append(below)
        while len(chain) > 1:
            os.close(chain.pop())
    finally:
        os.close(descriptor)
    for paths in groups.values():
        if len(paths) > 1:
            for path in paths:
                found[path]["links"] = tuple(sorted(paths))
    return found


def _names(directory: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(directory)]


def _properties(status: os.stat_result, directory: int, name: bytes) -> dict[str, object]:
    kind = stat.S_IFMT(status.st_mode)
    known: dict[str, object] = {
        "type": _KINDS.get(kind, oct(kind)),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": (status.st_uid, status.st_gid),
        "mtime": status.st_mtime_ns,
    }
    if kind == stat.S_IFREG:
        known["size"] = status.st_size
        known["content"] = _hash(directory, name)
    elif kind == stat.S_IFLNK:
        known["size"] = status.st_size
        known["target"] = os.readlink(name, dir_fd=directory)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        known["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    # No call for attributes takes a descriptor of a directory and a name.
    place = b"/proc/self/fd/%d/%b" % (directory, name)
    for attribute in os.listxattr(place, follow_symlinks=False):
        value = os.getxattr(place, attribute, follow_symlinks=False)
        known[f"xattr {attribute}"] = value
    return known


def _hash(directory: int, name: bytes) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    with open(descriptor, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """Print the differences between two trees; 1 if there are any."""
    left, right = arguments
    count = 0
    for count, difference in enumerate(compare(left, right), 1):  # noqa: B007
        print(difference)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
