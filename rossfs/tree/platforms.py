"""images/sha256/<hex>/platforms/: the manifests that an index offers, by platform.

    <os>-<arch>[-<variant>]    symlink to the image directory of that manifest

Every manifest of the index has a name, whether it is stored or not; a link to nothing says that the
index offers it and that it is not here.  What has no platform, or one whose text is no file name,
goes by the first 12 digits of its digest; where two have the same platform (attestations are
unknown-unknown, Windows differs in os.version only) the later ones get those digits appended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.tree.node import Node
from rossfs.tree.static import FixedSymlink, StaticDirectory

# What real platforms look like; everything else comes from somebody who wants to see what happens.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


def platforms_directory(
    index: Digest,
    manifests: Sequence[Descriptor],
    number: Callable[[bytes], int],
    modified_ns: int,
) -> StaticDirectory:
    """The directory of the *manifests* of *index*; *number* gives inode numbers."""
    path = index.raw + b"/platforms"
    children: dict[bytes, Node] = {}
    for name, digest in names(manifests).items():
        up = "../.." if digest.algorithm == index.algorithm else f"../../../{digest.algorithm}"
        text = f"{up}/{digest.hex}".encode()
        children[name] = FixedSymlink(number(path + b"/" + name), text, modified_ns)
    return StaticDirectory(number(path), children, modified_ns)


def names(manifests: Sequence[Descriptor]) -> dict[bytes, Digest]:
    """A name for each manifest of an index, in its order; one listed twice has one name."""
    named: dict[bytes, Digest] = {}
    for manifest in manifests:
        short = manifest.digest.hex[:12]
        platform = manifest.platform
        name = platform.directory_name if platform is not None else short
        if _PLAIN.fullmatch(name) is None:
            name = short
        if named.get(name.encode(), manifest.digest) != manifest.digest:
            name = f"{name}-{short}"
        named.setdefault(name.encode(), manifest.digest)
    return named
