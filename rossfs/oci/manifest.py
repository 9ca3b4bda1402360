"""Manifests: one image or artifact, its config and its layers.

OCI image manifests (image-spec manifest.md), artifacts in their form, and Docker's manifests of
version 2, schema 2.  The bytes are what has a digest; a Manifest is only what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rossfs.errors import InvalidDocument
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.document import (
    NO_ANNOTATIONS,
    annotations_field,
    list_field,
    media_type_field,
    parse_document,
)
from rossfs.oci.mediatype import Kind, kind_of
from rossfs.oci.schema import MAX_DESCRIPTORS, check_schema


class Manifest(NamedTuple):
    """What a manifest says; `layers` are in its order, the bottom first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = NO_ANNOTATIONS

    @classmethod
    def parse(cls, data: bytes, media_type: str | None = None, what: str = "manifest") -> Manifest:
        """Read *data*, of which somebody said that it is *media_type*; *what* names it in messages.

        Raises InvalidDocument.
        """
        return cls.from_document(parse_document(data, what), media_type, what)

    @classmethod
    def from_document(
        cls, document: dict[str, Any], media_type: str | None = None, what: str = "manifest"
    ) -> Manifest:
        """Read JSON that `parse_document` returned, as `parse` does."""
        media_type = check_schema(document, Kind.MANIFEST, media_type, what)
        config, subject = document.get("config"), document.get("subject")
        if config is None:
            raise InvalidDocument(f"{what} has no config")
        layers = list_field(document, "layers", what, MAX_DESCRIPTORS)
        return cls(
            media_type,
            Descriptor.parse(config, f"{what}: config"),
            tuple(
                Descriptor.parse(layer, f"{what}: layer {number}")
                for number, layer in enumerate(layers)
            ),
            None if subject is None else Descriptor.parse(subject, f"{what}: subject"),
            media_type_field(document, "artifactType", what),
            annotations_field(document, what),
        )

    def references(self) -> tuple[Descriptor, ...]:
        """Return all that the manifest is incomplete without: the config, then the layers.

        The subject is not among them; it may be absent (image-spec manifest.md, "subject").
        """
        return (self.config, *self.layers)

    @property
    def is_image(self) -> bool:
        """Whether this has a root filesystem: the config of an image, and nothing but layers.

        Attestations have the config of an image too, but their layers are statements.
        """
        return kind_of(self.config.media_type) is Kind.CONFIG and all(
            kind_of(layer.media_type) is Kind.LAYER for layer in self.layers
        )
