"""Layers that were cut or changed before they got their digest."""

from __future__ import annotations

import random

import pytest

from rossfs.errors import InvalidLayer
from rossfs.store.store import Store
from tests.image.layering import PACKED, by_tarfile, contents, opened, put, tar_of

_CHANCE = random.Random(7)
TAR = tar_of(
    {
        f"d{number % 3}/f{number}": b"%d " % number * number + _CHANCE.randbytes(number)
        for number in range(120)
    }
)
FILES = by_tarfile(TAR)


@pytest.mark.parametrize("packed", ["gzip", "members", "zstd", "chunked"])
def test_a_cut_layer_is_none_wherever_it_is_cut(store: Store, packed: str) -> None:
    blob = PACKED[packed](TAR)
    whole = 0
    with opened(store) as layers:
        for cut in random.Random(8).sample(range(1, len(blob)), 200):
            try:
                found = contents(layers.open(put(store, blob[:cut])))
            except InvalidLayer:
                continue
            # Without frames that hold nothing of the tar it is all there.
            whole += 1
            assert found == FILES
    assert whole == 0 or packed == "chunked"


def test_a_cut_tar_shows_nothing_wrong(store: Store) -> None:
    refused = 0
    with opened(store) as layers:
        for cut in random.Random(9).sample(range(1, len(TAR)), 200):
            try:
                found = contents(layers.open(put(store, TAR[:cut])))
            except InvalidLayer:
                refused += 1
                continue
            # Cut between two entries it is a tar without an end, which umoci writes too.
            assert found.items() <= FILES.items()
    assert refused > 100


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_changed_bytes_are_noticed_by_the_checksums_of_the_stream(
    store: Store, packed: str
) -> None:
    blob = PACKED[packed](TAR)
    chance = random.Random(10)
    wrong = 0
    with opened(store) as layers:
        for _ in range(100):
            position = chance.randrange(len(blob))
            changed = bytes([blob[position] ^ 1 << chance.randrange(8)])
            damaged = blob[:position] + changed + blob[position + 1 :]
            try:
                assert contents(layers.open(put(store, damaged))) == FILES
            except InvalidLayer:
                wrong += 1
    assert wrong >= 90
