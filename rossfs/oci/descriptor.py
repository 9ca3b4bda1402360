"""Descriptors: what content is, how long, and under which digest (image-spec, descriptor.md)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from rossfs.errors import InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.document import (
    NO_ANNOTATIONS,
    annotations_field,
    digest_field,
    media_type_field,
    object_field,
    size_field,
    text_field,
    text_list_field,
)
from rossfs.oci.platform import Platform

MAX_URLS = 1024

# BuildKit marks what is about an image, and not an image, so that clients that know nothing of it
# do not choose it (buildkit, docs/attestations/attestation-storage.md).
REFERENCE_TYPE = "vnd.docker.reference.type"


class Descriptor(NamedTuple):
    """A pointer to content.  `annotations` is not to be changed; `data` is the content itself.

    `data` is what somebody else wrote: it counts only if it hashes to `digest`.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = NO_ANNOTATIONS
    urls: tuple[str, ...] = ()
    artifact_type: str | None = None
    data: bytes | None = None

    @classmethod
    def parse(cls, obj: object, where: str) -> Descriptor:
        """Read a descriptor out of a document; *where* names it in messages ("manifest: config").

        Media type, digest and size must be there; unknown members are passed over.  Raises
        InvalidDocument.
        """
        if not isinstance(obj, dict):
            raise InvalidDocument(f"{where} is no descriptor: it is not a JSON object")
        media_type = media_type_field(obj, "mediaType", where)
        if media_type is None:
            raise InvalidDocument(f"{where} has no mediaType")
        platform = object_field(obj, "platform", where)
        return cls(
            media_type,
            digest_field(obj, "digest", where),
            size_field(obj, "size", where),
            None if platform is None else Platform.from_json(platform, f"{where}: platform"),
            annotations_field(obj, where),
            text_list_field(obj, "urls", where, MAX_URLS),
            media_type_field(obj, "artifactType", where),
            _data(obj, where),
        )

    @classmethod
    def of(cls, data: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
        """Describe *data*; raises InvalidDigest for an algorithm that cannot be hashed here."""
        return cls(media_type, Digest.of(data, algorithm), len(data))

    @property
    def is_attestation(self) -> bool:
        """Whether this is about another manifest of its index, not for any machine to run."""
        unknown = self.platform is not None and self.platform.is_unknown
        return unknown or REFERENCE_TYPE in self.annotations

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object, its members in the order in which Go's tools write them.

        What is empty is left out.
        """
        fields: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            fields["urls"] = list(self.urls)
        if self.annotations:
            fields["annotations"] = dict(self.annotations)
        if self.data is not None:
            fields["data"] = base64.b64encode(self.data).decode("ascii")
        if self.platform is not None:
            fields["platform"] = self.platform.as_json()
        if self.artifact_type is not None:
            fields["artifactType"] = self.artifact_type
        return fields


def _data(fields: dict[str, Any], where: str) -> bytes | None:
    text = text_field(fields, "data", where)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidDocument(f"{where}: data is not base64") from None
