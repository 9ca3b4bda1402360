"""Which images of a store podman is shown, and as what (imagestore.py).

Shown is what is for one platform, complete, and an image: tagged or not, through an index or not.
What is left out is told once in the log if a tag names it.  Nothing but tags, manifests, configs
and a few bytes of tables is read; no layer is looked into.

What a manifest says is remembered, for it cannot change: about a kilobyte for each.  What tags say,
and which content is there, is asked again where something changed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from rossfs.errors import InvalidDocument, RossfsError, TooManyFiles
from rossfs.image.cache import Cache
from rossfs.image.configuration import config_of
from rossfs.image.imagenames import podman_names
from rossfs.image.imagestore import BigData, ImageStore, StoreImage, StoreLayer, go_time, layer_ids
from rossfs.image.knowntags import KnownTags
from rossfs.image.layerlengths import LayerLengths
from rossfs.image.opened import MAX_LAYERS
from rossfs.image.resolve import Image, choose, read, resolve
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import layer_extension
from rossfs.oci.platform import Platform
from rossfs.store import areas
from rossfs.store.changes import Told
from rossfs.store.content import Unproven
from rossfs.store.paths import META, Area
from rossfs.store.store import Store
from rossfs.store.tags import TagName

Watch = Callable[..., None]
"""Changes.watch."""

_ALGORITHM = "sha256"
"""Of the content whose directories are watched."""

_KNOWN = 200_000
_AWAITED = 256
_TOLD = 1000
_RANKS = {"tar": 0, "tar.gz": 1}
"""Of two blobs for one layer the one that is read with less work."""

_log = logging.getLogger("rossfs.tree")


class _Part(NamedTuple):
    """What a manifest says, with its config.  Sizes are bytes."""

    manifest: Digest
    size: int
    config: Digest
    config_size: int
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[Digest, ...]
    created: str
    layers_created: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, str]:
        """The smallest of several manifests of one image is the image's."""
        ranks = (_RANKS.get(layer_extension(layer.media_type), 2) for layer in self.layers)
        return max(ranks, default=0), self.manifest.hex


class _LeftOut(Exception):
    """The image cannot be shown; *for_ever*: whatever else will be stored."""

    def __init__(self, reason: str, for_ever: bool = True) -> None:
        super().__init__(reason)
        self.for_ever = for_ever


class _Found:
    """What one survey has found of an image."""

    __slots__ = ("documents", "names", "parts")

    def __init__(self) -> None:
        self.parts: dict[Digest, _Part] = {}
        self.documents: dict[Digest, int] = {}
        """The indexes that led to it, and their sizes."""
        self.names: list[str] = []


