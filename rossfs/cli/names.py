"""Arguments that name an image or other content: REF or DIGEST."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, NamedTuple

import click

from rossfs.errors import InvalidReference, RossfsError
from rossfs.oci.digest import Digest
from rossfs.oci.reference import Reference, parse_digest_or_reference

if TYPE_CHECKING:
    from rossfs.store.store import Store

_CANDIDATES = 500


class Named(NamedTuple):
    """What an argument means."""

    digest: Digest
    reference: Reference | None
    """None for a digest."""


def resolve(store: Store, text: str) -> Named:
    """Find what *text* names: `nginx`, `lab/app:v1`, `sha256:<hex>` or the 64 digits.

    TagNotFound, InvalidReference, InvalidDigest.  That a digest is stored is not checked.
    """
    value = parse_digest_or_reference(text)
    if isinstance(value, Digest):
        return Named(value, None)
    if value.digest is not None:
        return Named(value.digest, value)
    assert value.tag is not None, "a reference without digest has a tag"
    return Named(store.tags.get(value.repository, value.tag).digest, value)


def parse_tag(text: str) -> tuple[str, str]:
    """Read *text* as the name of a tag; return repository and tag.  InvalidReference."""
    value = parse_digest_or_reference(text)
    if isinstance(value, Digest) or value.digest is not None or value.tag is None:
        raise InvalidReference(f"{text} is a digest, not the name of a tag")
    return value.repository, value.tag


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The tags that begin with *incomplete*, for the completion of a shell."""
    from rossfs.store.store import Store

    path = ctx.find_root().params.get("store")
    with contextlib.suppress(RossfsError, OSError), Store.open(path or "", read_only=True) as store:
        names = (
            Reference(name.repository, name.tag, None).familiar() for name in store.tags.names()
        )
        matching = (name for name in names if name.startswith(incomplete))
        return sorted(itertools.islice(matching, _CANDIDATES))
    return []
