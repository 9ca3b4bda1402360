"""Which step of a build made which layer.

A config lists the steps of its build, the first one first; those marked `empty_layer` changed no
file and have no layer (image-spec config.md, "history").  The others belong to the layers of the
manifest, in this order.  Nothing keeps a builder from listing too few or too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rossfs.oci.config import Config, History
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest

NO_HISTORY = History()


class Step(NamedTuple):
    """One step of a build, and the layer that it made."""

    history: History
    """Everything in it is empty for a layer that no step is told of."""
    layer: Descriptor | None
    """None for a step that made none, or whose layer the manifest does not name."""
    position: int | None
    """Of the layer in the manifest, 0 is the bottom."""
    diff_id: Digest | None


def steps(config: Config, layers: Sequence[Descriptor]) -> tuple[Step, ...]:
    """All steps of *config*, the first one first; then the *layers* that are left, without any."""
    numbered = list(enumerate(layers))
    diff_ids: dict[int, Digest] = dict(enumerate(config.diff_ids))
    made = iter(numbered)
    found = []
    for history in config.history:
        position, layer = (None, None) if history.empty_layer else next(made, (None, None))
        diff_id = None if position is None else diff_ids.get(position)
        found.append(Step(history, layer, position, diff_id))
    found += [Step(NO_HISTORY, layer, number, diff_ids.get(number)) for number, layer in made]
    return tuple(found)
