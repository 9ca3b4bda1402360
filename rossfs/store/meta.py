"""The .meta file beside content: what Ross keeps of it, in Ross's own JSON.

    blobs       {"media_type","size","created_at","accessed_at"}
    manifests   {"media_type","size","created_at","schema_version"}, indexes likewise

Times are Unix seconds.  Keys that are not known here are kept when a file is rewritten.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rossfs.store.paths import Area

LIMIT = 64 * 1024
"""Bytes: Ross writes about 150."""

# RFC 6838, 4.2: 127 characters for a type and 127 for a subtype; Ross stores what it was given, so
# there is room for parameters.
_MEDIA_TYPE_LIMIT = 512
_SIZE_LIMIT = 1 << 62


class Meta(NamedTuple):
    """What is known of content.  Times are Unix seconds."""

    media_type: str
    size: int
    created_at: int
    accessed_at: int


class InvalidMeta(ValueError):
    """A .meta file that does not say what it should; it gets rebuilt."""


def parse(data: bytes) -> Meta:
    """Read the bytes of a .meta file; raises InvalidMeta."""
    record = _load(data)
    try:
        media_type = record["media_type"]
        size = record["size"]
        created_at = record["created_at"]
    except KeyError as error:
        raise InvalidMeta(f"no {error.args[0]}") from error
    accessed_at = record.get("accessed_at", created_at)
    # `type is int`: True and False are no numbers here.
    if type(size) is not int or not 0 <= size < _SIZE_LIMIT:
        raise InvalidMeta("size is no size")
    if not (type(created_at) is int and type(accessed_at) is int):
        raise InvalidMeta("a time is no number")
    if not (0 <= created_at < _SIZE_LIMIT and 0 <= accessed_at < _SIZE_LIMIT):
        raise InvalidMeta("a time is out of range")
    if not is_media_type(media_type):
        raise InvalidMeta("media_type is no media type")
    return Meta(media_type, size, created_at, accessed_at)


def salvage_media_type(data: bytes) -> str | None:
    """The media type in a .meta file whose other fields are unusable, or None."""
    try:
        media_type = _load(data).get("media_type")
    except InvalidMeta:
        return None
    return media_type if is_media_type(media_type) else None


def encode(area: Area, meta: Meta) -> bytes:
    """The bytes of a .meta file, as Ross (serde_json::to_string) writes them."""
    record: dict[str, Any] = {
        "media_type": meta.media_type,
        "size": meta.size,
        "created_at": meta.created_at,
    }
    if area is Area.BLOBS:
        record["accessed_at"] = meta.accessed_at
    else:
        record["schema_version"] = "2"
    return _dump(record)


def changed(data: bytes, **fields: int | str) -> bytes:
    """The .meta file *data* with some fields set to other values; raises InvalidMeta."""
    return _dump({**_load(data), **fields})


def is_media_type(text: object) -> bool:
    """Whether *text* can stand as media type in a .meta file: printable ASCII of bounded length."""
    return (
        type(text) is str
        and 0 < len(text) <= _MEDIA_TYPE_LIMIT
        and text.isascii()
        and text.isprintable()
    )


def _load(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    # RecursionError: thousands of brackets.
    except (ValueError, RecursionError) as error:
        raise InvalidMeta(str(error)) from error
    if type(record) is not dict:
        raise InvalidMeta("no JSON object")
    return record


def _dump(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
