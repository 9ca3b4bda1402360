"""The command `rossfs`, with every layer of every image in overlay form besides: for tests.

overlay/<hex of the manifest>-<position>/     the layer
overlay/<hex of the manifest>-<position>-alone/     as if nobody knew what is below it
overlay/empty/     a directory with nothing in it
"""

from __future__ import annotations

import stat
from typing import ClassVar

from rossfs.cli.main import main
from rossfs.fs import session
from rossfs.image.resolve import resolve
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree import root
from rossfs.tree.node import Attr, Directory, Entries, Node, Unsettled
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.static import StaticDirectory
from rossfs.tree.trees import Trees
from rossfs.tree.view import View

OVERLAY, EMPTY = 90, 91
"""Numbers of places, which no others have (numbers.Fixed)."""


class Overlays(Directory):
    """overlay/."""

    def __init__(self, store: Store, view: View, overlays: OverlayTrees) -> None:
        super().__init__(OVERLAY)
        self._store = store
        self._platform = view.platform
        self._overlays = overlays
        self._empty = StaticDirectory(EMPTY, {}, 0)
        self._wanted: list[bytes] = []

    def attr(self) -> Attr:
        return Attr(stat.S_IFDIR | 0o555)

    def lookup(self, name: bytes) -> Node | None:
        if name == b"empty":
            return self._empty
        if name[64:65] != b"-":
            return None
        tree = self._overlays.get(name)
        if tree is None:
            self._wanted.append(name)
            raise Unsettled
        return tree.root

    async def settle(self) -> None:
        while self._wanted:
            name = self._wanted.pop()
            text, position, *alone = name.decode().split("-")
            image = resolve(self._store, Digest.sha256(text), self._platform)
            if alone:
                layer = image.manifest.layers[int(position)].digest
                await self._overlays.open_alone(name, layer, OVERLAY)
            else:
                await self._overlays.open(name, image, int(position), OVERLAY)

    def entries(self) -> Entries:
        return Entries([])


class Root(Directory):
    """The root of a mount with overlay/ in it, which is not listed."""

    negative_ttl: ClassVar[float] = 0.0

    def __init__(self, root: Directory, overlays: Overlays) -> None:
        super().__init__(root.ino)
        self._root = root
        self._overlays = overlays

    def attr(self) -> Attr:
        return self._root.attr()

    def lookup(self, name: bytes) -> Node | None:
        return self._overlays if name == b"overlay" else self._root.lookup(name)

    def entries(self):  # type: ignore[no-untyped-def]
        return self._root.entries()


class Shared(OverlayTrees):
    """Those of the mount, which makes them once."""

    last: OverlayTrees

    def __init__(self, *arguments) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments)
        Shared.last = self


def build(store: Store, view: View, trees: Trees) -> Directory:
    """What `rossfs.tree.root.build_root` makes, and overlay/."""
    made = root.build_root(store, view, trees)
    return Root(made, Overlays(store, view, Shared.last))


if __name__ == "__main__":
    vars(root)["OverlayTrees"] = Shared
    vars(session)["build_root"] = build
    main()
