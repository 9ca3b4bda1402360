"""Tools that write one layout at the same time: no tag is lost, and no reader sees half a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import mounts
from tests.mount import layouting
from tests.mount.layouting import NAME, skopeo_copy, together, watching
from tests.mount.test_robustness import rounds
from tests.mounts import Mounted
from tests.requirements import require_tools

pytestmark = pytest.mark.fuse

WRITERS = 8


class Yard:
    """A mount, a plain directory, and images to copy into layouts of both."""

    def __init__(self, mounted: Mounted, store: Path, top: Path) -> None:
        self.mounted = mounted
        self.store = store
        self.plain = top / "plain"
        self.plain.mkdir()
        self.sources = layouting.sources(top, WRITERS)
        self.digests = [layouting.tags(source)[NAME] for source in self.sources]

    @property
    def oci(self) -> Path:
        return self.mounted.path / "oci"


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    require_tools("skopeo", "umoci")
    top = tmp_path_factory.mktemp("yard")
    Store.create(str(top / "store")).close()
    with mounts.mounted(top / "store", top / "mnt", top / "log") as mounted:
        yield Yard(mounted, top / "store", top)
    with Store.open(str(top / "store")) as store:
        assert list(store.fsck()) == []


def copied(yard: Yard, layout: Path, count: int) -> tuple[dict[str, str], list[str]]:
    """Eight copies at once, *count* times; the tags that must be there, and what failed."""
    wanted: dict[str, str] = {}
    failed: list[str] = []
    for turn in range(count):
        names = [f"t{turn}-{number}" for number in range(WRITERS)]
        copies = [
            skopeo_copy(source, layout, name)
            for source, name in zip(yard.sources, names, strict=True)
        ]
        failed += together(copies)
        wanted.update(zip(names, yard.digests, strict=True))
    return wanted, failed


@rounds(2, 20, 20.0)
def test_eight_copies_at_once_lose_no_tag(yard: Yard, count: int) -> None:
    layout = yard.oci / f"together{count}"
    with watching(layout / "index.json") as read:
        wanted, failed = copied(yard, layout, count)
    assert failed == []
    print(f"mount: {len(layouting.lost(layout, wanted))} of {len(wanted)} tags lost, {read}")
    assert layouting.lost(layout, wanted) == []
    assert read["invalid"] == 0
    assert read["valid"] > 0
    listed = mounts.rossfs("--store", yard.store, "tags", layout.name).stdout.decode()
    assert all(f"{tag} " in listed for tag in wanted)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_plain_directory_loses_tags(yard: Yard) -> None:
    layout = yard.plain / "together"
    with watching(layout / "index.json") as read:
        wanted, failed = copied(yard, layout, 20)
    lost = layouting.lost(layout, wanted)
    print(f"plain: {len(lost)} of {len(wanted)} tags lost, {len(failed)} copies failed, {read}")
    assert lost, "what the mount prevents does not happen here: this test says nothing"


@rounds(1, 20, 20.0)
def test_skopeo_and_umoci_at_once_lose_no_tag(yard: Yard, count: int) -> None:
    layout = yard.oci / f"mixed{count}"
    layouting.run(*skopeo_copy(yard.sources[0], layout, "base"))
    wanted, gone = {"base": yard.digests[0]}, []
    with watching(layout / "index.json") as read:
        for turn in range(count):
            commands = []
            for number in range(WRITERS // 2):
                name = f"s{turn}-{number}"
                commands.append(skopeo_copy(yard.sources[number], layout, name))
                wanted[name] = yard.digests[number]
                name = f"u{turn}-{number}"
                commands.append(["umoci", "tag", "--image", f"{layout}:base", name])
                wanted[name] = yard.digests[0]
            if turn:
                gone.append(f"s{turn - 1}-0")
                commands.append(["umoci", "rm", "--image", f"{layout}:{gone[-1]}"])
                del wanted[gone[-1]]
            assert together(commands) == []
    print(f"mixed: {len(layouting.lost(layout, wanted))} of {len(wanted)} tags lost, {read}")
    assert layouting.lost(layout, wanted) == []
    assert not set(gone) & layouting.tags(layout).keys()
    assert read["invalid"] == read["absent"] == 0
