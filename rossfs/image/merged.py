"""A directory of a root filesystem, as the directories of layers that make it.

Nothing of its content is kept: a Merged is a few numbers, made again whenever it is asked for.  Two
of the same root filesystem with the same `key` are the same directory, and no directory of a layer
is part of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """One record: *position* of the layer, 0 is the lowest, and *index* in its table."""

    position: int
    index: int  # type: ignore[assignment]


Probe = tuple[int, int, Sequence[int], int, int]
"""How to look into one part: its position and index, the keys of its layer (Toc.keys), and where
those of its children begin and end; an end of 0 says that only LayerTree.find knows."""


class Merged:
    """One directory.

    parts: the directories that make it, the highest layer first.
    owner: whose record gives the attributes: the highest that an entry of an archive made.
    key: identifies the directory in its root filesystem; stable over openings.
    markers: bit i: parts[i] holds whiteouts.
    probes: what Stack.find remembers of the parts once it has looked.
    """

    __slots__ = ("key", "markers", "owner", "parts", "probes")

    def __init__(self, parts: tuple[Place, ...], owner: Place, key: Place, markers: int) -> None:
        self.parts = parts
        self.owner = owner
        self.key = key
        self.markers = markers
        self.probes: tuple[Probe, ...] | None = None

    def __repr__(self) -> str:
        return f"Merged({self.parts}, owner={self.owner})"
