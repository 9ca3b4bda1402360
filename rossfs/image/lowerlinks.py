"""Hard links to what a layer does not have at that moment.

Such a link is to a file of a lower layer, and only if no lower layer has the path, to what a later
entry provides.  The layers are not together here: the link stays one to lower layers, and the later
entry stands in where the layer is looked at alone.  Links in a circle, and those whose target turns
out to be a directory, have nothing that stands in.
"""

from __future__ import annotations

from rossfs.image.entrytree import EntryTree


def settle(tree: EntryTree, targets: dict[int, bytes]) -> dict[int, int]:
    """What stands in for each inode of *targets*, the links and their paths, for which something
    does; it gets the attributes of that."""
    provided = {inode: _find(tree, target) for inode, target in targets.items()}
    later = {}
    for inode, end in _ends(provided).items():
        if end is not None and end not in tree.parents:
            later[inode] = end
            tree.imitate(inode, end)
            tree.linked.add(end)
    return later


def _find(tree: EntryTree, path: bytes) -> int | None:
    directory, _, name = path.rpartition(b"/")
    way = tree.walk(directory)
    return None if way.obstacle or way.missing else tree.child(way.directory, name)


def _ends(provided: dict[int, int | None]) -> dict[int, int | None]:
    """What chains of links lead to; None if that is in a lower layer, or a circle."""
    ends: dict[int, int | None] = {}
    for inode in provided:
        chain = []
        end: int | None = inode
        while end in provided and end not in ends:
            ends[end] = None
            chain.append(end)
            end = provided[end]
        end = ends.get(end, end) if end is not None else None
        ends.update(dict.fromkeys(chain, end))
    return ends
