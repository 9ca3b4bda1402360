"""How one mount shows its store: what was chosen when it was mounted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rossfs.image.layers import Layers
from rossfs.oci.platform import Platform
from rossfs.tree.state import LogBuffer


class View(NamedTuple):
    """The choices of one mount that the tree needs."""

    platform: Platform
    """Whose manifest an index directory shows (option platform=)."""

    log: LogBuffer
    """What .ross/log shows."""

    stats: Callable[[], Mapping[str, object]]
    """What .ross/stats shows: plain values that JSON can hold, made anew at each call."""

    read_only: bool

    layers: Layers
    """Opens the layers of images."""
