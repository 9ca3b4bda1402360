"""Where everything lies in the store directory.

Paths are `str` (os.fsdecode), absolute, and never checked here: a `Digest`, a repository and a tag
were checked when they were parsed.
"""

from __future__ import annotations

import os
from enum import StrEnum

from rossfs.oci.digest import STORED_ALGORITHMS, Digest

META = ".meta"
"""What Ross appends to the name of content for the name of its metadata."""


class Area(StrEnum):
    """The three directories of content, by what Ross files there."""

    BLOBS = "blobs"
    MANIFESTS = "manifests"
    INDEXES = "indexes"

    @property
    def noun(self) -> str:
        """The word for one of them."""
        return "index" if self is Area.INDEXES else self.value.removesuffix("s")


ALGORITHMS = STORED_ALGORITHMS
"""Algorithms under which content can be filed: there is a directory for each in every area."""


class Paths:
    """Every path of one store."""

    __slots__ = (
        "_areas",
        "cache",
        "format",
        "incoming",
        "layouts",
        "lock",
        "pins",
        "quarantine",
        "root",
        "scratch",
        "settings",
        "tags",
        "uses",
    )

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.format = f"{self.root}/format"
        self.lock = f"{self.root}/lock"
        self.settings = f"{self.root}/settings"
        self.tags = f"{self.root}/tags"
        self.incoming = f"{self.root}/incoming"
        # In the store's own filesystem, so that a rename out of it is atomic; in a directory that
        # Ross ignores.
        self.scratch = f"{self.incoming}/.tmp"
        self.layouts = f"{self.root}/layouts"
        self.pins = f"{self.root}/pins"
        self.uses = f"{self.root}/uses"
        self.quarantine = f"{self.root}/quarantine"
        self.cache = f"{self.root}/cache"
        self._areas = {area: f"{self.root}/{area.value}" for area in Area}

    def directory_of(self, path: str) -> str | None:
        """The directory of the store that is or holds the absolute *path*; None if it is none of
        those that are read and written here."""
        own = (*self._areas.values(), self.tags, self.incoming, self.layouts, self.pins)
        for directory in (*own, self.uses, self.quarantine, self.cache):
            if os.path.commonpath([path, directory]) == directory:
                return directory
        return None

    def area(self, area: Area, algorithm: str = "sha256") -> str:
        """The directory that holds the content of *area* hashed with *algorithm*."""
        return f"{self._areas[area]}/{algorithm}"

    def content(self, area: Area, digest: Digest) -> str:
        """The file that holds the bytes of *digest*."""
        return f"{self._areas[area]}/{digest.algorithm}/{digest.hex}"

    def meta(self, area: Area, digest: Digest) -> str:
        """The file that holds what is known of *digest*."""
        return f"{self._areas[area]}/{digest.algorithm}/{digest.hex}{META}"

    def repository(self, repository: str) -> str:
        """The directory of a repository's tags."""
        return f"{self.tags}/{repository}"

    def layout(self, repository: str) -> str:
        """The directory in which lies what a repository's layout has beside tags."""
        return f"{self.layouts}/{repository}"

    def tag(self, repository: str, tag: str) -> str:
        """The file of one tag."""
        return f"{self.tags}/{repository}/{tag}"
