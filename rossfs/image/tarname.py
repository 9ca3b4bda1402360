"""Names of an archive's entries, as paths inside the root that the archive fills.

A cleaned path has no leading and no trailing slash, no component that is empty, `.` or `..`, and no
component over 255 bytes, but for the whiteout of a name that long; b"" is the root itself.  `..` is
resolved by the text alone: whether a component is a symbolic link is for those to find out who know
the tree.
"""

from __future__ import annotations

from rossfs.image.whiteout import PREFIX

PATH_LIMIT = 1 << 16
"""Bytes of a path.  The kernel takes 4,096 at a time, but longer ones can be reached in steps."""

COMPONENT_LIMIT = 255
"""Bytes of a component: NAME_MAX, limits.h."""


def clean(name: bytes) -> bytes:
    """Return the path that *name* means; ValueError, with the reason, if there is none."""
    if name.startswith(b"./"):
        name = name[2:]
    if name.endswith(b"/"):
        name = name[:-1]
    if (
        len(name) <= COMPONENT_LIMIT
        and b"/." not in name
        and b"//" not in name
        and not name.startswith((b"/", b"."))
        and not name.endswith(b"/")
    ):
        return name
    return _resolved(name)


def _resolved(name: bytes) -> bytes:
    if len(name) > PATH_LIMIT:
        raise ValueError(f"has a path of {len(name)} bytes")
    path: list[bytes] = []
    for component in name.split(b"/"):
        if component == b"..":
            if not path:
                raise ValueError("leads out of the root")
            path.pop()
        elif len(component.removeprefix(PREFIX)) > COMPONENT_LIMIT:
            raise ValueError(f"has a name of {len(component)} bytes")
        elif component not in (b"", b"."):
            path.append(component)
    return b"/".join(path)
