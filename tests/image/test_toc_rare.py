"""Extended attributes and pieces of sparse files, packed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.image import rare

ordinary = settings(deadline=None, database=None)

texts = st.binary(max_size=300)
sizes = st.tuples(st.integers(0, 2**20), st.integers(0, 2**20))


@st.composite
def piece_lists(draw: st.DrawFn) -> list[tuple[int, int]]:
    pieces, end = [], 0
    for gap, length in draw(st.lists(sizes, max_size=20)):
        pieces.append((end + gap, length))
        end += gap + length
    return pieces


@ordinary
@given(st.dictionaries(texts, texts, max_size=5), piece_lists())
def test_what_was_packed_is_read(xattrs: dict[bytes, bytes], pieces: list[tuple[int, int]]) -> None:
    thing = memoryview(rare.pack(xattrs, pieces))
    assert len(thing) % 8 == 0
    assert rare.xattrs(thing) == xattrs
    found = rare.pieces(thing)
    assert list(found) == pieces
    assert found[1:] == pieces[1:]
    assert len(found) == len(pieces)


@ordinary
@given(piece_lists(), st.integers(0, 2**23))
def test_the_first_piece_that_ends_after_an_offset_is_found(
    pieces: list[tuple[int, int]], offset: int
) -> None:
    found = rare.pieces(memoryview(rare.pack(None, pieces)))
    filled = [(number, piece) for number, piece in enumerate(pieces) if piece[1]]
    after = [number for number, (start, length) in filled if start + length > offset]
    first = found.first(offset)
    # Pieces of no length hold no byte: any that stands between may be named.
    while first < len(found) and not found[first][1]:
        first += 1
    assert first == (after[0] if after else len(found))


@ordinary
@given(piece_lists())
def test_the_position_of_a_piece_is_what_is_stored_before_it(
    pieces: list[tuple[int, int]],
) -> None:
    found = rare.pieces(memoryview(rare.pack(None, pieces)))
    for number in range(len(pieces)):
        assert found.position(number) == sum(length for _, length in pieces[:number])


def test_pieces_are_counted_from_the_end_too_and_end() -> None:
    found = rare.pieces(memoryview(rare.pack(None, [(0, 1), (5, 6)])))
    assert found[-1] == (5, 6)
    for index in (2, -3):
        with pytest.raises(IndexError):
            found[index]
