import errno
import gc
import os
import stat

import pytest
import trio

from rossfs.oci.digest import Digest
from rossfs.tree import snapshots, tags
from rossfs.tree.node import Directory
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.taglink import DamagedTag, TagLink
from rossfs.tree.tags import Names, TagsDirectory
from rossfs.tree.uploads import Uploads
from tests.builders import CREATED, RossStore
from tests.suites.directory_suite import CALLER, DirectorySuite, find, listed, refusal, settled
from tests.tree.tagging import anything, repository, target, walk


class TestTop(DirectorySuite):
    @pytest.fixture
    def directory(self, top: TagsDirectory, digest: Digest) -> Directory:
        return top


class TestEmptyTop(DirectorySuite):
    empty = True

    @pytest.fixture
    def directory(self, top: TagsDirectory) -> Directory:
        return top


class TestRepository(DirectorySuite):
    @pytest.fixture
    async def directory(self, top: TagsDirectory, ross: RossStore, digest: Digest) -> Directory:
        for tag in ("v1", "v1.1", "Next_2"):
            ross.set_tag("library/app", tag, digest)
        ross.set_tag("library/app/nested", "latest", digest)
        return await repository(top, "library/app")


class TestLargeRepository(DirectorySuite):
    @pytest.fixture
    async def directory(
        self,
        top: TagsDirectory,
        ross: RossStore,
        digest: Digest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Directory:
        monkeypatch.setattr(snapshots, "AT_ONCE", -1)
        for number in range(100):
            ross.set_tag("library/app", f"v{number}", digest)
        return await repository(top, "library/app")


class TestNamesOnly(DirectorySuite):
    @pytest.fixture
    async def directory(
        self,
        top: TagsDirectory,
        ross: RossStore,
        digest: Digest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Directory:
        monkeypatch.setattr(tags, "COMPLETE", 2)
        for tag in ("v1", "v2", "v3"):
            ross.set_tag("library/app", tag, digest)
        return await repository(top, "library/app")


# Looking


async def test_a_tag_is_a_link_to_its_image(top: TagsDirectory, digest: Digest) -> None:
    assert await target(top, "library/app/latest") == (
        f"../../../images/sha256/{digest.hex}".encode()
    )
    link = await walk(top, "library/app/latest")
    assert isinstance(link, TagLink)
    assert link.attr().mtime_ns == CREATED * 10**9
    assert 0 < link.ttl <= 1
    assert not link.xattrs(), "Linux shows no user.* of symbolic links"


async def test_a_registry_host_may_come_first(
    ross: RossStore, top: TagsDirectory, digest: Digest
) -> None:
    ross.set_tag("localhost:5000/app", "v1", digest)
    assert (await target(top, "localhost:5000/app/v1")).startswith(b"../../../images/")
    assert [entry.name for entry in await listed(await repository(top, "localhost:5000"))] == [
        b"app"
    ]


async def test_a_listing_has_repositories_and_tags(
    ross: RossStore, top: TagsDirectory, digest: Digest
) -> None:
    ross.set_tag("library/app/nested", "v1", digest)
    (ross.root / "tags" / "library" / "app" / "no tag").write_bytes(b"")
    (ross.root / "tags" / "library" / "app" / "UPPER").mkdir()
    kinds = {
        entry.name: stat.S_IFMT(entry.kind)
        for entry in await listed(await repository(top, "library/app"))
    }
    assert kinds == {b"latest": stat.S_IFLNK, b"nested": stat.S_IFDIR}


def test_directories_can_be_written_to_unless_the_mount_cannot(
    uploads: Uploads, numbers: Numbers
) -> None:
    for writable, mode in ((True, 0o755), (False, 0o555)):
        directory = TagsDirectory(Fixed.TAGS, Names(uploads, numbers, writable=writable))
        assert directory.attr().mode == stat.S_IFDIR | mode


async def test_each_directory_watches_its_own(top: TagsDirectory, digest: Digest) -> None:
    paths = top._names.uploads.store.paths
    assert list(top.watched()) == [paths.tags]
    assert list((await repository(top, "library/app")).watched()) == [
        paths.repository("library/app")
    ]


# Inodes


async def test_a_moved_tag_is_a_new_inode(
    ross: RossStore, top: TagsDirectory, digest: Digest, other: Digest
) -> None:
    before = await walk(top, "library/app/latest")
    again = await walk(top, "library/app/latest")
    assert before is not None
    assert again is before
    ross.set_tag("library/app", "latest", other)
    after = await walk(top, "library/app/latest")
    assert after is not None
    assert after.ino != before.ino
    assert not after.same(before)


async def test_a_tag_has_its_number_again_after_it_was_forgotten(
    top: TagsDirectory, digest: Digest
) -> None:
    node = await walk(top, "library/app/latest")
    assert node is not None
    ino = node.ino
    del node
    gc.collect()
    assert len(top._names._live) <= 2
    node = await walk(top, "library/app/latest")
    assert node is not None
    assert node.ino == ino


# Damaged tags


async def test_a_damaged_tag_is_shown_and_can_be_replaced(
    ross: RossStore, top: TagsDirectory, digest: Digest
) -> None:
    path = ross.root / "tags" / "library" / "app" / "broken"
    path.write_bytes(b'{"digest_algorithm"')
    app = await repository(top, "library/app")
    node = await find(app, b"broken")
    assert isinstance(node, DamagedTag)
    assert b"broken" in node.xattrs()[b"user.ross.error"]
    assert await refusal(node.open(os.O_RDONLY, CALLER)) == errno.EIO
    assert await refusal(node.open(os.O_WRONLY, CALLER)) == errno.EROFS
    assert {entry.name for entry in await listed(app)} == {b"latest", b"broken"}
    await app.symlink(b"fresh", anything(digest), CALLER)
    await app.rename(b"fresh", app, b"broken", 0, CALLER)
    assert digest.hex.encode() in await target(top, "library/app/broken")
    path.write_bytes(b"")
    await app.unlink(b"broken", CALLER)
    assert not path.exists()


# Scale


async def test_a_warm_lookup_of_a_tag_does_not_wait(top: TagsDirectory, digest: Digest) -> None:
    app = await repository(top, "library/app")
    with trio.testing.assert_no_checkpoints():
        assert app.lookup(b"latest") is not None
        assert app.lookup(b"absent") is None
        assert len(app.entries()) == 1


async def test_nodes_of_tags_are_not_kept(
    ross: RossStore, top: TagsDirectory, digest: Digest
) -> None:
    for number in range(300):
        ross.set_tag("library/app", f"v{number}", digest)
    app = await repository(top, "library/app")
    listing = await settled(app, app.entries)
    for position in range(len(listing)):
        assert listing[position] is not None
    gc.collect()
    assert len(top._names._live) < 5
