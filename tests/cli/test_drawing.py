"""Elements of SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from rossfs.cli import drawing

ANYTHING = st.text(st.characters(), max_size=40)


@given(ANYTHING, ANYTHING)
def test_any_text_is_well_formed(value: str, title: str) -> None:
    element = ET.fromstring(drawing.text(1, 2, value, "on", title=title).encode())
    assert element.tag == "text"
    shown = "".join(element.itertext())
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


@given(st.text("abc <>&\"'", max_size=40))
def test_plain_text_comes_out_as_it_went_in(value: str) -> None:
    element = ET.fromstring(drawing.rectangle(0, 0, 1, 1, "few", title=value or "x").encode())
    assert element[0].text == (value or "x")


@given(st.text("abcdefgh", max_size=60), st.floats(0, 300))
def test_a_text_is_cut_to_the_room_there_is(value: str, room: float) -> None:
    cut = drawing.fitted(value, 12, room)
    if cut != value:
        assert drawing.width_of(cut, 12) <= room + 12
        assert cut == "" or (cut.endswith("…") and value.startswith(cut[:-1].rstrip()))


def test_wide_letters_take_more_room() -> None:
    assert drawing.fitted("漢" * 10, 10, 100) == "漢" * 10
    assert len(drawing.fitted("漢" * 20, 10, 100)) < len(drawing.fitted("k" * 20, 10, 100))


def test_numbers_are_short() -> None:
    assert [drawing.number(value) for value in (1.0, 0.126, 10, 100.5)] == [
        "1",
        "0.13",
        "10",
        "100.5",
    ]
