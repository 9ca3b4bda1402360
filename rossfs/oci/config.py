"""The config of an image: what it runs on, what its layers are, how it was made.

Source: image-spec config.md; Docker's configs have the same members.  What a container is run with
(`config`) is not read here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rossfs.errors import InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.document import (
    digest_in,
    list_field,
    object_field,
    parse_document,
    text_field,
)
from rossfs.oci.platform import Platform
from rossfs.oci.schema import MAX_DESCRIPTORS

MAX_HISTORY = 65_536


class History(NamedTuple):
    """One step of a build; an `empty_layer` changed no file.  What is not stated is empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class Config(NamedTuple):
    """What the config of an image says; `diff_ids` are in the order of the manifest's layers.

    `created` is the text of RFC 3339 that stands there, unchecked; None if there is none.
    """

    platform: Platform | None
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    created: str | None

    @classmethod
    def parse(cls, data: bytes, what: str = "config") -> Config:
        """Read *data*; *what* names it in messages.  Raises InvalidDocument.

        Everything may be absent: the empty config `{}` of an artifact is valid too.
        """
        document = parse_document(data, what)
        rootfs = object_field(document, "rootfs", what) or {}
        diff_ids = list_field(rootfs, "diff_ids", f"{what}: rootfs", MAX_DESCRIPTORS)
        history = list_field(document, "history", what, MAX_HISTORY)
        return cls(
            Platform.from_json(document, what),
            tuple(
                digest_in(item, f"{what}: diff ID {number}") for number, item in enumerate(diff_ids)
            ),
            tuple(_step(item, f"{what}: history {number}") for number, item in enumerate(history)),
            text_field(document, "created", what) or None,
        )

    def layer_history(self) -> tuple[History | None, ...]:
        """Return the step that made each layer, as many as there are diff IDs.

        None where the history has fewer steps than there are layers.
        """
        steps: list[History | None] = [step for step in self.history if not step.empty_layer]
        missing = len(self.diff_ids) - len(steps)
        return tuple((steps + [None] * missing)[: len(self.diff_ids)])


def _step(obj: Any, where: str) -> History:
    if not isinstance(obj, dict):
        raise InvalidDocument(f"{where} is not a JSON object")
    empty = obj.get("empty_layer")
    if empty is not None and not isinstance(empty, bool):
        raise InvalidDocument(f"{where}: empty_layer is neither true nor false")
    return History(
        text_field(obj, "created", where) or "",
        text_field(obj, "created_by", where) or "",
        text_field(obj, "author", where) or "",
        text_field(obj, "comment", where) or "",
        bool(empty),
    )
