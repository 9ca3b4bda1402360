"""Where the bytes of a store are: what each image takes, and what images have in common.

Only tags, manifests, indexes and the sizes of files are looked at; no blob is read.  An image is
what a tag names, an index with all platforms that are stored; several tags of one digest are one
image.  Content is *shared* if another image needs it too, else the image has it *exclusively*:
that is what `rossfs gc --delete-untagged` frees when the image loses its tags.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rossfs.errors import ManifestNotFound, RossfsError
from rossfs.image.resolve import DEPTH
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.recognise import parse_as
from rossfs.store.areas import stored_size
from rossfs.store.store import Store
from rossfs.store.tags import TagName


class Part(NamedTuple):
    """One manifest of an image: the image itself, or that of one platform of an index."""

    digest: Digest
    config: Digest
    layers: tuple[Digest, ...]
    """The bottom first."""
    platform: str
    """What the index says; empty for what is in none."""


class Stored(NamedTuple):
    """One content that an image needs."""

    size: int | None
    """Bytes; None if it is not stored."""
    users: int
    """Images that need it."""
    tagged: bool
    """A tag leads to it."""


class ImageUsage(NamedTuple):
    """What one image takes.  Sizes are bytes of stored content, each content once."""

    digest: Digest
    names: tuple[TagName, ...]
    parts: tuple[Part, ...]
    contents: tuple[Digest, ...]
    """Manifests, indexes, configs and layers, each once, in the order in which they are named."""
    total: int
    shared: int
    share: float
    """The image's part of the store: each content divided by the images that need it."""
    missing: int
    """Contents that are not stored."""
    error: str
    """Why it cannot be read; else empty."""

    @property
    def exclusive(self) -> int:
        """Bytes that no other image needs."""
        return self.total - self.shared


class Amount(NamedTuple):
    """Some content or files, counted."""

    number: int
    size: int


class Usage(NamedTuple):
    """All images of a store."""

    images: tuple[ImageUsage, ...]
    """The one with the largest part of the store first."""
    contents: Mapping[Digest, Stored]
    faults: tuple[str, ...]
    """One line for each tag that cannot be read."""

    @property
    def tagged(self) -> Amount:
        """What tags lead to."""
        sizes = [one.size for one in self.contents.values() if one.tagged and one.size is not None]
        return Amount(len(sizes), sum(sizes))

    @property
    def shared(self) -> Amount:
        """What several images need."""
        sizes = [one.size or 0 for one in self.contents.values() if one.users > 1]
        return Amount(len(sizes), sum(sizes))


class _Document(NamedTuple):
    part: Part | None
    below: tuple[tuple[Digest, str], ...]  # of an index


def survey(store: Store, *more: Digest) -> Usage:
    """Look at all tagged images of *store*, and at the manifests or indexes *more*.

    What is damaged or missing is told in `ImageUsage.error` and `Usage.faults`, never raised.
    """
    names: dict[Digest, list[TagName]] = {}
    faults = []
    for name in sorted(store.tags.names()):
        try:
            names.setdefault(store.tags.get(name.repository, name.tag).digest, []).append(name)
        except RossfsError as error:
            faults.append(f"{name}: {error}")
    for digest in more:
        names.setdefault(digest, [])
    found = _Survey(store)
    images = [found.look(digest, tuple(tags)) for digest, tags in names.items()]
    counted = sorted(map(found.counted, images), key=lambda image: (-image.share, image.names))
    return Usage(tuple(counted), found.contents, tuple(faults))


def untagged(store: Store, usage: Usage) -> Amount:
    """The content that is stored and that no tag leads to."""
    count = size = 0
    for digest in store.contents.everything():
        known = usage.contents.get(digest)
        if known is None or not known.tagged:
            found = stored_size(store.paths, digest)
            count += found is not None
            size += found or 0
    return Amount(count, size)


def files_in(directory: str) -> Amount:
    """The files that lie in *directory*, which may be missing."""
    count = size = 0
    try:
        entries = os.scandir(directory)
    except OSError:
        return Amount(0, 0)
    with entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if entry.is_file(follow_symlinks=False):
                count += 1
                size += status.st_size
    return Amount(count, size)


class _Survey:
    """What was seen so far."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._documents: dict[Digest, _Document] = {}
        self.contents: dict[Digest, Stored] = {}

    def look(self, digest: Digest, names: tuple[TagName, ...]) -> ImageUsage:
        """One image; its sizes are not known before all have been looked at."""
        parts: list[Part] = []
        contents: dict[Digest, None] = {}
        error = ""
        waiting = [(digest, "", 0)]
        while waiting:
            one, platform, depth = waiting.pop()
            if one in contents:
                continue
            contents[one] = None
            try:
                document = self._read(one)
            except RossfsError as problem:
                # An index need not be complete.
                if one == digest or not isinstance(problem, ManifestNotFound):
                    error = error or str(problem)
                continue
            if document.part is not None:
                part = document.part._replace(platform=platform)
                parts.append(part)
                contents |= dict.fromkeys((part.config, *part.layers))
            elif depth < DEPTH:
                waiting += [(*below, depth + 1) for below in reversed(document.below)]
        for one in contents:
            known = self.contents.get(one)
            if known is None:
                known = Stored(stored_size(self._store.paths, one), 0, False)
            self.contents[one] = Stored(known.size, known.users + 1, known.tagged or bool(names))
        return ImageUsage(digest, names, tuple(parts), tuple(contents), 0, 0, 0.0, 0, error)

    def counted(self, image: ImageUsage) -> ImageUsage:
        """*image* with its sizes."""
        total = shared = missing = 0
        share = 0.0
        for size, users, _ in map(self.contents.__getitem__, image.contents):
            if size is None:
                missing += 1
                continue
            total += size
            share += size / users
            shared += size if users > 1 else 0
        return image._replace(total=total, shared=shared, share=share, missing=missing)

    def _read(self, digest: Digest) -> _Document:
        known = self._documents.get(digest)
        if known is None:
            value = parse_as(*self._store.get_manifest(digest))
            if isinstance(value, Manifest):
                layers = tuple(layer.digest for layer in value.layers)
                known = _Document(Part(digest, value.config.digest, layers, ""), ())
            else:
                known = _Document(None, tuple(_below(value.manifests)))
            self._documents[digest] = known
        return known


def _below(manifests: Iterable[Descriptor]) -> Iterator[tuple[Digest, str]]:
    for item in manifests:
        yield item.digest, "" if item.platform is None else str(item.platform)
