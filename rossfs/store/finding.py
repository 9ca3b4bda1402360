"""What a check finds: one fault, and what was done about it."""

from __future__ import annotations

import enum
from enum import StrEnum
from typing import NamedTuple

from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store.paths import Area, Paths
from rossfs.store.verify import Identity

_WHERE_LIMIT = 400


class Kind(StrEnum):
    """What is wrong."""

    DAMAGED = "damaged"
    """Content whose bytes do not hash to its name, that cannot be read, or that is no file."""
    METADATA = "metadata"
    """A .meta that is missing, cannot be read, contradicts its content or lies alone."""
    SIZE = "size"
    """A .meta or a descriptor that says another size than the content has."""
    MISSING_REFERENCE = "missing-reference"
    """A manifest that needs what is not stored."""
    DOCUMENT = "document"
    """Something in manifests/ or indexes/ that is neither manifest nor index."""
    INDEX_LINK = "index-link"
    """An index that does not lie in manifests/, where Ross resolves tags."""
    DANGLING_TAG = "dangling-tag"
    """A tag that names what is not stored."""
    BAD_TAG = "bad-tag"
    """A tag file that cannot be read."""
    STRAY = "stray"
    """A name that means nothing where it is."""
    LEFTOVER = "leftover"
    """A temporary file of a process that is dead."""
    PIN = "pin"
    """A link in incoming/ to what is not stored."""
    USE = "use"
    """A layer that podman uses and is not stored, or a record of a use that cannot be read."""
    LAYOUT = "layout"
    """The record of a layout that cannot be read, or names what is not stored."""
    RECORD = "record"
    """A commit that was accepted and is not carried out."""


class Severity(StrEnum):
    """How bad it is."""

    DAMAGE = "damage"
    """Something was lost, or cannot be used."""
    NOTE = "note"
    """Nothing is lost: a crash may leave this, or another program may have made it."""


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: Kind
    severity: Severity
    where: str
    """Path below the store, in quotes where it cannot be printed."""
    text: str
    """One line."""
    moved: str | None = None
    """Where a repair put it, below the store."""
    repaired: bool = False
    """A repair did away with it."""

    @property
    def is_damage(self) -> bool:
        """Whether it is more than a note."""
        return self.severity is Severity.DAMAGE

    def __str__(self) -> str:
        done = ""
        if self.moved is not None:
            done = f" (moved to {self.moved})"
        elif self.repaired:
            done = " (repaired)"
        return f"{self.severity}: {self.where} {self.text}{done}"


class Cure(enum.Enum):
    """What a repair does about a fault."""

    NONE = enum.auto()
    """Nothing: it cannot be invented, or is somebody's."""
    QUARANTINE = enum.auto()
    """Move content aside, with its .meta."""
    QUARANTINE_TAG = enum.auto()
    """Move a tag file aside."""
    QUARANTINE_LAYOUT = enum.auto()
    """Move the record of a layout aside: its tags stay."""
    QUARANTINE_RECORD = enum.auto()
    """Move the record of a commit aside."""
    KEEP_USED = enum.auto()
    """Keep what the record of a use is of; move the record aside if that cannot be told."""
    REBUILD = enum.auto()
    """Write the .meta anew from the content."""
    RETYPE = enum.auto()
    """Write the media type that a manifest or index says into its .meta."""
    REMOVE_META = enum.auto()
    """Remove a .meta without content."""
    LINK = enum.auto()
    """Link an index where Ross looks."""
    TIDY = enum.auto()
    """Remove temporary files of dead processes, and marks of what is gone."""


class Fault(NamedTuple):
    """A finding, and what a repair has to know."""

    finding: Finding
    path: str
    cure: Cure = Cure.NONE
    area: Area | None = None
    digest: Digest | None = None
    identity: Identity | None = None
    """The state of the file that was judged: a file in another state is not touched."""


def place(paths: Paths, path: str) -> str:
    """How a finding names *path*."""
    below = path.removeprefix(f"{paths.root}/")
    if below.isprintable() and len(below) <= _WHERE_LIMIT:
        return below
    return quote(below, _WHERE_LIMIT)
