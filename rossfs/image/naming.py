"""Which images of a source are imported, and what they are called.

What the user says counts before what the source says.  A source that knows only a tag (an OCI
layout, mostly) gets its repository from the name of its file or directory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from rossfs.errors import InvalidReference, TagNotFound, UsageError
from rossfs.image.source import Root
from rossfs.image.transport import STREAM, Place
from rossfs.oci.quotation import first_of, quote
from rossfs.oci.reference import DEFAULT_TAG, Reference, check_tag

_EXTENSIONS = (".tar.gz", ".tgz", ".tar", ".oci", ".docker", ".dir")


class Named(NamedTuple):
    """One image to import, and its tags."""

    root: Root
    references: tuple[Reference, ...]


def choose(roots: Sequence[Root], place: Place, name: str | None) -> list[Named]:
    """Decide which of *roots* to import and under which references.

    UsageError where the user has to say more, TagNotFound for a selection that is not there,
    InvalidReference for a name that cannot be one here.
    """
    chosen = _select(roots, place)
    if name is not None:
        named = _call(chosen, place, name)
    else:
        repository = _repository_of(place)
        named = [
            Named(root, tuple(_reference(text, repository, place) for text in root.names or [""]))
            for root in chosen
        ]
    _refuse_doubles(named)
    return named


def _select(roots: Sequence[Root], place: Place) -> list[Root]:
    if not roots:
        raise TagNotFound(f"{place.path} holds no image")
    wanted = place.selection
    if wanted:
        found = [
            root
            for number, root in enumerate(roots)
            if wanted in (f"@{number}", str(root.descriptor.digest)) or _is_called(root, wanted)
        ]
        if not found:
            raise TagNotFound(
                f"{place.path} holds no image {quote(wanted)}; it has {_listed(roots)}"
            )
        return found
    if len(roots) == 1:
        return list(roots)
    tagged = [root for root in roots if root.names]
    if not tagged:
        raise UsageError(
            f"{place.path} holds {len(roots)} images without names: choose one, as in oci:DIR:@0"
        )
    return tagged


def _call(roots: list[Root], place: Place, name: str) -> list[Named]:
    reference = Reference.parse(name)
    if reference.digest is not None:
        roots = [root for root in roots if root.descriptor.digest == reference.digest]
        if not roots:
            raise TagNotFound(f"{place.path} holds no image {reference.digest}")
    if len(roots) == 1:
        return [Named(roots[0], (_tagged(reference),))]
    if _says_tag(name):
        raise UsageError(
            f"{place.path} holds {len(roots)} images and {quote(name)} can name only one: choose "
            f"one, as in oci:DIR:TAG; it has {_listed(roots)}"
        )
    return [
        Named(root, tuple(reference._replace(tag=_tag_of(text)) for text in root.names))
        for root in roots
    ]


def _reference(text: str, repository: str | None, place: Place) -> Reference:
    """What the source calls an image, in full: *text* is a reference, only a tag, or empty."""
    if "/" in text or ":" in text:
        try:
            return _tagged(Reference.parse(text))
        except InvalidReference as error:
            raise InvalidReference(f"{error}: give it a NAME") from error
    if repository is None:
        raise UsageError(f"{place.path} does not say what its image is called: give it a NAME")
    try:
        check_tag(text or DEFAULT_TAG)
    except InvalidReference as error:
        raise InvalidReference(f"{error}: give it a NAME") from error
    return _tagged(Reference.parse(f"{repository}:{text or DEFAULT_TAG}"))


def _tagged(reference: Reference) -> Reference:
    return reference._replace(tag=reference.tag or DEFAULT_TAG, digest=None)


def _repository_of(place: Place) -> str | None:
    """A repository name from the name of the source's file; None if it cannot be one."""
    if place.path == STREAM:
        return None
    base = os.path.basename(os.path.abspath(place.path))
    for extension in _EXTENSIONS:
        base = base.removesuffix(extension)
    try:
        return Reference.parse(base).repository
    except InvalidReference:
        return None


def _is_called(root: Root, wanted: str) -> bool:
    for name in root.names:
        if wanted in (name, _tag_of(name)):
            return True
        try:
            if "/" in wanted or ":" in wanted:
                parsed = _tagged(Reference.parse(wanted))
                if "/" in name or ":" in name:
                    return parsed == _tagged(Reference.parse(name))
        except InvalidReference:
            continue
    return False


def _tag_of(name: str) -> str:
    """The tag in a reference; a text that is no reference is a tag."""
    _, colon, tag = name.rpartition("/")[2].rpartition(":")
    if colon:
        return tag
    return DEFAULT_TAG if "/" in name else name


def _says_tag(name: str) -> bool:
    return ":" in name.rpartition("/")[2] or "@" in name


def _listed(roots: Sequence[Root]) -> str:
    names = [quote(name) for root in roots for name in root.names]
    return first_of(names) if names else "none with a name"


def _refuse_doubles(named: Sequence[Named]) -> None:
    seen: dict[Reference, Root] = {}
    for root, references in named:
        for reference in references:
            other = seen.setdefault(reference, root)
            if other.descriptor.digest != root.descriptor.digest:
                raise UsageError(
                    f"two images would be called {reference}: {other.descriptor.digest} and "
                    f"{root.descriptor.digest}; choose one, as in oci:DIR:@0"
                )
