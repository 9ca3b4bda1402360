import errno
import os

import pytest

from rossfs.errors import RossfsError, TagConflict
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.node import AttrChange
from rossfs.tree.static import StaticDirectory
from rossfs.tree.taglink import TagLink
from rossfs.tree.tags import RENAME_NOREPLACE, TagsDirectory
from rossfs.tree.uploads import Adopter
from tests.builders import OCTET_STREAM, RossStore, image_parts
from tests.suites.directory_suite import CALLER, find, listed, refusal
from tests.tree.tagging import anything, repository, target, walk

# Making and moving tags


async def test_a_link_makes_a_tag(top: TagsDirectory, digest: Digest, opened: Store) -> None:
    app = await repository(top, "library/app")
    node = await app.symlink(b"v1", anything(digest), CALLER)
    assert isinstance(node, TagLink)
    assert node.target() == f"../../../images/sha256/{digest.hex}".encode()
    assert await walk(top, "library/app/v1") is node
    assert opened.tags.get("library/app", "v1").digest == digest


async def test_a_link_over_a_tag_is_refused(
    top: TagsDirectory, digest: Digest, other: Digest
) -> None:
    app = await repository(top, "library/app")
    assert await refusal(app.symlink(b"latest", anything(other), CALLER)) == errno.EEXIST
    assert digest.hex.encode() in await target(top, "library/app/latest")


async def test_ln_sfn_replaces_a_tag(top: TagsDirectory, digest: Digest, other: Digest) -> None:
    # coreutils: a link under a temporary name, and a rename.
    app = await repository(top, "library/app")
    await app.symlink(b"CuAbCdEf", anything(other), CALLER)
    await app.rename(b"CuAbCdEf", app, b"latest", 0, CALLER)
    assert other.hex.encode() in await target(top, "library/app/latest")
    assert [entry.name for entry in await listed(app)] == [b"latest"]


@pytest.mark.parametrize(
    ("name", "text", "number"),
    [
        (b"v1", b"no/digest", errno.EINVAL),
        (b"v1", b"sha256/" + b"0" * 64, errno.ENOENT),
        (b".v1", None, errno.EINVAL),
        (b"v 1", None, errno.EINVAL),
        (b"v\n1", None, errno.EINVAL),
        (b"\xff", None, errno.EINVAL),
        (b"v" * 129, None, errno.EINVAL),
        (b"nested", None, errno.EEXIST),
    ],
)
async def test_what_cannot_be_a_tag_is_refused_and_the_log_says_why(
    ross: RossStore,
    top: TagsDirectory,
    digest: Digest,
    caplog: pytest.LogCaptureFixture,
    name: bytes,
    text: bytes | None,
    number: int,
) -> None:
    ross.set_tag("library/app/nested", "v1", digest)
    app = await repository(top, "library/app")
    before = {entry.name for entry in await listed(app)}
    with caplog.at_level("INFO", "rossfs.tree"):
        made = app.symlink(name, anything(digest) if text is None else text, CALLER)
        assert await refusal(made) == number
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "\n" not in record.getMessage()
    assert {entry.name for entry in await listed(app)} == before


async def test_a_blob_cannot_be_tagged(ross: RossStore, top: TagsDirectory, digest: Digest) -> None:
    app = await repository(top, "library/app")
    blob = ross.put_blob(OCTET_STREAM, b"no manifest")
    assert await refusal(app.symlink(b"v1", anything(blob), CALLER)) == errno.ENOENT


async def test_a_tag_lies_in_a_repository(top: TagsDirectory, digest: Digest) -> None:
    assert await refusal(top.symlink(b"v1", anything(digest), CALLER)) == errno.EINVAL
    assert await refusal(top.create(b"v1", 0o644, os.O_WRONLY, CALLER)) == errno.EINVAL


async def test_a_tag_and_a_repository_exclude_each_other(
    top: TagsDirectory, digest: Digest
) -> None:
    app = await repository(top, "library/app")
    with pytest.raises(TagConflict, match="library/app:latest"):
        await app.mkdir(b"latest", 0o755, CALLER)
    await app.mkdir(b"nested", 0o755, CALLER)
    with pytest.raises(RossfsError, match="library/app/nested") as raised:
        await app.symlink(b"nested", anything(digest), CALLER)
    assert raised.value.errno == errno.EEXIST


