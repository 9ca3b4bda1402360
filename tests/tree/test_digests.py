import errno
import os
import stat
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import trio

from rossfs.errors import Referenced
from rossfs.oci.digest import Digest
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from rossfs.store.references import References
from rossfs.tree import digests, snapshots
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.digests import ByAlgorithm, DigestDirectory, Source
from rossfs.tree.node import Directory, Unsettled
from rossfs.tree.snapshots import Commits
from tests.builders import OCI_INDEX, OCTET_STREAM, RossStore, digest_of, image, index
from tests.suites.directory_suite import (
    CALLER,
    DirectorySuite,
    ReadOnlyDirectorySuite,
    find,
    refusal,
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
    found = [entry.name for entry in listing if entry is not None]
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
def digest(ross: RossStore) -> Digest:
    return ross.put_blob(OCTET_STREAM, b"some content")


@pytest.fixture
def in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every directory were large."""
    monkeypatch.setattr(snapshots, "AT_ONCE", -1)


class TestBlobs(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, files: ContentFiles) -> Directory:
        image(ross, tag="library/app:latest")
        return blobs(files)


class TestManifests(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, files: ContentFiles) -> Directory:
        stored = image(ross)
        ross.put_index(index([(stored.parts.manifest, "linux/amd64")]))
        found = partial(files.find, Area.MANIFESTS)
        return DigestDirectory(
            INO, source(files.contents, found, Area.MANIFESTS, mixed=True), Resting()
        )


@pytest.mark.usefixtures("in_a_thread")
class TestManyBlobs(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, files: ContentFiles) -> Directory:
        for number in range(60):
            ross.put_blob(OCTET_STREAM, b"%d" % number)
        return blobs(files)


@pytest.mark.usefixtures("in_a_thread")
class TestNamesOnly(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(
        self, ross: RossStore, files: ContentFiles, monkeypatch: pytest.MonkeyPatch
    ) -> Directory:
        monkeypatch.setattr(digests, "COMPLETE", 10)
        for number in range(11):
            ross.put_blob(OCTET_STREAM, b"%d" % number)
        return blobs(files)

    async def test_no_entry_has_a_node(self, directory: Directory) -> None:
        listing = await settled(directory, directory.entries)
        assert len(listing) == 11
        assert all(entry is not None and entry.node is None for entry in listing)


class TestEmpty(ReadOnlyDirectorySuite):
    empty = True

    @pytest.fixture
    def directory(self, ross: RossStore, files: ContentFiles) -> Directory:
        return blobs(files)


class TestRemovable(DirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, files: ContentFiles, references: References) -> Directory:
        image(ross)
        return blobs(files, references)


def by_algorithm(files: ContentFiles, commits: Commits) -> ByAlgorithm:
    paths = files.contents.access.paths
    directories = {}
    for ino, name in ((22, "sha256"), (23, "sha512")):
        shown = Source(name, files.glance, files.contents.settle, [paths.area(Area.BLOBS, name)])
        directories[name.encode()] = DigestDirectory(ino, shown, commits)
    return ByAlgorithm(5, directories, commits)


class TestByAlgorithm(ReadOnlyDirectorySuite):
    @pytest.fixture
    def directory(self, ross: RossStore, files: ContentFiles) -> Directory:
        (ross.root / "blobs" / "sha512").mkdir()
        return by_algorithm(files, Resting())

    async def test_sha512_appears_with_its_directory(
        self, directory: Directory, ross: RossStore
    ) -> None:
        assert await names(directory) == {b"sha256", b"sha512"}
        (ross.root / "blobs" / "sha512").rmdir()
        assert await names(directory) == {b"sha256"}
        assert directory.lookup(b"sha512") is None
        (ross.root / "blobs" / "sha256").rmdir()
        assert await names(directory) == {b"sha256"}

    async def test_sha512_content_is_found(self, directory: Directory, ross: RossStore) -> None:
        digest = digest_of(b"content", "sha512")
        (ross.root / "blobs" / "sha512" / digest.hex).write_bytes(b"content")
        below = directory.lookup(b"sha512")
        assert isinstance(below, Directory)
        assert await names(below) == {name_of(digest)}
        assert isinstance(await find(below, name_of(digest)), ContentFile)
        assert directory.lookup(b"sha256") is not below


# Names


@pytest.mark.parametrize(
    "wrong", [str.upper, lambda name: name[:-1], lambda name: "sha256:" + name]
)
def test_only_the_exact_name_is_a_name(files: ContentFiles, digest: Digest, wrong: object) -> None:
    directory = blobs(files)
    assert directory.lookup(name_of(digest)) is not None
    assert callable(wrong)
    assert directory.lookup(wrong(digest.hex).encode()) is None


async def test_everything_stored_is_among_the_blobs(ross: RossStore, files: ContentFiles) -> None:
    stored = image(ross)
    both = ross.put_index(index([(stored.parts.manifest, "linux/amd64")]))
    # Ross resolves tags in manifests/, so an index lies there too.
    for suffix in ("", ".meta"):
        os.link(
            ross.path(both, "indexes").as_posix() + suffix,
            ross.path(both, "manifests").as_posix() + suffix,
        )
    expected = {stored.manifest, stored.config, *stored.layers, both}
    assert await names(blobs(files)) == {name_of(one) for one in expected}


async def test_manifests_and_indexes_are_told_apart(ross: RossStore, files: ContentFiles) -> None:
    stored = image(ross)
    one = ross.put_index(index([(stored.parts.manifest, "linux/amd64")]))
    ross_filed = ross.put_manifest(index([(stored.parts.manifest, "linux/arm64")]), OCI_INDEX)
    contents = files.contents
    for area, areas, expected in (
        (Area.MANIFESTS, [Area.MANIFESTS], {stored.manifest}),
        (Area.INDEXES, [Area.MANIFESTS, Area.INDEXES], {one, ross_filed}),
    ):
        shown = source(contents, partial(files.find, area), *areas, mixed=True)
        directory = DigestDirectory(INO, shown, Resting())
        assert await names(directory) == {name_of(digest) for digest in expected}
        for digest in (stored.manifest, one, ross_filed, stored.config):
            assert (directory.lookup(name_of(digest)) is not None) == (digest in expected)


def test_a_warm_lookup_makes_no_system_call(
    files: ContentFiles, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = blobs(files)
    node = directory.lookup(name_of(digest))

    def never(*_args: object, **_more: object) -> None:
        raise AssertionError("a system call")

    for call in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, call, never)
    assert directory.lookup(name_of(digest)) is node


def test_what_is_remembered_is_bounded(
    ross: RossStore, files: ContentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_REMEMBERED", 5)
    directory = blobs(files)
    stored = [ross.put_blob(OCTET_STREAM, b"%d" % number) for number in range(20)]
    for digest in stored:
        assert directory.lookup(name_of(digest)) is not None
    assert len(directory._known) == 5
    assert directory.lookup(name_of(stored[0])) is not None


# Content that comes and goes


def test_what_another_process_stored_is_found_at_once(ross: RossStore, files: ContentFiles) -> None:
    directory = blobs(files)
    name = name_of(digest_of(b"new"))
    assert directory.lookup(name) is None
    assert directory.negative_ttl == 0
    ross.put_blob(OCTET_STREAM, b"new")
    assert directory.lookup(name) is not None


def test_what_another_process_removed_is_gone_once_that_is_told(
    ross: RossStore, files: ContentFiles, digest: Digest
) -> None:
    for told in (name_of(digest), None):
        directory = blobs(files)
        ross.put_blob(OCTET_STREAM, b"some content")
        assert directory.lookup(name_of(digest)) is not None
        ross.path(digest).unlink()
        directory.changed_by_others(told)
        assert directory.lookup(name_of(digest)) is None


def test_it_watches_all_directories_that_it_shows(files: ContentFiles) -> None:
    paths = files.contents.access.paths
    directory = blobs(files)
    assert set(directory.watched()) == {paths.area(area) for area in Area}
    assert directory.shown_as(b"0" * 64) == (b"0" * 64,)
    assert directory.shown_as(b"0" * 64 + b".meta") == ()


async def test_content_without_meta_is_shown_once_it_is_hashed(
    ross: RossStore, files: ContentFiles
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"right", meta=False)
    directory = blobs(files)
    with pytest.raises(Unsettled):
        directory.lookup(name_of(digest))
    await directory.settle()
    assert directory.lookup(name_of(digest)) is not None
    assert ross.meta_path(digest).exists()


@pytest.mark.parametrize("large", [False, True])
async def test_content_without_meta_is_listed_only_if_it_is_right(
    ross: RossStore, files: ContentFiles, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr(snapshots, "AT_ONCE", -1)
    right = ross.put_blob(OCTET_STREAM, b"right", meta=False)
    torn = ross.put_blob(OCTET_STREAM, b"torn", meta=False)
    ross.path(torn).write_bytes(b"to")
    directory = blobs(files)
    for _ in range(2):
        assert await names(directory) == {name_of(right)}
        assert await find(directory, name_of(torn)) is None


async def test_two_who_look_at_once_both_get_an_answer(
    ross: RossStore, files: ContentFiles
) -> None:
    stored = [ross.put_blob(OCTET_STREAM, b"%d" % n, meta=False) for n in range(5)]
    directory = blobs(files)
    answers = []

    async def look(digest: Digest) -> None:
        answers.append(await find(directory, name_of(digest)))

    async with trio.open_nursery() as nursery:
        for digest in stored * 2:
            nursery.start_soon(look, digest)
    assert len(answers) == 10
    assert all(answers)


@pytest.mark.usefixtures("in_a_thread")
async def test_two_who_list_at_once_both_get_a_whole_listing(
    ross: RossStore, files: ContentFiles
) -> None:
    stored = {name_of(ross.put_blob(OCTET_STREAM, b"%d" % number)) for number in range(50)}
    directory = blobs(files)
    listings: list[set[bytes]] = []

    async def look() -> None:
        listings.append(await names(directory))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(look)
    assert listings == [stored] * 4


@pytest.mark.usefixtures("in_a_thread")
async def test_a_listing_is_never_older_than_its_opening(
    ross: RossStore, files: ContentFiles
) -> None:
    directory = blobs(files)
    for number in range(3):
        name = name_of(ross.put_blob(OCTET_STREAM, b"%d" % number))
        assert name in await names(directory)


# Commits under way


async def test_a_lookup_waits_for_what_was_closed_before(
    ross: RossStore, files: ContentFiles
) -> None:
    busy = Busy(lambda: ross.put_blob(OCTET_STREAM, b"new"))
    name = name_of(digest_of(b"new"))
    assert await find(blobs(files, commits=busy), name) is not None


async def test_a_listing_waits_for_what_was_closed_before(
    ross: RossStore, files: ContentFiles
) -> None:
    busy = Busy(lambda: ross.put_blob(OCTET_STREAM, b"new"))
    assert await names(blobs(files, commits=busy)) == {name_of(digest_of(b"new"))}


async def test_nobody_waits_twice_however_busy_writers_are(files: ContentFiles) -> None:
    waited: list[None] = []
    directory = blobs(files, commits=Busy(lambda: waited.append(None)))
    assert await find(directory, name_of(digest_of(b"absent"))) is None
    assert len(waited) == 1
    assert await names(directory) == set()
    assert len(waited) == 2
    # And each waits anew: what was absent a moment ago may have been closed since.
    assert await find(directory, name_of(digest_of(b"absent"))) is None
    assert len(waited) == 3


async def test_what_is_there_is_found_without_waiting(files: ContentFiles, digest: Digest) -> None:
    def never() -> None:
        raise AssertionError("waited")

    assert blobs(files, commits=Busy(never)).lookup(name_of(digest)) is not None


async def test_the_first_content_of_an_algorithm_is_waited_for(
    ross: RossStore, files: ContentFiles
) -> None:
    busy = Busy((ross.root / "blobs" / "sha512").mkdir)
    directory = by_algorithm(files, busy)
    assert directory.lookup(b"sha256") is not None
    assert await find(directory, b"sha512") is not None


# Removing


def removable(files: ContentFiles, references: References) -> DigestDirectory:
    directory = blobs(files, references)
    assert directory.attr().mode == stat.S_IFDIR | 0o755
    return directory


async def test_unreferenced_content_can_be_removed(
    ross: RossStore, files: ContentFiles, references: References, digest: Digest
) -> None:
    directory = removable(files, references)
    assert directory.lookup(name_of(digest)) is not None
    await directory.unlink(name_of(digest), CALLER)
    assert directory.lookup(name_of(digest)) is None
    assert not ross.path(digest).exists()
    assert not ross.meta_path(digest).exists()


async def test_what_a_manifest_needs_is_busy_and_the_log_says_why(
    ross: RossStore,
    files: ContentFiles,
    references: References,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored = image(ross, tag="library/app:latest")
    directory = removable(files, references)
    for digest, holder in (
        (stored.layers[0], str(stored.manifest)),
        (stored.config, str(stored.manifest)),
        (stored.manifest, "library/app:latest"),
    ):
        caplog.clear()
        with caplog.at_level("INFO", "rossfs.tree"), pytest.raises(Referenced) as raised:
            await directory.unlink(name_of(digest), CALLER)
        assert raised.value.errno == errno.EBUSY
        assert holder in caplog.text
        assert directory.lookup(name_of(digest)) is not None


async def test_removing_what_is_not_there_says_so(
    files: ContentFiles, references: References
) -> None:
    directory = removable(files, references)
    for name in (name_of(digest_of(b"absent")), b"no digest", b"x.meta"):
        assert await refusal(directory.unlink(name, CALLER)) == errno.ENOENT


async def test_nothing_else_can_be_changed(
    files: ContentFiles, references: References, digest: Digest
) -> None:
    directory = removable(files, references)
    changes: Sequence[object] = (
        await refusal(directory.create(b"x", 0o644, os.O_WRONLY, CALLER)),
        await refusal(directory.mkdir(b"x", 0o755, CALLER)),
        await refusal(directory.symlink(b"x", b"y", CALLER)),
        await refusal(directory.rename(name_of(digest), directory, b"x", 0, CALLER)),
    )
    assert set(changes) == {errno.EROFS}
