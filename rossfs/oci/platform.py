"""Platforms: operating system, architecture and variant, as Go and the image specification say.

The image of an index that fits a machine is the one of its very platform, or else the one of the
nearest lower variant: a v7 ARM runs what was made for v6 (image-spec image-index.md, "Platform
Variants"; containerd, platforms/compare.go).  A variant that is not stated is the one that the
architecture begins with: v8 for arm64, v7 for arm, v1 for amd64.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any, NamedTuple

from rossfs.errors import InvalidDocument, InvalidPlatform
from rossfs.oci.document import text_field, text_list_field
from rossfs.oci.quotation import quote

MAX_FEATURES = 256

# What uname(2) and people say, in Go's words (containerd, platforms/database.go).
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armel": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}
_SYSTEMS = {"macos": "darwin"}
_DEFAULT_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}

# Parts of a platform become parts of file names.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_LEVEL = re.compile(r"v([0-9]{1,4})(?:\.([0-9]{1,4}))?")


class Platform(NamedTuple):
    """What an image runs on.  Parts that are not stated are empty."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/architecture` or `os/architecture/variant`; raises InvalidPlatform.

        Other words for the same architecture (`aarch64`, `x86_64`, `armhf`) become Go's.
        """
        parts = text.lower().split("/")
        if len(parts) not in (2, 3) or not all(map(_PART.fullmatch, parts)):
            raise InvalidPlatform(f"{quote(text)} is no platform such as linux/arm64/v8")
        architecture, implied = _ARCHITECTURES.get(parts[1], (parts[1], ""))
        variant = parts[2] if len(parts) == 3 else implied
        return cls(_SYSTEMS.get(parts[0], parts[0]), architecture, variant)

    @classmethod
    def from_json(cls, fields: dict[str, Any], where: str) -> Platform | None:
        """Read the members of a descriptor's `platform`, or the same of an image's config.

        None if it names neither a system nor an architecture.  Raises InvalidDocument.
        """
        system = _part(fields, "os", where)
        architecture = _part(fields, "architecture", where)
        variant = _part(fields, "variant", where)
        if not (system or architecture):
            return None
        version = text_field(fields, "os.version", where) or ""
        features = text_list_field(fields, "os.features", where, MAX_FEATURES)
        return cls(system, architecture, variant, version, features)

    @staticmethod
    def host() -> Platform:
        """The platform of this machine."""
        return _host()

    @property
    def is_unknown(self) -> bool:
        """Whether this is `unknown/unknown`, the platform of what cannot be run."""
        return self.os == "unknown" and self.architecture == "unknown"

    @property
    def directory_name(self) -> str:
        """`linux-arm64-v8`: this platform as a file name."""
        variant = f"-{self.variant}" if self.variant else ""
        return f"{self.os or 'unknown'}-{self.architecture or 'unknown'}{variant}"

    def distance(self, offered: Platform) -> tuple[int, int, int] | None:
        """Return how far what was made for *offered* is from fitting here; None if it does not.

        The smallest fits best.  All but the order of these tuples is meaningless.
        """
        if (self.os.lower(), _architecture(self)) != (offered.os.lower(), _architecture(offered)):
            return None
        wanted, found = _variant(self), _variant(offered)
        if wanted == found:
            return (0, 0, 0)
        highest, level = _level(wanted), _level(found)
        if highest is not None and level is not None and level <= highest:
            return (1, -level[0], -level[1])
        # Images were made for all ARMs alike before variants were stated.
        return None if offered.variant else (2, 0, 0)

    def as_json(self) -> dict[str, Any]:
        """Return the members of a descriptor's `platform`, in the order of the specification."""
        fields: dict[str, Any] = {"architecture": self.architecture, "os": self.os}
        if self.os_version:
            fields["os.version"] = self.os_version
        if self.os_features:
            fields["os.features"] = list(self.os_features)
        if self.variant:
            fields["variant"] = self.variant
        return fields

    def __str__(self) -> str:
        variant = f"/{self.variant}" if self.variant else ""
        return f"{self.os or 'unknown'}/{self.architecture or 'unknown'}{variant}"


@cache
def _host() -> Platform:
    machine = os.uname()
    return Platform.parse(f"{machine.sysname}/{machine.machine}")


def _part(fields: dict[str, Any], name: str, where: str) -> str:
    text = text_field(fields, name, where)
    if not text:
        return ""
    if _PART.fullmatch(text) is None:
        raise InvalidDocument(f"{where}: {name} cannot be part of a platform: {quote(text)}")
    return text


def _architecture(platform: Platform) -> str:
    name = platform.architecture.lower()
    return _ARCHITECTURES.get(name, (name, ""))[0]


def _variant(platform: Platform) -> str:
    if platform.variant:
        # Docker wrote "8" for a while.
        variant = platform.variant.lower()
        return f"v{variant}" if variant[0].isdigit() else variant
    name = platform.architecture.lower()
    implied = _ARCHITECTURES.get(name, (name, ""))[1]
    return implied or _DEFAULT_VARIANTS.get(_architecture(platform), "")


def _level(variant: str) -> tuple[int, int] | None:
    found = _LEVEL.fullmatch(variant)
    return None if found is None else (int(found[1]), int(found[2] or 0))