async def test_a_tag_can_be_removed(top: TagsDirectory, digest: Digest, opened: Store) -> None:
    app = await repository(top, "library/app")
    assert await refusal(app.unlink(b"absent", CALLER)) == errno.ENOENT
    assert await refusal(top.unlink(b"library", CALLER)) == errno.EISDIR
    await app.unlink(b"latest", CALLER)
    assert await walk(top, "library/app/latest") is None
    assert opened.contents.find(digest) is not None


async def test_a_tag_is_renamed_over_another_one(
    ross: RossStore, top: TagsDirectory, digest: Digest, other: Digest
) -> None:
    ross.set_tag("library/app", "next", other)
    app = await repository(top, "library/app")
    await app.rename(b"next", app, b"latest", 0, CALLER)
    assert other.hex.encode() in await target(top, "library/app/latest")
    assert await walk(top, "library/app/next") is None


async def test_a_rename_that_must_not_replace_does_not(
    ross: RossStore, top: TagsDirectory, digest: Digest, other: Digest
) -> None:
    ross.set_tag("library/app", "next", other)
    app = await repository(top, "library/app")
    for flags, number in ((RENAME_NOREPLACE, errno.EEXIST), (2, errno.EINVAL), (4, errno.EINVAL)):
        assert await refusal(app.rename(b"next", app, b"latest", flags, CALLER)) == number
    assert digest.hex.encode() in await target(top, "library/app/latest")
    await app.rename(b"next", app, b"free", RENAME_NOREPLACE, CALLER)
    assert other.hex.encode() in await target(top, "library/app/free")


async def test_a_tag_cannot_leave_tags(top: TagsDirectory, digest: Digest) -> None:
    app = await repository(top, "library/app")
    moved = app.rename(b"latest", StaticDirectory(99, {}), b"x", 0, CALLER)
    assert await refusal(moved) == errno.EROFS
    assert await walk(top, "library/app/latest") is not None


async def test_owner_mode_and_times_of_tags_and_repositories_are_accepted(
    top: TagsDirectory, digest: Digest
) -> None:
    for path in ("library/app", "library/app/latest"):
        node = await walk(top, path)
        assert node is not None
        before = node.attr()
        for change in (AttrChange(mode=0o700), AttrChange(uid=1, gid=1), AttrChange(mtime_ns=5)):
            await node.setattr(change, CALLER)
        assert node.attr() == before


# The kernel keeps the inode of what it renames


async def test_the_node_of_a_renamed_tag_leads_to_its_image_from_the_new_place(
    top: TagsDirectory, digest: Digest
) -> None:
    app = await repository(top, "library/app")
    await top.mkdir(b"localhost:5000", 0o755, CALLER)
    await (await repository(top, "localhost:5000")).mkdir(b"team", 0o755, CALLER)
    await (await repository(top, "localhost:5000/team")).mkdir(b"app", 0o755, CALLER)
    deep = await repository(top, "localhost:5000/team/app")
    link = await walk(top, "library/app/latest")
    assert isinstance(link, TagLink)
    await app.rename(b"latest", deep, b"v1", 0, CALLER)
    assert link.target() == f"../../../../images/sha256/{digest.hex}".encode()
    assert link.attr().size == len(link.target())
    # What takes the old place has another number, although it is the same tag of the same image.
    await app.symlink(b"latest", anything(digest), CALLER)
    top._names.uploads.store.tags.set("library/app", "latest", digest)
    again = await walk(top, "library/app/latest")
    assert again is not None
    assert again.ino != link.ino
    assert again.attr().size == len(b"../../../images/sha256/") + 64


async def test_the_node_of_a_renamed_repository_goes_on_in_the_new_place(
    ross: RossStore, top: TagsDirectory, digest: Digest
) -> None:
    ross.set_tag("library/app/nested", "v1", digest)
    app = await repository(top, "library/app")
    nested = await repository(top, "library/app/nested")
    link = await walk(top, "library/app/nested/v1")
    assert isinstance(link, TagLink)
    library = await repository(top, "library")
    await library.rename(b"app", top, b"moved", 0, CALLER)
    assert {entry.name for entry in await listed(app)} == {b"latest", b"nested"}
    assert await find(nested, b"v1") is not None
    assert link.target() == f"../../../images/sha256/{digest.hex}".encode()
    assert await repository(top, "moved") is app
    await library.mkdir(b"app", 0o755, CALLER)
    fresh = await repository(top, "library/app")
    assert fresh.ino != app.ino
    assert not list(await listed(fresh))


# Repositories


