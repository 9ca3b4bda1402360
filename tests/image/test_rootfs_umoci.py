"""What layers mean together: umoci 0.4.7 is the judge.

What umoci leaves to chance or decides against the specification is listed here: a directory that no
entry of an archive names, and one in which umoci had to make or remove something on its way, has
the time of unpacking.  `tidy` has what depends on the order of entries.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests import treecompare
from tests.image.merging import picture, rootfs_of, unpack
from tests.image.stacks import Made, layer_of, markers_first, stacks, tidy
from tests.layers import Layer
from tests.mount import hostilelayers, hostilepaths

CASES = {**hostilelayers.CASES, **hostilepaths.CASES}


def differences(ours: Sequence[Layer], theirs: Sequence[Layer]) -> list[str] | None:
    """In what the root filesystem of *ours* differs from what umoci makes of *theirs*; None if it
    refuses to make anything of them."""
    mine = picture(rootfs_of(*ours))
    start = time.time_ns() - 1_000_000_000
    with tempfile.TemporaryDirectory() as directory:
        top = unpack(Path(directory), theirs)
        if top is None:
            return None
        other = treecompare.picture(top)
    found = []
    for path in sorted(mine.keys() | other.keys()):
        here, there = mine.get(path, {}), other.get(path, {})
        for what in sorted(here.keys() | there.keys()):
            left, right = here.get(what), there.get(what)
            unpacked = what == "mtime" and isinstance(right, int) and right >= start
            if left != right and not (unpacked and there["type"] == "directory"):
                found.append(f"{path!r}: {what}: {left!r}, umoci {right!r}")
    return found


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.umoci])
def test_what_layers_mean(name: str) -> None:
    layers = CASES[name].layers
    assert differences(layers, layers) == []


def compare(stack: Sequence[Sequence[Made]]) -> bool:
    tidied = tidy(stack)
    ours = [layer_of(layer) for layer in tidied]
    theirs = [layer_of(markers_first(layer)) for layer in tidied]
    found = differences(ours, theirs)
    assert not found, (tidied, found)
    return found is not None


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
    derandomize=True,
)
@given(stacks())
def test_random_layers(stack: list[list[Made]]) -> None:
    compare(stack)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_many_random_layers(stack: list[list[Made]]) -> None:
    compare(stack)


@settings(max_examples=50, deadline=None)
@given(stacks())
def test_any_layers_can_be_walked(stack: list[list[Made]]) -> None:
    picture(rootfs_of(*map(layer_of, stack)))
