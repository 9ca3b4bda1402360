"""The names under which podman knows the tags of a store.

    docker.io/<repository>:<tag>, localhost/<repository>:<tag>     of a tag without registry host
    <host>/<repository>:<tag>                                      of a tag with one

A name belongs to one image: where two tags would have the same, the one that says it itself has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rossfs.oci.reference import DEFAULT_HOSTS, DEFAULT_NAMESPACE, MAX_REPOSITORY, is_host
from rossfs.store.tags import TagName

_HUB = DEFAULT_HOSTS[0]
_LOCAL = "localhost"

# containers/image docker/reference/regexp.go, DomainRegexp: no addresses of IPv6.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?")


def podman_names(tag: TagName) -> Iterator[tuple[str, int]]:
    """Each name of *tag*, and how far it is from what the tag itself says; none if podman could not
    read them."""
    first, slash, rest = tag.repository.partition("/")
    if slash and is_host(first):
        if first in DEFAULT_HOSTS:
            yield from _named(_HUB, _spaced(rest), tag.tag, int("/" not in rest))
        elif _DOMAIN.fullmatch(first):
            yield from _named(first, rest, tag.tag, 0)
        return
    yield from _named(_HUB, _spaced(tag.repository), tag.tag, 1 if slash else 2)
    yield from _named(_LOCAL, tag.repository, tag.tag, 1)


def _named(host: str, repository: str, tag: str, distance: int) -> Iterator[tuple[str, int]]:
    name = f"{host}/{repository}"
    if len(name) <= MAX_REPOSITORY:
        yield f"{name}:{tag}", distance


def _spaced(repository: str) -> str:
    """The repository in docker.io: podman reads docker.io/nginx as docker.io/library/nginx."""
    return repository if "/" in repository else f"{DEFAULT_NAMESPACE}/{repository}"