async def test_repositories_are_made_and_removed(top: TagsDirectory, opened: Store) -> None:
    made = await top.mkdir(b"team", 0o755, CALLER)
    assert isinstance(made, TagsDirectory)
    assert await walk(top, "team") is made
    assert await refusal(top.mkdir(b"team", 0o755, CALLER)) == errno.EEXIST
    await made.mkdir(b"app", 0o755, CALLER)
    assert await refusal(top.rmdir(b"team", CALLER)) == errno.ENOTEMPTY
    await made.rmdir(b"app", CALLER)
    await top.rmdir(b"team", CALLER)
    assert await walk(top, "team") is None
    assert await refusal(top.rmdir(b"team", CALLER)) == errno.ENOENT


@pytest.mark.parametrize("name", [b"Upper", b"a b", b"..a", b"a" * 256, b"\xff", b"a\n"])
async def test_what_cannot_be_a_repository_is_refused(top: TagsDirectory, name: bytes) -> None:
    assert await refusal(top.mkdir(name, 0o755, CALLER)) in (errno.EINVAL, errno.ENAMETOOLONG)


async def test_a_tag_is_not_removed_as_a_directory(top: TagsDirectory, digest: Digest) -> None:
    app = await repository(top, "library/app")
    assert await refusal(app.rmdir(b"latest", CALLER)) == errno.ENOTDIR


async def test_a_repository_replaces_an_empty_one_only(
    ross: RossStore, top: TagsDirectory, digest: Digest
) -> None:
    library = await repository(top, "library")
    await library.mkdir(b"empty", 0o755, CALLER)
    kept = library.rename(b"app", library, b"empty", RENAME_NOREPLACE, CALLER)
    assert await refusal(kept) == errno.EEXIST
    await library.rename(b"app", library, b"empty", 0, CALLER)
    assert await walk(top, "library/empty/latest") is not None
    ross.set_tag("library/full", "v1", digest)
    assert await refusal(library.rename(b"empty", library, b"full", 0, CALLER)) == errno.ENOTEMPTY


# Files that become tags


async def write(directory: TagsDirectory, name: bytes, data: bytes) -> None:
    """cp: create, write, close."""
    _, handle = await directory.create(name, 0o644, os.O_WRONLY, CALLER)
    try:
        await handle.write(0, data)
        await handle.flush()
    finally:
        await handle.release()


async def test_a_manifest_that_is_copied_becomes_a_tag(
    ross: RossStore, top: TagsDirectory, digest: Digest, opened: Store
) -> None:
    parts = image_parts("copied")
    for media_type, data in parts.blobs():
        ross.put_blob(media_type, data)
    app = await repository(top, "library/app")
    _, handle = await app.create(b"v1", 0o644, os.O_WRONLY, CALLER)
    await handle.write(0, parts.manifest)
    assert await find(app, b"v1") is None, "half a manifest is no tag"
    await handle.flush()
    assert parts.digest.hex.encode() in await target(top, "library/app/v1")
    await handle.release()
    assert opened.get_manifest(parts.digest)[0] == parts.manifest


@pytest.mark.usefixtures("expects_warnings")
async def test_what_is_no_manifest_becomes_no_tag(
    top: TagsDirectory, digest: Digest, opened: Store
) -> None:
    app = await repository(top, "library/app")
    for data, number in (
        (b"no JSON", errno.EBADMSG),
        (image_parts("absent").manifest, errno.ENOENT),
    ):
        assert await refusal(write(app, b"v1", data)) == number
        assert await find(app, b"v1") is None
    assert [info.tag for info in opened.list_tags("library/app")] == ["latest"]


async def test_a_file_is_not_made_over_a_tag(top: TagsDirectory, digest: Digest) -> None:
    app = await repository(top, "library/app")
    for name in (b"latest", b"no tag"):
        assert await refusal(write(app, name, b"{}")) in (errno.EEXIST, errno.EINVAL)


async def test_a_file_of_incoming_can_be_renamed_to_a_tag(
    top: TagsDirectory, digest: Digest, other: Digest
) -> None:
    app = await repository(top, "library/app")
    assert isinstance(app, Adopter)
    await app.adopt(b"v1", other, 0, CALLER)
    assert other.hex.encode() in await target(top, "library/app/v1")
    kept = app.adopt(b"v1", digest, RENAME_NOREPLACE, CALLER)
    assert await refusal(kept) == errno.EEXIST
    await app.adopt(b"v1", digest, 0, CALLER)
    assert digest.hex.encode() in await target(top, "library/app/v1")
