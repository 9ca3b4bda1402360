"""References: the names that people give to images.

    [host/]repository[:tag][@digest]

Repository and tag follow the grammar of the distribution specification ("Pulling manifests"), plus
an optional registry host as first component, recognised as docker does it (distribution/reference,
normalize.go): it contains a dot or a colon, or is `localhost`.  A parsed reference is normalised:
`nginx` is `library/nginx:latest`, and `docker.io/` is dropped.  No name that passes has an empty
component, `.`, `..`, or a character that a file name cannot hold.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rossfs.errors import InvalidReference
from rossfs.oci.digest import HEX_LENGTHS, Digest, is_hex_name
from rossfs.oci.quotation import quote

DEFAULT_TAG = "latest"
DEFAULT_NAMESPACE = "library"
DEFAULT_HOSTS = ("docker.io", "index.docker.io")

MAX_REPOSITORY = 255  # characters, host included, as the distribution specification advises
MAX_TAG = 128

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")


class Reference(NamedTuple):
    """A normalised name of an image; a digest, where there is one, counts more than the tag."""

    repository: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read what a person typed; raises InvalidReference, or InvalidDigest after an `@`.

        A name with neither tag nor digest means the tag `latest`.  A bare digest is no reference:
        see `parse_digest_or_reference`.
        """
        name, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        # A colon before the last slash belongs to the port of the host.
        slash = name.rfind("/")
        colon = name.find(":", slash + 1)
        tag = None if colon < 0 else name[colon + 1 :]
        repository = name if colon < 0 else name[:colon]
        if tag is not None:
            if repository in HEX_LENGTHS and is_hex_name(tag, repository):
                raise InvalidReference(f"{quote(text)} is a digest, not a name")
            check_tag(tag)
        elif digest is None:
            if is_hex_name(repository):
                raise InvalidReference(f"{quote(text)} is a digest, not a name")
            tag = DEFAULT_TAG
        return cls(normalise(repository), tag, digest)

    def familiar(self) -> str:
        """Return what people write: without `library/`; it parses to this reference again."""
        namespace, _, rest = self.repository.partition("/")
        # Alone, these two would be taken for digests.
        ambiguous = rest in HEX_LENGTHS or is_hex_name(rest)
        if namespace == DEFAULT_NAMESPACE and rest and "/" not in rest and not ambiguous:
            return rest + self._suffix()
        return str(self)

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        digest = "" if self.digest is None else f"@{self.digest}"
        return tag + digest


def parse_digest_or_reference(text: str) -> Digest | Reference:
    """Read a digest (`sha256:<hex>`, or the 64 digits alone) or else a reference.

    Raises InvalidReference or InvalidDigest.
    """
    if is_hex_name(text):
        return Digest("sha256", text)
    algorithm, colon, encoded = text.partition(":")
    if colon and algorithm in HEX_LENGTHS and is_hex_name(encoded, algorithm):
        return Digest(algorithm, encoded)
    return Reference.parse(text)


def normalise(repository: str) -> str:
    """Return the one form of a repository's name: `library/nginx` for `nginx`, `docker.io/nginx`.

    Raises InvalidReference for what is outside the grammar.
    """
    check_repository(repository)
    first, slash, rest = repository.partition("/")
    while slash and first in DEFAULT_HOSTS:
        repository = rest
        first, slash, rest = repository.partition("/")
    if "/" not in repository:
        if is_hex_name(repository):
            raise InvalidReference(f"{quote(repository)} is a digest, not the name of a repository")
        repository = f"{DEFAULT_NAMESPACE}/{repository}"
    check_repository(repository)
    return repository


def check_repository(text: str) -> None:
    """Raise InvalidReference unless *text* is the name of a repository, complete with namespace."""
    if not text:
        raise InvalidReference('"" is no repository name: it is empty; a tag is in a repository')
    first, slash, rest = text.partition("/")
    if slash and is_host(first):
        _check_components(text, rest)
    else:
        _check_components(text, text)


def check_repository_prefix(text: str) -> None:
    """Raise InvalidReference unless *text* is a repository, or the first components of one.

    `localhost:5000` is no repository, but the directory in which those of that host lie.
    """
    if not is_host(text):
        check_repository(text)


def check_tag(text: str) -> None:
    """Raise InvalidReference unless *text* is a tag of the distribution specification."""
    if _TAG.fullmatch(text) is None:
        raise InvalidReference(f"{quote(text)} is no tag: {_tag_complaint(text)}")


def is_host(component: str) -> bool:
    """Whether a first component is a registry host, `host` or `host:port`, and not a namespace."""
    if len(component) > MAX_REPOSITORY:
        return False
    looks = "." in component or ":" in component or component == "localhost"
    return looks and _HOST.fullmatch(component) is not None


def _check_components(text: str, path: str) -> None:
    """Check *path*, which is *text* with or without its host."""
    if len(text) > MAX_REPOSITORY:
        raise InvalidReference(
            f"the repository name {quote(text, 40)} is longer than {MAX_REPOSITORY} characters"
        )
    for component in path.split("/"):
        if _COMPONENT.fullmatch(component) is None:
            raise InvalidReference(
                f"{quote(text)} is no repository name: {_component_complaint(component)}"
            )


def _component_complaint(component: str) -> str:
    if not component:
        return "a component is empty"
    if any("A" <= character <= "Z" for character in component):
        return f"{quote(component)} is not lower-case"
    return f"{quote(component)} must be a-z and 0-9, with single '.' or '_', '__' or '-' between"


def _tag_complaint(text: str) -> str:
    if not text:
        return "it is empty"
    if len(text) > MAX_TAG:
        return f"it is longer than {MAX_TAG} characters"
    return "it must be letters, digits, '_', '.' and '-', and not begin with '.' or '-'"
