"""podman/: an additional image store, from which podman runs the images of the store in place.

    overlay-images/     images.json, their documents (podmanimages.py)
    overlay-layers/     layers.json, tar-split data (podmantables.py)
    overlay/            the layers (podmanlayers.py)

Read-only, and made of the store as it is now (podmanview.py).
"""

from __future__ import annotations

from rossfs.image.imagesurvey import Survey
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.podmanimages import ImagesDirectory
from rossfs.tree.podmanlayers import OverlayStoreDirectory, StoreLayers
from rossfs.tree.podmantables import LayerTablesDirectory
from rossfs.tree.podmanview import PodmanView
from rossfs.tree.static import StaticDirectory


def podman_directory(
    survey: Survey,
    files: ContentFiles,
    inside: ImageTrees,
    overlays: OverlayTrees,
    numbers: Numbers,
    now_ns: int,
) -> StaticDirectory:
    """podman/, of the images that *survey* finds."""
    number = numbers.family(b"podman")
    view = PodmanView(survey, now_ns)
    layers = StoreLayers(view, inside, overlays, number)
    return StaticDirectory(
        Fixed.PODMAN,
        {
            b"overlay-images": ImagesDirectory(number(b"overlay-images"), view, files, number),
            b"overlay-layers": LayerTablesDirectory(number(b"overlay-layers"), layers),
            b"overlay": OverlayStoreDirectory(number(b"overlay"), layers),
        },
        now_ns,
    )
