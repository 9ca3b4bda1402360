import os
from functools import partial

import pytest

from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.references import References
from rossfs.tree import digests, snapshots
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.digests import DigestDirectory
from rossfs.tree.node import Directory, Rows
from tests.builders import OCI_INDEX, OCTET_STREAM, RossStore, digest_of, image, index
from tests.suites.directory_suite import (
    DirectorySuite,
    ReadOnlyDirectorySuite,
    find,
    settled,
)
from tests.tree.shelves import INO, Resting, blobs, by_algorithm, name_of, names, source


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
        assert not isinstance(listing, Rows)
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
