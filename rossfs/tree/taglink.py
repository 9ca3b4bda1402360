"""One tag as a node: a symbolic link to the image that it names."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import ClassVar

from rossfs.errors import Damaged, InvalidReference, RossfsError
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store.tags import TagInfo, TagName
from rossfs.tree.handle import Handle
from rossfs.tree.node import Attr, AttrChange, Caller, File, Node, Symlink, is_writing, read_only


def link_text(repository: str, digest: Digest) -> bytes:
    """The text of a tag of *repository*: from there up to the top of the mount, and down."""
    up = "../" * (repository.count("/") + 2)
    return f"{up}images/{digest.algorithm}/{digest.hex}".encode()


def digest_of_link(text: bytes) -> Digest:
    """The digest that a link's text means: ANYTHING/sha256/<hex>, or ANYTHING/sha256:<hex>.

    InvalidReference if it means none.
    """
    above, last = (b"", *text.rstrip(b"/").split(b"/"))[-2:]
    try:
        return Digest.parse(last if b":" in last else above + b":" + last)
    except RossfsError as error:
        raise InvalidReference(
            f"{quote(text, 200)} names no image: a tag is made by ln -s ANYTHING/sha256/HEX"
        ) from error


class TagLink(Symlink):
    """A tag.

    It has no extended attributes: Linux refuses user.* on symbolic links (xattr(7)), and programs
    that see names which they cannot read report errors.  The image directory has them.
    """

    __slots__ = ("__weakref__", "_digest", "_updated_at", "name")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, name: TagName, info: TagInfo) -> None:
        super().__init__(ino, link_text(name.repository, info.digest))
        self.name = name
        self._digest = info.digest
        self._updated_at = info.updated_at

    def move(self, name: TagName) -> None:
        """The tag was renamed, and the kernel takes this inode along."""
        self.name = name
        self.text = link_text(name.repository, self._digest)

    def attr(self) -> Attr:
        time_ns = self._updated_at * 10**9
        return Attr.dated(stat.S_IFLNK | 0o777, time_ns, len(self.text))

    def same(self, other: Node) -> bool:
        return (
            isinstance(other, TagLink) and other.name == self.name and other._digest == self._digest
        )

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        """Owner and times (lchown, utimensat: cp -a, rsync) succeed and change nothing."""


class DamagedTag(File):
    """A tag file that does not say what the tag names: it can be removed and replaced."""

    __slots__ = ("__weakref__", "_reason", "name")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, name: TagName, reason: str) -> None:
        super().__init__(ino)
        self.name = name
        self._reason = reason

    def move(self, name: TagName) -> None:
        """The tag was renamed, and the kernel takes this inode along."""
        self.name = name

    def attr(self) -> Attr:
        return Attr(stat.S_IFREG | 0o444)

    def same(self, other: Node) -> bool:
        return isinstance(other, DamagedTag) and other.name == self.name

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.error: why it cannot be read."""
        return {b"user.ross.error": self._reason.encode()}

    async def open(self, flags: int, caller: Caller) -> Handle:
        """Damaged, whatever is asked; EROFS for writing."""
        if is_writing(flags):
            raise read_only()
        raise Damaged(self._reason)
