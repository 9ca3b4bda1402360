import errno
import os
import stat
from collections.abc import Sequence

import pytest
import trio

from rossfs.errors import Referenced
from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.references import References
from rossfs.tree import snapshots
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.digests import DigestDirectory
from rossfs.tree.node import Unsettled
from tests.builders import OCTET_STREAM, RossStore, digest_of, image
from tests.suites.directory_suite import (
    CALLER,
    find,
    refusal,
)
from tests.tree.shelves import Busy, blobs, by_algorithm, name_of, names


@pytest.fixture
def digest(ross: RossStore) -> Digest:
    return ross.put_blob(OCTET_STREAM, b"some content")


@pytest.fixture
def in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every directory were large."""
    monkeypatch.setattr(snapshots, "AT_ONCE", -1)


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
