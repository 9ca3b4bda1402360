"""The names of markers."""

from __future__ import annotations

import pytest

from rossfs.image.whiteout import OPAQUE, hidden, is_marker, whiteout_of


@pytest.mark.parametrize("name", [b"x", b"wh.x", b".wh", b".whx", b"\xff\n", b"x.wh.y"])
def test_a_whiteout_hides_the_rest_of_its_name(name: bytes) -> None:
    assert hidden(whiteout_of(name)) == name
    assert is_marker(whiteout_of(name))


@pytest.mark.parametrize("name", [b"x", b".wh", b"x.wh.y", b".WH.x", b""])
def test_other_names_hide_nothing(name: bytes) -> None:
    assert hidden(name) is None
    assert not is_marker(name)


@pytest.mark.parametrize("name", [b".wh.", OPAQUE, b".wh..wh.plnk", b".wh..wh.x"])
def test_markers_without_a_name_hide_nothing(name: bytes) -> None:
    assert hidden(name) is None
    assert is_marker(name)