class Survey:
    """Looks at one store, again and again.  Thread safe."""

    def __init__(self, store: Store, cache: Cache, platform: Platform) -> None:
        self._store = store
        self.lengths = LayerLengths(store, cache)
        self._platform = platform
        self._lock = threading.Lock()
        self._parts: dict[Digest, _Part | str] = {}
        """A text says why a manifest is never shown."""
        self._told: set[str] = set()
        self._awaited: dict[Digest, None] = {}
        self._there: set[Digest] = set()
        self._tags = KnownTags(store.tags, store.paths)

    def arrived(self) -> bool:
        """Whether content is there now that was missing when `take` looked."""
        return any(map(self._stored, tuple(self._awaited)))

    def reject(self, manifest: Digest, reason: str) -> None:
        """Never show *manifest* again: its layers turned out to be wrong."""
        self._parts[manifest] = reason

    def open(self, manifest: Digest) -> Image:
        """The image of one manifest.  ManifestNotFound, Damaged, InvalidDocument."""
        return resolve(self._store, manifest, self._platform)

    def take(self, watch: Watch, told: Told = None) -> ImageStore:
        """Everything that is to be shown now.

        *watch* is called with each directory of the store before it is looked at: what changes
        there later is not in the answer.  *told*: what has changed in them since the last time.
        """
        with self._lock:
            self._awaited = {}
            try:
                self._forget(told)
                return self._taken(watch, told)
            except BaseException:
                self._forget(None)
                raise

    def _taken(self, watch: Watch, told: Told) -> ImageStore:
        found: dict[str, _Found] = {}
        names: dict[str, tuple[int, TagName, str]] = {}
        meant: dict[Digest, str] = {}
        for area in Area:
            path = self._store.paths.area(area)
            watch(os.path.dirname(path), area is Area.BLOBS)
            watch(path, area is Area.BLOBS)
        for tag, digest in self._tags.all(watch, told):
            self._take_tagged(tag, digest, found, names, meant)
        for digest in self._manifests():
            try:
                self._add(found, digest)
            except TooManyFiles:
                raise
            except (_LeftOut, RossfsError):
                continue
        for name, (_, _, image) in sorted(names.items()):
            found[image].names.append(name)
        return self._made(found)

    def _forget(self, told: Told) -> None:
        """Forget what *told* says has changed."""
        if told is None:
            self._there.clear()
            self._tags.forget()
            return
        for area in Area:
            path = self._store.paths.area(area)
            if os.path.dirname(path) in told or not os.path.isdir(path):
                self._there.clear()
            for name in told.get(path, ()):
                self._there.discard(Digest(_ALGORITHM, name.removesuffix(META)))

    # Tags

    def _take_tagged(
        self,
        tag: TagName,
        digest: Digest | None,
        found: dict[str, _Found],
        names: dict[str, tuple[int, TagName, str]],
        meant: dict[Digest, str],
    ) -> None:
        try:
            if digest is None:
                tagged = self._store.tags.find(*tag)
                if tagged is None:
                    return
                digest = tagged.digest
            image = meant.get(digest, "") or self._through(digest, found)
            meant[digest] = image
        except TooManyFiles:
            raise
        except (_LeftOut, RossfsError) as error:
            self._tell(f"{tag} is not in podman/: {error}")
            return
        shown = False
        for name, distance in podman_names(tag):
            shown = True
            other = names.get(name)
            if other is not None and other[2] != image:
                kept, lost = (other[1], tag) if other[0] <= distance else (tag, other[1])
                self._tell(f"{name} in podman/ is the image of {kept}, not that of {lost}")
            if other is None or distance < other[0]:
                names[name] = distance, tag, image
        if not shown:
            self._tell(f"{tag} has no name in podman/: podman could not read it")

    def _through(self, digest: Digest, found: dict[str, _Found]) -> str:
        """Add the image that *digest*, a manifest or an index, means; its id."""
        if digest in self._parts:
            return self._add(found, digest)
        document = read(self._store, digest)
        image, missing = choose(self._store, document, self._platform)
        if image is None:
            if missing is not None:
                self._await(missing)
                raise _LeftOut(f"{missing} is not stored")
            raise _LeftOut(f"index {digest} has no image for {self._platform}")
        added = self._add(found, image.digest)
        if image.digest != digest:
            found[added].documents[digest] = len(document.data)
        return added

    # Manifests

    def _manifests(self) -> Iterator[Digest]:
        """All manifests; of those that are known nothing is read again."""
        contents = self._store.contents
        for digest in areas.listed(self._store.paths, Area.MANIFESTS):
            if digest in self._parts or contents.settle_in(Area.MANIFESTS, digest) is not None:
                yield digest

    def _add(self, found: dict[str, _Found], digest: Digest) -> str:
        """Add the image of one manifest; its id.  _LeftOut, and the errors of reading it."""
        part = self._parts.get(digest)
        if part is None:
            try:
                part = self._read(digest)
            except _LeftOut as error:
                if not error.for_ever:
                    raise
                part = str(error)
            except InvalidDocument as error:
                part = str(error)
            self._parts[digest] = part
        if isinstance(part, str):
            raise _LeftOut(part)
        needed = (part.manifest, part.config, *(layer.digest for layer in part.layers))
        missing = [one for one in needed if not self._is_there(one)]
        for one in missing:
            self._await(one)
        if missing:
            raise _LeftOut(f"{missing[0]} is not stored")
        image = part.config.hex
        found.setdefault(image, _Found()).parts[digest] = part
        return image

    def _read(self, digest: Digest) -> _Part:
        document = read(self._store, digest)
        manifest = document.value
        if not isinstance(manifest, Manifest):
            raise _LeftOut("it is an index", for_ever=False)
        if not manifest.is_image:
            raise _LeftOut("it is an artifact, not an image")
        if not self._stored(manifest.config.digest):
            self._await(manifest.config.digest)
            raise _LeftOut(f"{manifest.config.digest} is not stored", for_ever=False)
        config = config_of(self._store, manifest)
        platform = config.platform
        if platform is not None and self._platform.distance(platform) is None:
            raise _LeftOut(f"it is for {platform}")
        layers, diff_ids = manifest.layers, config.diff_ids
        if len(layers) != len(diff_ids) or len(layers) > MAX_LAYERS:
            raise _LeftOut(f"it has {len(layers)} layers, its config {len(diff_ids)} diff IDs")
        if any(one.algorithm != "sha256" for one in (manifest.config.digest, *diff_ids)):
            raise _LeftOut("podman knows no other digests of configs and layers than sha256")
        created = go_time(config.created)
        steps = config.layer_history()
        return _Part(
            digest,
            len(document.data),
            manifest.config.digest,
            manifest.config.size,
            # Without what is not needed here.
            tuple(Descriptor(one.media_type, one.digest, one.size) for one in layers),
            diff_ids,
            created,
            tuple(created if step is None else go_time(step.created) for step in steps),
        )

    def _stored(self, digest: Digest) -> bool:
        try:
            return self._store.contents.glance(digest) is not None
        except Unproven:
            return True  # as far as can be told without hashing

    def _is_there(self, digest: Digest) -> bool:
        """As `_stored`, asked again only if something happened to it."""
        if digest in self._there:
            return True
        stored = self._stored(digest)
        if stored and digest.algorithm == _ALGORITHM and len(self._there) < _KNOWN:
            self._there.add(digest)
        return stored

    def _await(self, digest: Digest) -> None:
        if len(self._awaited) < _AWAITED:
            self._awaited[digest] = None

    # What podman is shown

    def _made(self, found: dict[str, _Found]) -> ImageStore:
        images: list[StoreImage] = []
        layers: dict[str, StoreLayer] = {}
        for image, parts in sorted(found.items()):
            part = min(parts.parts.values(), key=lambda part: part.rank)
            ids = list(layer_ids(part.diff_ids))
            images.append(self._image(image, part, parts, ids))
            above = ""
            for position, one in enumerate(ids):
                layer = self._layer(part, position, one, above)
                layers[one] = _best(layer, layers.get(one))
                above = one
        return ImageStore(images, layers.values())

    def _image(self, image: str, part: _Part, found: _Found, ids: list[str]) -> StoreImage:
        data = [BigData("manifest", part.manifest, part.size)]
        manifests = {one.manifest: one.size for one in found.parts.values()}
        for digest, size in sorted((manifests | found.documents).items()):
            data.append(BigData(f"manifest-{digest}", digest, size))
        data.append(BigData(str(part.config), part.config, part.config_size))
        top = ids[-1] if ids else ""
        names = tuple(found.names)
        return StoreImage(image, part.manifest, top, part.created, names, tuple(data))

    def _layer(self, part: _Part, position: int, layer: str, parent: str) -> StoreLayer:
        blob = part.layers[position]
        return StoreLayer(
            layer,
            parent,
            part.layers_created[position],
            part.diff_ids[position],
            blob,
            self.lengths.find(blob),
            part.manifest,
            position,
            len(part.layers),
        )

    def _tell(self, text: str) -> None:
        """Log *text*, once."""
        if text not in self._told and len(self._told) < _TOLD:
            self._told.add(text)
            _log.info("%s", text)


def _best(layer: StoreLayer, known: StoreLayer | None) -> StoreLayer:
    """What is to be shown of two that have the same id.

    The image that has least above it is opened for it.  A config may say that its lowest layer is
    what others have higher up; that is false, for only a hash can have something below it.
    """
    if known is None:
        return layer
    if layer.position != known.position:
        return layer if layer.position > known.position else known
    if layer.image_layers >= known.image_layers:
        layer, known = known, layer
    return layer if layer.length is not None else layer._replace(length=known.length)
