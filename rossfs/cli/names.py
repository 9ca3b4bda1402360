"""Arguments that name an image or other content, REF or DIGEST, and how tags are shown."""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

import click

from rossfs.errors import (
    AmbiguousDigest,
    InvalidReference,
    RossfsError,
    TagNotFound,
    UsageError,
)
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.oci.reference import (
    DEFAULT_NAMESPACE,
    Reference,
    normalise,
    parse_digest_or_reference,
)

if TYPE_CHECKING:
    from rossfs.store.store import Store
    from rossfs.store.tags import TagName

_CANDIDATES = 500

_LOCAL = "localhost/"
"""Stands in podman before the repositories that have no host: imagenames.py."""

_PREFIX = re.compile("[0-9a-f]{6,63}")
"""What may be the beginning of a digest: `rossfs images` shows 12 digits."""


class Named(NamedTuple):
    """What an argument means."""

    digest: Digest
    reference: Reference | None
    """None for a digest."""


def resolve(store: Store, text: str) -> Named:
    """Find what *text* names: `nginx`, `lab/app:v1`, `sha256:<hex>`, the 64 digits, or at least six
    of them where only one image, or else only one blob, begins with those and no tag has that name.

    TagNotFound, AmbiguousDigest, InvalidReference, InvalidDigest.  That a whole digest is stored is
    not checked.
    """
    value = parse_digest_or_reference(text)
    if isinstance(value, Digest):
        return Named(value, None)
    if value.digest is not None:
        return Named(value.digest, value)
    assert value.tag is not None, "a reference without digest has a tag"
    value = _stored(store, value)
    try:
        return Named(store.tags.get(value.repository, value.tag or "").digest, value)
    except TagNotFound as error:
        if not _PREFIX.fullmatch(text):
            raise
        digest = _beginning(store, text)
        if digest is None:
            raise TagNotFound(f"{error}, and no digest begins with {text}") from error
        return Named(digest, None)


def split_path(text: str) -> tuple[str, str | None]:
    """The name and the path of NAME:/PATH; None if there is no path.

    UsageError for a path that does not begin with a slash.
    """
    name, colon, path = text.partition(":/")
    if colon:
        return name, f"/{path}"
    try:
        parse_digest_or_reference(text)
    except InvalidReference as error:
        name, _, path = text.rpartition(":")
        if name and "/" in path:
            hint = f"a path begins with /, as in {name}:/{path}"
            raise UsageError(f"{quote(text)} is no name: {hint}") from error
        raise
    return text, None


def repository_in(store: Store, text: str) -> str:
    """The repository that *text* names: `library/nginx` for nginx, but nginx if only that exists,
    as `mkdir tags/nginx` in a mount makes it; podman's names as `_here` has them.
    InvalidReference."""
    repository = _here(store, normalise(text))
    short = repository.removeprefix(f"{DEFAULT_NAMESPACE}/")
    if not store.tags.is_repository(repository) and store.tags.is_repository(short):
        return short
    return repository


def familiar(name: TagName) -> str:
    """What people write for a tag: `nginx:latest` for that of library/nginx."""
    return Reference(name.repository, name.tag, None).familiar()


def parse_tag(text: str) -> tuple[str, str]:
    """Read *text* as the name of a tag; return repository and tag.  InvalidReference."""
    value = parse_digest_or_reference(text)
    if isinstance(value, Digest) or value.digest is not None or value.tag is None:
        raise InvalidReference(f"{text} is a digest, not the name of a tag")
    return value.repository, value.tag


def tag_in(store: Store, text: str) -> tuple[str, str]:
    """Read *text* as the name of a tag that exists, in the repository of `repository_in`."""
    repository, tag = parse_tag(text)
    return _stored(store, Reference(repository, tag, None)).repository, tag


def _stored(store: Store, reference: Reference) -> Reference:
    """*reference*, or the same tag in the repository without `library/` if only that has it;
    podman's names as `_here` has them."""
    repository = _here(store, reference.repository, reference.tag)
    reference = reference._replace(repository=repository)
    tag = reference.tag
    short = repository.removeprefix(f"{DEFAULT_NAMESPACE}/")
    if short == repository or tag is None or store.tags.find(repository, tag) is not None:
        return reference
    if store.tags.find(short, tag) is None:
        return reference
    return reference._replace(repository=short)


def _here(store: Store, repository: str, tag: str | None = None) -> str:
    """The repository for a name of podman's, which calls lab/app `localhost/lab/app`; *repository*
    itself if the store has that one, or none that has *tag*."""
    local = repository.removeprefix(_LOCAL)
    if local == repository or store.tags.is_repository(repository):
        return repository
    meant = [local]
    with contextlib.suppress(InvalidReference):
        meant.append(normalise(local))
    for name in meant:
        if store.tags.is_repository(name) and (tag is None or store.tags.find(name, tag)):
            return name
    return repository


def _beginning(store: Store, prefix: str) -> Digest | None:
    """The one manifest or index whose digits begin with *prefix*, or else the one blob.

    AmbiguousDigest for several.
    """
    documents = itertools.chain(store.list_manifests(), store.list_indexes())
    for everything in (documents, store.list_blobs()):
        found = {digest for digest in everything if digest.hex.startswith(prefix)}
        if len(found) > 1:
            raise AmbiguousDigest(f"{prefix} begins {len(found)} digests: give more digits")
        if found:
            return found.pop()
    return None


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The tags that begin with *incomplete*, for the completion of a shell."""
    from rossfs.store.store import Store

    path = ctx.find_root().params.get("store")
    with contextlib.suppress(RossfsError, OSError), Store.open(path or "", read_only=True) as store:
        names = map(familiar, store.tags.names())
        matching = (name for name in names if name.startswith(incomplete))
        return sorted(itertools.islice(matching, _CANDIDATES))
    return []
