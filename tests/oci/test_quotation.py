from __future__ import annotations

import pytest

from rossfs.oci.quotation import first_of, quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("nginx", '"nginx"'),
        ("größe", '"größe"'),
        ("", '""'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\nb\r\tc", '"a\\nb\\r\\tc"'),
        ("\x1b[31m\x00\x7f", '"\\x1b[31m\\x00\\x7f"'),
        ("\u202eevil\u2028", '"\\u202eevil\\u2028"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("\ud800", '"\\ud800"'),
        (b"plain", '"plain"'),
        (b"\xff\xc3\xb6", '"\\xff\xf6"'),
        ("name-\udcff", '"name-\\xff"'),
    ],
)
def test_what_a_terminal_might_obey_is_escaped(text: str | bytes, quoted: str) -> None:
    assert quote(text) == quoted


def test_long_text_is_cut_and_says_so() -> None:
    assert quote("a" * 101) == '"' + "a" * 100 + '..."'
    assert quote("a" * 100) == '"' + "a" * 100 + '"'


def test_long_bytes_are_cut_without_being_decoded_whole() -> None:
    assert quote("ö".encode() * 10_000_000, limit=3) == '"ööö..."'


def test_a_character_of_four_bytes_counts_once() -> None:
    assert quote("😀".encode() * 5, limit=5) == '"😀😀😀😀😀"'
    assert quote("😀".encode() * 6, limit=5) == '"😀😀😀😀😀..."'


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_of_a_long_list_the_first_are_told(texts: list[str], told: str) -> None:
    assert first_of(texts, 3) == told
