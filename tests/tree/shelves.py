"""Directories of digests for their tests, with and without commits under way."""

from collections.abc import Callable

import trio

from rossfs.oci.digest import Digest
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from rossfs.store.references import References
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.digests import ByAlgorithm, DigestDirectory, Source
from rossfs.tree.node import Directory, Rows
from rossfs.tree.snapshots import Commits
from tests.suites.directory_suite import (
    settled,
)

INO = 22


def source(contents: Contents, find: object, *areas: Area, **more: object) -> Source:
    paths = contents.access.paths
    directories = [paths.area(area) for area in areas]
    return Source("sha256", find, contents.settle, directories, **more)  # type: ignore[arg-type]


class Resting:
    """No commit is under way."""

    def settled(self) -> bool:
        return True

    async def settle(self) -> None:
        """There is nothing to wait for."""


class Busy:
    """There is always a commit under way, as beside many writers; each wait does *work*."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def settled(self) -> bool:
        return False

    async def settle(self) -> None:
        await trio.lowlevel.checkpoint()
        self.work()


def blobs(
    files: ContentFiles, references: References | None = None, commits: Commits | None = None
) -> DigestDirectory:
    remove = references.remove_unreferenced if references is not None else None
    shown = source(files.contents, files.glance, *Area)
    return DigestDirectory(INO, shown, commits or Resting(), remove)


def name_of(digest: Digest) -> bytes:
    return digest.hex.encode()


async def names(directory: Directory) -> set[bytes]:
    listing = await settled(directory, directory.entries)
    assert not isinstance(listing, Rows)
    found = [entry.name for entry in listing if entry is not None]
    assert len(found) == len(set(found))
    return set(found)


def by_algorithm(files: ContentFiles, commits: Commits) -> ByAlgorithm:
    paths = files.contents.access.paths
    directories = {}
    for ino, name in ((22, "sha256"), (23, "sha512")):
        shown = Source(name, files.glance, files.contents.settle, [paths.area(Area.BLOBS, name)])
        directories[name.encode()] = DigestDirectory(ino, shown, commits)
    return ByAlgorithm(5, directories, commits)
