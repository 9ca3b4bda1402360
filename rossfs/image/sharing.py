"""Images as stacks of layers, side by side, with the layers that they have in common as one.

Images that begin with the same layers are put next to one another, so that each such layer is one
block that spans all of them.  A layer that images have in common above different ones cannot be one
block: every block of it but the first is *repeated*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rossfs.image.usage import Amount, Stored, Usage
from rossfs.oci.digest import Digest
from rossfs.store.tags import TagName


class Row(NamedTuple):
    """One manifest of an image; those that several indexes name are one row."""

    digest: Digest
    config: Digest
    names: tuple[tuple[TagName, str], ...]
    """Tags that lead to it, each with the platform for which an index has it, or empty."""
    layers: tuple[Digest, ...]
    """Those that are stored, the bottom first."""
    total: int
    """Bytes of the layers, each once."""
    share: float
    """Bytes of the layers, each divided by the images that need it."""


class Block(NamedTuple):
    """A layer, or several small ones on top of one another, as far as rows have it in common."""

    layers: tuple[Digest, ...]
    offset: int
    """Bytes of the layers below."""
    size: int
    first: int
    """The first row that it spans."""
    rows: int
    users: int
    """Images of the store that need it, drawn or not."""
    repeated: bool


class Sharing(NamedTuple):
    """What can be drawn of a store."""

    rows: tuple[Row, ...]
    blocks: tuple[Block, ...]
    rest: int
    """Manifests for which there was no row."""
    rest_alone: Amount
    """Layers that only those need."""
    rest_common: Amount
    """Layers of theirs that a row has too."""

    @property
    def width(self) -> int:
        """Bytes of the longest row, layers that are twice in an image counted twice."""
        return max((block.offset + block.size for block in self.blocks), default=0)


class _Node:
    __slots__ = ("children", "digest", "first", "offset", "parent", "rows", "share", "size", "span")

    def __init__(self, digest: Digest | None, parent: _Node | None, size: int) -> None:
        self.digest = digest
        self.parent = parent
        self.size = size
        self.offset: int = 0 if parent is None else parent.offset + parent.size
        self.children: dict[Digest, _Node] = {}
        self.rows: list[Row] = []
        self.share = 0.0
        self.first = self.span = 0


def share(usage: Usage, limit: int, finest: float = 0.0) -> Sharing:
    """Arrange the images of *usage*: the *limit* that take most of the store have rows.

    *finest*: layers smaller than this part of the longest row become one block with their like.
    """
    rows = sorted(_rows(usage), key=lambda row: (-row.share, row.names))
    drawn, others = rows[:limit], rows[limit:]
    root = _stacked(drawn, usage.contents)
    ordered, nodes = _ordered(root)
    widest = max((node.offset + node.size for node in nodes), default=0)
    blocks = _blocks(nodes, usage.contents, widest * finest)
    seen = {layer for row in drawn for layer in row.layers}
    needed = {layer for row in others for layer in row.layers}
    return Sharing(
        tuple(ordered),
        tuple(blocks),
        len(others),
        _amount(needed - seen, usage.contents),
        _amount(needed & seen, usage.contents),
    )


def _rows(usage: Usage) -> Iterable[Row]:
    rows: dict[Digest, Row] = {}
    for image in usage.images:
        for part in image.parts:
            names = tuple((name, part.platform) for name in image.names)
            known = rows.get(part.digest)
            if known is not None:
                rows[part.digest] = known._replace(names=known.names + names)
                continue
            total, share = 0, 0.0
            for layer in dict.fromkeys(part.layers):
                size, users, _ = usage.contents[layer]
                total += size or 0
                share += (size or 0) / users
            layers = tuple(one for one in part.layers if usage.contents[one].size is not None)
            rows[part.digest] = Row(part.digest, part.config, names, layers, total, share)
    return rows.values()


def _stacked(rows: Iterable[Row], contents: Mapping[Digest, Stored]) -> _Node:
    """A tree in which each row is a path up from the root."""
    root = _Node(None, None, 0)
    for row in rows:
        node = root
        for layer in row.layers:
            child = node.children.get(layer)
            if child is None:
                child = node.children[layer] = _Node(layer, node, contents[layer].size or 0)
            child.share += row.share
            node = child
        node.rows.append(row)
    return root


def _ordered(root: _Node) -> tuple[list[Row], list[_Node]]:
    """The rows in their order; and the nodes, each after the one below it, with what they span."""
    rows: list[Row] = []
    nodes: list[_Node] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node.first = len(rows)
        node.span = len(node.rows)
        rows += node.rows
        nodes.append(node)
        waiting += sorted(node.children.values(), key=lambda child: child.share)
    for node in reversed(nodes):
        if node.parent is not None:
            node.parent.span += node.span
    return rows, nodes[1:]


def _blocks(
    nodes: Sequence[_Node], contents: Mapping[Digest, Stored], finest: float
) -> Iterable[Block]:
    blocks: list[Block] = []
    seen: set[Digest] = set()
    before: _Node | None = None
    for node in nodes:
        assert node.digest is not None, "only the root has none, and it is not among them"
        users = contents[node.digest].users
        small = node.size < finest
        if small and before is not None and before is node.parent and _alone(before):
            last = blocks[-1]
            blocks[-1] = last._replace(
                layers=(*last.layers, node.digest),
                size=last.size + node.size,
                users=max(last.users, users),
            )
        else:
            blocks.append(
                Block(
                    (node.digest,),
                    node.offset,
                    node.size,
                    node.first,
                    node.span,
                    users,
                    node.digest in seen,
                )
            )
        seen.add(node.digest)
        before = node if small else None
    return blocks


def _alone(node: _Node) -> bool:
    """Whether what is on top of *node* spans the same rows."""
    return not node.rows and len(node.children) == 1


def _amount(digests: Iterable[Digest], contents: Mapping[Digest, Stored]) -> Amount:
    sizes = [contents[digest].size or 0 for digest in digests]
    return Amount(len(sizes), sum(sizes))
