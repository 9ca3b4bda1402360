"""The whole mount, composed: each value of the table below is one file of this package."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rossfs.image.imagesurvey import Survey
from rossfs.oci.digest import Digest
from rossfs.store.paths import ALGORITHMS, Area
from rossfs.store.store import Store
from rossfs.tree import readme
from rossfs.tree.als import AdditionalLayers, LayerStore
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.digests import ByAlgorithm, DigestDirectory, Source
from rossfs.tree.images import Images
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.incoming import incoming_directory
from rossfs.tree.node import Directory, Node
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.oci import oci_directory
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.podman import podman_directory
from rossfs.tree.snapshots import Commits
from rossfs.tree.state import DamagedContent, state_directory
from rossfs.tree.static import BytesFile, StaticDirectory
from rossfs.tree.tags import Names, TagsDirectory
from rossfs.tree.trees import Trees
from rossfs.tree.uploads import Uploads
from rossfs.tree.view import View
from rossfs.tree.workshop import Workshop


def build_root(store: Store, view: View, trees: Trees) -> Directory:
    """Everything that a user can see, by name.  What is inside images is added to *trees* as it is
    opened."""
    now = time.time_ns()
    writable = store.writable and not view.read_only
    numbers = Numbers()
    # 0644, or the owner of the mount could not write to a name in incoming/ a second time: the
    # kernel follows the link to the content and checks that one's mode.
    mode = 0o644 if writable else 0o444
    files = ContentFiles(store.contents, numbers, mode=mode, note_access=writable)
    inside = ImageTrees(store, view.layers, numbers, trees)
    images = Images(store, files, inside, numbers, view.platform)
    uploads = Uploads(store)
    overlays = OverlayTrees(inside, numbers, trees)
    survey = Survey(store, view.layers.cache, view.platform)
    additional = LayerStore(
        store, files, view.layers, overlays, uploads, numbers, writable=writable
    )
    names = Names(uploads, numbers, writable=writable)
    manifests = partial(files.find, Area.MANIFESTS)
    indexes = partial(files.find, Area.INDEXES)
    digests = _Digests(store, uploads, writable, now)
    return StaticDirectory(
        Fixed.ROOT,
        {
            b"README": BytesFile(Fixed.README, readme.TEXT, now),
            b"tags": TagsDirectory(Fixed.TAGS, names),
            b"images": digests.directory(
                Fixed.IMAGES, images.find, (Area.MANIFESTS, Area.INDEXES), kind=stat.S_IFDIR
            ),
            b"blobs": digests.directory(Fixed.BLOBS, files.glance, tuple(Area)),
            b"manifests": digests.directory(
                Fixed.MANIFESTS, manifests, (Area.MANIFESTS,), without=(Area.INDEXES,), mixed=True
            ),
            b"indexes": digests.directory(
                Fixed.INDEXES, indexes, (Area.MANIFESTS, Area.INDEXES), mixed=True
            ),
            b"incoming": incoming_directory(store, uploads, numbers),
            b"oci": oci_directory(Workshop(store, uploads, files, numbers, writable=writable)),
            b"podman": podman_directory(survey, files, inside, overlays, numbers, now),
            b"als": AdditionalLayers(additional),
            b".ross": state_directory(
                view.log,
                view.stats,
                lambda: _damaged(store, inside),
                view.layers.progress,
                now,
            ),
        },
        now,
    )


class _Digests:
    """Makes blobs/, manifests/, indexes/ and images/."""

    def __init__(self, store: Store, commits: Commits, writable: bool, modified_ns: int) -> None:
        self._modified_ns = modified_ns
        self._commits = commits
        self._contents = store.contents
        self._paths = store.paths
        self._remove = store.references.remove_unreferenced if writable else None

    def directory(
        self,
        place: Fixed,
        find: Callable[[Digest], Node | None],
        areas: Sequence[Area],
        *,
        without: Sequence[Area] = (),
        mixed: bool = False,
        kind: int = stat.S_IFREG,
    ) -> ByAlgorithm:
        """The directory *place*, which shows what *find* finds in *areas*."""
        shown = {}
        for algorithm in ALGORITHMS:
            ino = Fixed[f"{place.name}_{algorithm.upper()}"]
            source = Source(
                algorithm,
                find,
                self._contents.settle,
                [self._paths.area(area, algorithm) for area in areas],
                [self._paths.area(area, algorithm) for area in without],
                mixed,
                kind,
            )
            remove = self._remove if stat.S_ISREG(kind) else None
            shown[algorithm.encode()] = DigestDirectory(ino, source, self._commits, remove)
        return ByAlgorithm(place, shown, self._commits, self._modified_ns)


def _damaged(store: Store, inside: ImageTrees) -> Iterator[DamagedContent]:
    told = set()
    for digest, reason in store.verifier.damaged():
        told.add(reason)
        yield DamagedContent(str(digest), reason)
    for name, reason in inside.damaged():
        if reason not in told:
            yield DamagedContent(name, reason)
