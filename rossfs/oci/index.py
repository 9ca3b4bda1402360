"""Indexes: the same image for several platforms, or any other set of manifests.

OCI image indexes (image-spec image-index.md) and Docker's manifest lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.document import (
    NO_ANNOTATIONS,
    annotations_field,
    list_field,
    media_type_field,
    parse_document,
)
from rossfs.oci.mediatype import Kind, kind_of
from rossfs.oci.platform import Platform
from rossfs.oci.schema import MAX_DESCRIPTORS, check_schema


class Index(NamedTuple):
    """What an index says; `manifests` are in its order and may be indexes themselves."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = NO_ANNOTATIONS

    @classmethod
    def parse(cls, data: bytes, media_type: str | None = None, what: str = "index") -> Index:
        """Read *data*, of which somebody said that it is *media_type*; *what* names it in messages.

        `manifests` that are null or absent are none (umoci 0.5.1 writes that).  Raises
        InvalidDocument.
        """
        return cls.from_document(parse_document(data, what), media_type, what)

    @classmethod
    def from_document(
        cls, document: dict[str, Any], media_type: str | None = None, what: str = "index"
    ) -> Index:
        """Read JSON that `parse_document` returned, as `parse` does."""
        media_type = check_schema(document, Kind.INDEX, media_type, what)
        manifests = list_field(document, "manifests", what, MAX_DESCRIPTORS)
        subject = document.get("subject")
        return cls(
            media_type,
            tuple(
                Descriptor.parse(manifest, f"{what}: manifest {number}")
                for number, manifest in enumerate(manifests)
            ),
            None if subject is None else Descriptor.parse(subject, f"{what}: subject"),
            media_type_field(document, "artifactType", what),
            annotations_field(document, what),
        )

    def references(self) -> tuple[Descriptor, ...]:
        """Return the manifests.  Any of them may be absent, but what is here is kept."""
        return self.manifests

    def choose(self, platform: Platform) -> Descriptor | None:
        """Return the manifest that fits *platform* best, or None if none does.

        The first of those that fit equally well counts.  Attestations and what is neither a
        manifest nor an index are passed over.  If only one is left and it names no platform, it is
        taken.
        """
        offers = [item for item in self.manifests if _can_be_chosen(item)]
        if len(offers) == 1 and offers[0].platform is None:
            return offers[0]
        fitting = [
            (distance, number)
            for number, item in enumerate(offers)
            if item.platform is not None
            and (distance := platform.distance(item.platform)) is not None
        ]
        return offers[min(fitting)[1]] if fitting else None


def _can_be_chosen(descriptor: Descriptor) -> bool:
    kind = kind_of(descriptor.media_type)
    return kind in (Kind.MANIFEST, Kind.INDEX) and not descriptor.is_attestation
