"""JSON from strangers, within limits.

What `parse_document` returns is a dict made from at most 4 MiB of strict JSON (RFC 8259): UTF-8
without a byte order mark, no duplicate names, no NaN or infinity, no lone surrogates (so every
string can be encoded again), nested at most 64 deep, of at most 262,144 values.  Size, depth and
number of values are checked before anything is built, so hostile input costs neither the stack nor
much memory.  Everything that is wrong is InvalidDocument, in one line.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from itertools import accumulate
from math import isfinite
from types import MappingProxyType
from typing import Any, NoReturn

from rossfs.errors import InvalidDigest, InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote

MAX_BYTES = 4 << 20  # what registries accept at most (distribution-spec, "Pushing Manifests")
MAX_DEPTH = 64
MAX_VALUES = 1 << 18
MAX_DIGITS = 128  # int() takes quadratic time, and refuses more than some thousands
MAX_INTEGER = (1 << 63) - 1  # sizes are int64 (image-spec, descriptor.md)
MAX_ANNOTATIONS = 4096
MAX_TYPE = 255  # RFC 6838 (4.2): 127 characters, a slash, 127 characters

NO_ANNOTATIONS: MappingProxyType[str, str] = MappingProxyType({})

_BOM = b"\xef\xbb\xbf"
# Possessive, and content with a string that does not end: linear for any input.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))
# As signed bytes: brackets open with +1 and close with -1; commas add nothing.
_STEPS = bytes.maketrans(b"[{]},", b"\x01\x01\xff\xff\x00")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MEDIA_TYPE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def parse_document(data: bytes, what: str) -> dict[str, Any]:
    """Parse *data*, a JSON object; *what* names it in messages ("manifest", "index.json of x").

    Raises InvalidDocument for anything that is not strict JSON, not an object, or over a limit.
    """
    document = _parse(data, what)
    if not isinstance(document, dict):
        raise InvalidDocument(f"{what} is a JSON {_type_name(document)}, not an object")
    return document


def parse_array(data: bytes, what: str) -> list[Any]:
    """Parse *data*, a JSON array, as `parse_document` parses an object."""
    document = _parse(data, what)
    if not isinstance(document, list):
        raise InvalidDocument(f"{what} is a JSON {_type_name(document)}, not an array")
    return document


def _parse(data: bytes, what: str) -> Any:
    if len(data) > MAX_BYTES:
        raise InvalidDocument(f"{what} has {len(data)} bytes, more than {MAX_BYTES}")
    if data.startswith(_BOM):
        raise InvalidDocument(f"{what} begins with a byte order mark, which JSON does not allow")
    _check_structure(data, what)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"{what} is not UTF-8 at byte {error.start}") from None
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise InvalidDocument(
            f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except _Refused as error:
        raise InvalidDocument(f"{what} is refused: {error}") from None
    if _ESCAPED_SURROGATE.search(data) is not None:
        _check_encodable(document, what)
    return document


def text_field(fields: dict[str, Any], name: str, where: str) -> str | None:
    """Return a string; None if it is absent or null.  Raises InvalidDocument for anything else."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidDocument(f"{where}: {name} is a JSON {_type_name(value)}, not a string")


def object_field(fields: dict[str, Any], name: str, where: str) -> dict[str, Any] | None:
    """Return an object; None if it is absent or null.  Raises InvalidDocument for anything else."""
    value = fields.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise InvalidDocument(f"{where}: {name} is a JSON {_type_name(value)}, not an object")


def list_field(fields: dict[str, Any], name: str, where: str, limit: int) -> list[Any]:
    """Return a list of at most *limit* items; it is empty if the field is absent or null.

    Raises InvalidDocument for anything else.
    """
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidDocument(f"{where}: {name} is a JSON {_type_name(value)}, not an array")
    if len(value) > limit:
        raise InvalidDocument(f"{where}: {name} has {len(value)} items, more than {limit}")
    return value


