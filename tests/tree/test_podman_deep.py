"""podman/ of images with more layers than podman can give the kernel one by one."""

from __future__ import annotations

import json

import pytest

from rossfs.image.imagestore import MOST_BELOW
from rossfs.tree.node import Directory, Rows, Symlink
from tests.layers import Layer, image_of
from tests.suites.directory_suite import ReadOnlyDirectorySuite, listed, rows_of
from tests.tree.browsing import Browser, bottom, middle
from tests.tree.podmanlooking import LAYERS, Podman

COUNT = MOST_BELOW + 3


@pytest.fixture
def podman(browser: Browser) -> Podman:
    return Podman(browser)


@pytest.fixture
async def layers(podman: Podman) -> list[bytes]:
    """The ids of the layers of a deep image, the lowest first."""
    more = [Layer().file("etc/number", b"%d" % number) for number in range(COUNT - 2)]
    image_of(bottom(), middle(), *more).put(podman.store, "lab/deep:v1")
    return [layer.encode() for layer in await podman.layers()]


class TestMerged(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, layers: list[bytes]) -> Directory:
        return await podman.directory(b"overlay/%b/rootfs" % layers[-2])


async def test_many_layers_below_one_are_one_directory(podman: Podman, layers: list[bytes]) -> None:
    for position in (MOST_BELOW + 1, MOST_BELOW + 2):
        lower = await podman.read(b"overlay/%b/lower" % layers[position])
        link = await podman.at(b"overlay/" + lower)
        assert isinstance(link, Symlink)
        assert link.target() == b"../%b/rootfs" % layers[position - 1]
    lower = await podman.read(b"overlay/%b/lower" % layers[MOST_BELOW])
    assert lower.count(b":") == MOST_BELOW - 1


async def test_that_directory_has_all_layers_up_to_it(podman: Podman, layers: list[bytes]) -> None:
    merged = await podman.directory(b"overlay/%b/rootfs" % layers[-2])
    listing = merged.entries()
    assert isinstance(listing, Rows)
    names = {row.name for row in rows_of(listing)}
    assert {b"becomes-directory", b"usr", b"kept"} <= names
    assert not names & {b"gone", b"gone-too"}
    assert merged.parent_ino() == (await podman.directory(b"overlay/" + layers[-2])).ino
    etc = await podman.directory(b"overlay/%b/rootfs/etc" % layers[-2])
    assert etc.parent_ino() == merged.ino
    # The next to last layer has the next to last number in it.
    number = await podman.at(b"overlay/%b/rootfs/etc/number" % layers[-2])
    assert number is not None
    below = await podman.at(b"overlay/%b/diff/etc/number" % layers[-2])
    assert below is not None
    assert number.ino == below.ino
    assert number.attr().size == len(str(COUNT - 4))


async def test_walking_podman_does_not_meet_layers_again_and_again(
    podman: Podman, layers: list[bytes]
) -> None:
    for layer in layers:
        shown = await listed(await podman.directory(b"overlay/" + layer))
        assert {entry.name for entry in shown} <= {b"diff", b"link", b"lower"}


async def test_links_are_listed(podman: Podman, layers: list[bytes]) -> None:
    links = await listed(await podman.directory(b"overlay/l"))
    tops = [one["id"] for one in json.loads(await podman.read(LAYERS))]
    assert len(links) == len(tops) + COUNT - MOST_BELOW
    assert len({entry.name for entry in links}) == len(links)
    for entry in links:
        assert isinstance(entry.node, Symlink)
        assert isinstance(await podman.at(b"overlay/l/" + entry.name), Symlink)
