"""Hard links to what a layer does not have at that moment.

If a later entry provides the path, the link is to that; else to a file of a lower layer, which is
found where layers are merged.  What a layer says is not always possible: a link whose target turns
out to be a directory is dropped, and links in a circle stay links to lower layers.
"""

from __future__ import annotations

from typing import NamedTuple

from rossfs.image.entrytree import EntryTree


class LowerLink(NamedTuple):
    """One such link: the path of the entry, and what it is a link to."""

    path: bytes
    target: bytes


def settle(tree: EntryTree, links: dict[int, LowerLink]) -> list[LowerLink]:
    """Give the names in *tree* of those inodes that a later entry provides to that entry's inode,
    and remove these from *links*; returns the links that were dropped, with their names."""
    provided = {inode: _find(tree, link.target) for inode, link in links.items()}
    replaced: dict[int, int | None] = {}
    dropped = []
    for inode in provided:
        end = _end(provided, inode)
        if end in tree.parents:
            dropped.append(links.pop(inode))
            replaced[inode] = None
        elif end is not None:
            del links[inode]
            replaced[inode] = end
            tree.linked.add(end)
    if replaced:
        _rename(tree, replaced)
    return dropped


def _find(tree: EntryTree, path: bytes) -> int | None:
    directory, _, name = path.rpartition(b"/")
    way = tree.walk(directory)
    return None if way.obstacle or way.missing else tree.child(way.directory, name)


def _end(provided: dict[int, int | None], inode: int) -> int | None:
    """What a chain of links leads to; None if that is in a lower layer, or a circle."""
    seen = {inode}
    end = provided[inode]
    while end in provided:
        if end in seen:
            return None
        seen.add(end)
        end = provided[end]
    return end


def _rename(tree: EntryTree, replaced: dict[int, int | None]) -> None:
    for names in tree.children.values():
        for name in [name for name, inode in names.items() if inode in replaced]:
            end = replaced[names[name]]
            if end is None:
                del names[name]
            else:
                names[name] = end