def text_list_field(fields: dict[str, Any], name: str, where: str, limit: int) -> tuple[str, ...]:
    """Return a list of strings as `list_field` does."""
    value = list_field(fields, name, where, limit)
    for item in value:
        if not isinstance(item, str):
            raise InvalidDocument(f"{where}: {name} has a JSON {_type_name(item)} among strings")
    return tuple(value)


def size_field(fields: dict[str, Any], name: str, where: str) -> int:
    """Return a size in bytes, 0 to 2**63 - 1, that must be there; raises InvalidDocument."""
    value = fields.get(name)
    # bool is an int in Python, but not in JSON.
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidDocument(f"{where}: {name} is {_described(value)}, not an integer")
    if not 0 <= value <= MAX_INTEGER:
        raise InvalidDocument(f"{where}: {name} is out of range: {value}")
    return value


def digest_field(fields: dict[str, Any], name: str, where: str) -> Digest:
    """Return a digest that must be there; raises InvalidDocument."""
    text = text_field(fields, name, where)
    if text is None:
        raise InvalidDocument(f"{where} has no {name}")
    return digest_in(text, f"{where}: {name}")


def digest_in(text: object, where: str) -> Digest:
    """Parse a digest that stands in a document; raises InvalidDocument."""
    if not isinstance(text, str):
        raise InvalidDocument(f"{where} is {_described(text)}, not a digest")
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise InvalidDocument(f"{where}: {error}") from None


def media_type_field(fields: dict[str, Any], name: str, where: str) -> str | None:
    """Return a media type; None if it is absent, null or empty.

    Any type is fine, known or not, as long as it is printable ASCII of at most 255 characters;
    raises InvalidDocument otherwise.
    """
    text = text_field(fields, name, where)
    if not text:
        return None
    if len(text) > MAX_TYPE or _MEDIA_TYPE.fullmatch(text) is None:
        raise InvalidDocument(f"{where}: {name} is no media type: {quote(text)}")
    return text


def annotations_field(fields: dict[str, Any], where: str) -> MappingProxyType[str, str]:
    """Return `annotations`, strings by name, empty if there are none; raises InvalidDocument."""
    value = object_field(fields, "annotations", where)
    if not value:
        return NO_ANNOTATIONS
    if len(value) > MAX_ANNOTATIONS:
        raise InvalidDocument(f"{where} has {len(value)} annotations, more than {MAX_ANNOTATIONS}")
    for name, text in value.items():
        if not isinstance(text, str):
            raise InvalidDocument(
                f"{where}: annotation {quote(name)} is a JSON {_type_name(text)}, not a string"
            )
    return MappingProxyType(value)


def compact(document: dict[str, Any] | list[Any]) -> bytes:
    """Write *document* as tools write manifests: UTF-8, in the order of its keys, no spaces."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class _Refused(ValueError):
    """Valid for Python's parser, but not here."""


def _check_structure(data: bytes, what: str) -> None:
    """Refuse what nests too deep or has too many values, without building anything."""
    structure = _STRING.sub(b"", data).translate(None, _NOT_STRUCTURE)
    commas = structure.count(b",")
    values = commas + structure.count(b"{") + structure.count(b"[")
    if values > MAX_VALUES:
        raise InvalidDocument(f"{what} has more than {MAX_VALUES} values")
    depth = max(accumulate(array("b", structure.translate(_STEPS))), default=0)
    if depth > MAX_DEPTH:
        raise InvalidDocument(f"{what} nests {depth} deep, more than {MAX_DEPTH}")


def _check_encodable(document: Any, what: str) -> None:
    try:
        compact(document)
    except UnicodeEncodeError:
        raise InvalidDocument(f"{what} has half of a surrogate pair in a string") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
    raise _Refused(f"{quote(name)} occurs twice in an object")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _Refused(f"a number has {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    if len(text) > MAX_DIGITS:
        raise _Refused(f"a number has {len(text)} digits")
    number = float(text)
    if not isfinite(number):
        raise _Refused(f"the number {quote(text)} is out of range")
    return number


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not a number of JSON")


def _type_name(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    names = {str: "string", list: "array", dict: "object", type(None): "null"}
    return names[type(value)]


def _described(value: object) -> str:
    return "missing" if value is None else f"a JSON {_type_name(value)}"
