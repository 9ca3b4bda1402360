"""Stacks of layers side by side."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.image.sharing import share
from rossfs.image.usage import ImageUsage, Part, Stored, Usage
from rossfs.oci.digest import Digest
from rossfs.store.tags import TagName


def digest(number: int) -> Digest:
    return Digest.of(str(number).encode())


def usage_of(stacks: list[list[int]], sizes: dict[int, int | None]) -> Usage:
    """The usage of images with these layers; a layer is a number."""
    users = Counter(one for stack in stacks for one in set(stack))
    images = []
    for number, stack in enumerate(stacks):
        made = Digest.of(f"image {number}".encode())
        part = Part(made, digest(-1), tuple(map(digest, stack)), "")
        name = TagName("lab/app", f"v{number}")
        images.append(ImageUsage(made, (name,), (part,), part.layers, 0, 0, 0.0, 0, ""))
    contents = {digest(one): Stored(size, users[one], True) for one, size in sizes.items()}
    return Usage(tuple(images), contents, ())


STACKS = st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=8)
SIZES = st.lists(st.none() | st.integers(0, 1000), min_size=6, max_size=6)


@given(STACKS, SIZES, st.integers(1, 10), st.sampled_from([0.0, 0.1]))
@settings(max_examples=200, deadline=None)
def test_blocks_are_the_layers_of_their_rows(
    stacks: list[list[int]], sizes: list[int | None], limit: int, finest: float
) -> None:
    usage = usage_of(stacks, dict(enumerate(sizes)))
    sharing = share(usage, limit, finest)
    assert len(sharing.rows) == min(limit, len(stacks))
    assert sharing.rest == len(stacks) - len(sharing.rows)
    for number, row in enumerate(sharing.rows):
        over = [each for each in sharing.blocks if each.first <= number < each.first + each.rows]
        over.sort(key=lambda each: each.offset)
        assert tuple(layer for each in over for layer in each.layers) == row.layers
        end = 0
        for each in over:
            assert each.offset == end
            end += each.size
    # What is not repeated is everything, once.
    first = [block for block in sharing.blocks if not block.repeated]
    stored = {layer for row in sharing.rows for layer in row.layers}
    if not finest:
        assert sum(block.size for block in first) == sum(
            usage.contents[layer].size or 0 for layer in stored
        )
        assert len(first) == len(stored)


def test_what_takes_most_of_the_store_has_a_row() -> None:
    # Nine images share the large layer; one has a smaller one for itself.
    stacks = [[0]] * 9 + [[1]]
    sharing = share(usage_of(stacks, {0: 900, 1: 200}), 1)
    assert [row.total for row in sharing.rows] == [200]
    assert (sharing.rest, sharing.rest_alone.size, sharing.rest_common.size) == (9, 900, 0)


def test_an_image_comes_before_those_that_are_built_on_it() -> None:
    sharing = share(usage_of([[0, 1], [0], [2, 1]], {0: 10, 1: 20, 2: 5}), 10)
    assert [row.names[0][0].tag for row in sharing.rows] == ["v1", "v0", "v2"]
    assert [(block.first, block.rows, block.repeated) for block in sharing.blocks] == [
        (0, 2, False),
        (1, 1, False),
        (2, 1, False),
        (2, 1, True),
    ]


def test_a_thousand_layers_are_no_recursion() -> None:
    sizes: dict[int, int | None] = dict.fromkeys(range(16_000), 1)
    sharing = share(usage_of([list(sizes)], sizes), 10)
    assert sharing.width == 16_000
