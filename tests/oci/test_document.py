from __future__ import annotations

import json
import sys

import pytest

from rossfs.errors import InvalidDocument
from rossfs.oci.document import MAX_BYTES, MAX_DEPTH, MAX_VALUES, compact, parse_document


def refusal(data: bytes) -> str:
    """Why *data* is refused."""
    with pytest.raises(InvalidDocument) as caught:
        parse_document(data, "manifest")
    message = str(caught.value)
    assert message.startswith("manifest ")
    assert message.isprintable()
    assert len(message) < 250
    return message


def test_an_object_is_read() -> None:
    data = b' {"a": [1, -2.5e3, true, null, {"\\u00f6": "\xc3\xb6"}], "b": "[[{{\\"[["}\n'
    assert parse_document(data, "x") == json.loads(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{}{}", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":"\\', "not JSON"),
        (b"\0", "not JSON"),
        (b"[]", "is a JSON array, not an object"),
        (b'"a"', "is a JSON string, not an object"),
        (b"1", "is a JSON number, not an object"),
        (b"true", "is a JSON boolean, not an object"),
        (b"null", "is a JSON null, not an object"),
        (b'{"a":NaN}', "NaN is not a number of JSON"),
        (b'{"a":-Infinity}', "-Infinity is not a number of JSON"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":1,"b":{"c":1,"c":1}}', '"c" occurs twice'),
        (b'{"a":1,"\\u0061":1}', '"a" occurs twice'),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\uDFFF":1}', "surrogate"),
        (b'{"a":"\\udc00\\ud800"}', "surrogate"),
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_document(b'{"a":"\\ud83d\\ude00"}', "x") == {"a": "😀"}


def test_nesting_is_limited() -> None:
    inner = MAX_DEPTH - 1
    parse_document(b'{"a":' + b"[" * inner + b"]" * inner + b"}", "x")
    inner += 1
    assert "deep" in refusal(b'{"a":' + b"[" * inner + b"]" * inner + b"}")


@pytest.mark.parametrize("unit", [b"[", b"{", b'{"":', b"[[],", b'[{"a":'])
@pytest.mark.parametrize("count", [5_000, 500_000])
def test_deep_nesting_never_reaches_the_parser(unit: bytes, count: int) -> None:
    data = (unit * count)[:MAX_BYTES]
    assert "deep" in refusal(data) or "values" in refusal(data)


def test_brackets_in_strings_are_not_nesting() -> None:
    text = '[{"' * 10_000 + "\\"
    assert parse_document(json.dumps({text: text}).encode(), "x") == {text: text}


def test_a_closing_bracket_too_many_hides_no_depth() -> None:
    assert "deep" in refusal(b'{"a":' + b"]" * 1000 + b"[" * (1000 + MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"' + b'\\"' * 2_000_000,
        b'"\\' * 2_000_000,
        b'{"a":"' + b"x" * 4_000_000,
        b'{"a":' + b"-" * 4_000_000,
        b" " * 4_000_000,
        b"[" * MAX_BYTES,
        b'""' * 2_000_000,
    ],
)
def test_four_hostile_megabytes_are_refused_in_linear_time(data: bytes) -> None:
    # Quadratic time would be hours.
    refusal(data)


def test_the_number_of_values_is_limited() -> None:
    assert len(parse_document(b'{"a":[' + b"0," * (MAX_VALUES - 2) + b"0]}", "x")["a"]) == (
        MAX_VALUES - 1
    )
    assert "values" in refusal(b'{"a":[' + b"0," * (MAX_VALUES - 1) + b"0]}")


def test_the_size_is_limited() -> None:
    frame = len(b'{"a":""}')
    parse_document(b'{"a":"' + b"x" * (MAX_BYTES - frame) + b'"}', "x")
    assert "bytes" in refusal(b'{"a":"' + b"x" * (MAX_BYTES - frame + 1) + b'"}')


@pytest.mark.parametrize("digits", [129, sys.get_int_max_str_digits() + 1, 4_000_000])
def test_huge_numbers_are_refused(digits: int) -> None:
    assert "digits" in refusal(b'{"size":' + b"9" * digits + b"}")
    assert "digits" in refusal(b'{"size":0.' + b"9" * digits + b"}")


def test_what_is_written_compactly_reads_the_same() -> None:
    document = {"schemaVersion": 2, "ö": ["😀", None, {}]}
    data = compact(document)
    assert data == '{"schemaVersion":2,"ö":["😀",null,{}]}'.encode()
    assert parse_document(data, "x") == document
