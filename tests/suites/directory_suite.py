"""What every directory of the mount must do, as test classes to inherit.

    class TestTags(DirectorySuite):
        @pytest.fixture
        def directory(self, store: Store) -> Directory:
            return TagsDirectory(...)

A subclass gives the fixture `directory`, with at least one name in it unless `empty` is true.
`DirectorySuite` only reads; `ReadOnlyDirectorySuite` also tries every change and expects EROFS.  A
directory that ignores changes or refuses them otherwise inherits `DirectorySuite` and tests its own
rules.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, TypeVar

import pytest

from rossfs.errors import RossfsError
from rossfs.tree.node import (
    Attr,
    AttrChange,
    Caller,
    Directory,
    Entry,
    File,
    Node,
    Published,
    Row,
    Rows,
    Symlink,
    Unsettled,
)

T = TypeVar("T")

CALLER = Caller(uid=1000, gid=1000, pid=4321)

MOST = 40
"""Entries of a directory that a test looks at: the first and the last halves of these."""

STRANGE_NAMES = (
    b"no such name",
    b"%s%n",
    b"-",
    b"\n",
    b"\xff\xfe",
    b"..." * 10,
    b" ",
    b"a" * 255,
    b"sha256:" + b"0" * 64,
    b"0" * 63,
    b"F" * 64,
)
"""Names that no directory lists by itself, legal for a kernel."""


async def settled(directory: Directory, ask: Callable[[], T]) -> T:
    """The answer of *ask*, after what it waits for."""
    if not directory.loaded:
        await directory.load()
        assert directory.loaded, "load() did not set loaded"
    for _ in range(50):
        try:
            return ask()
        except Unsettled:
            await directory.settle()
    raise AssertionError("settle() came back 50 times and the answer is still not there")


async def find(directory: Directory, name: bytes) -> Node | None:
    """What `lookup` answers once it can."""
    return await settled(directory, lambda: directory.lookup(name))


async def listed(directory: Directory) -> Sequence[Entry]:
    """The first and last entries of a listing; those of rows without nodes."""
    listing = await settled(directory, directory.entries)
    if isinstance(listing, Rows):
        rows = rows_of(listing)
        if len(rows) > MOST:
            rows[MOST // 2 : -MOST // 2] = []
        return [Entry(row.name, None, stat.S_IFMT(row.mode), row.ino) for row in rows]
    positions: Sequence[int] = range(len(listing))
    if len(positions) > MOST:
        half = MOST // 2
        positions = [*positions[:half], *positions[-half:]]
    return [entry for entry in map(listing.__getitem__, positions) if entry is not None]


def rows_of(listing: Rows, start: int = 0) -> list[Row]:
    """The rows of a listing from position *start* on."""
    return [Row._make(row) for row in listing.rows(start)]


async def nodes(directory: Directory) -> list[tuple[bytes, Node]]:
    """The directory itself (as b".") and every node in it that a test looks at."""
    found: list[tuple[bytes, Node]] = [(b".", directory)]
    for entry in await listed(directory):
        node = await find(directory, entry.name)
        if node is not None:
            found.append((entry.name, node))
    return found


async def refusal(change: Awaitable[object]) -> int:
    """The errno with which *change* is refused, 0 if it is not."""
    try:
        await change
    except (OSError, RossfsError) as error:
        return error.errno or 0
    return 0


class DirectorySuite:
    """What holds of every directory, whoever may write in it."""

    empty: ClassVar[bool] = False
    """The fixture's directory has no names."""

    strange_names: ClassVar[Sequence[bytes]] = STRANGE_NAMES
    """Names that `lookup` must not find and must not stumble over."""

    async def test_it_is_a_directory(self, directory: Directory) -> None:
        attr = directory.attr()
        assert stat.S_ISDIR(attr.mode)
        assert attr.mode & 0o111, "nobody could enter it"

    async def test_it_has_names(self, directory: Directory) -> None:
        assert bool(await listed(directory)) != self.empty

    async def test_names_are_legal_and_listed_once(self, directory: Directory) -> None:
        names = [entry.name for entry in await listed(directory)]
        assert len(names) == len(set(names))
        for name in names:
            assert type(name) is bytes
            assert 1 <= len(name) <= 255
            assert b"/" not in name
            assert b"\0" not in name
            assert name not in (b".", b"..")

    async def test_every_listed_name_is_found(self, directory: Directory) -> None:
        for entry in await listed(directory):
            node = await find(directory, entry.name)
            assert node is not None, entry
            kind = stat.S_IFMT(node.attr().mode)
            if entry.node is None:
                assert stat.S_IFMT(entry.kind) == kind, entry
                assert entry.ino in (0, node.ino), entry
            else:
                assert entry.node.ino == node.ino, entry
                assert type(entry.node) is type(node), entry
                assert entry.node.same(node), entry

    async def test_numbers_are_stable_and_distinct(self, directory: Directory) -> None:
        first = dict(await nodes(directory))
        again = dict(await nodes(directory))
        assert {n: node.ino for n, node in first.items()} == {n: x.ino for n, x in again.items()}
        known: dict[int, Node] = {}
        for name, node in first.items():
            assert 0 < node.ino < 1 << 64, name
            other = known.setdefault(node.ino, node)
            assert other.same(node), f"two places under number {node.ino}"

    async def test_a_listing_is_a_snapshot(self, directory: Directory) -> None:
        listing = await settled(directory, directory.entries)
        length = len(listing)
        if isinstance(listing, Rows):
            assert rows_of(listing) == rows_of(listing)
            assert length == len(rows_of(listing)) == len(listing)
            assert rows_of(listing, length) == rows_of(listing, length + 1) == []
            return
        for position in range(min(length, MOST)):
            first, again = listing[position], listing[position]
            assert (first and first.name) == (again and again.name)
        assert len(listing) == length
        with pytest.raises(IndexError):
            listing[length]

    async def test_a_strange_name_is_absent(self, directory: Directory) -> None:
        for name in self.strange_names:
            assert await find(directory, name) is None, name

    async def test_attributes_are_what_the_kernel_can_hold(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            attr = node.attr()
            assert type(attr) is Attr, name
            assert 0 <= attr.size < 1 << 63, name
            assert attr.nlink >= 1, name
            assert attr.mode == stat.S_IFMT(attr.mode) | stat.S_IMODE(attr.mode), name
            for owner in (attr.uid, attr.gid):
                assert owner is None or 0 <= owner < 0xFFFFFFFF, name
            for moment in (attr.mtime_ns, attr.ctime_ns, attr.atime_ns):
                assert type(moment) is int, name
                assert -(1 << 63) <= moment // 10**9 < 1 << 63, name
            assert node.ttl >= 0, name

    async def test_the_kind_of_a_node_is_its_mode(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            mode = node.attr().mode
            assert stat.S_ISDIR(mode) == isinstance(node, Directory), name
            assert stat.S_ISLNK(mode) == isinstance(node, Symlink), name

    async def test_constant_nodes_answer_the_same(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            if node.constant:
                assert node.attr() == node.attr(), name

    async def test_links_have_a_target_of_their_size(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            if isinstance(node, Symlink):
                target = node.target()
                assert type(target) is bytes, name
                assert 1 <= len(target) < 4096, name
                assert b"\0" not in target, name
                assert node.attr().size == len(target), name

    async def test_extended_attributes_are_bytes(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            for attribute, value in node.xattrs().items():
                assert type(attribute) is bytes, name
                assert type(value) is bytes, name
                assert b"." in attribute, name
                assert len(attribute) <= 255, name
                assert len(value) <= 1 << 16, name
                assert node.foreign_xattrs or attribute.startswith(b"user."), name

    async def test_files_read_to_their_size(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            if not isinstance(node, File) or not stat.S_ISREG(node.attr().mode):
                continue
            handle = await node.open(os.O_RDONLY, CALLER)
            size = node.attr().size
            try:
                assert len(bytes(await handle.read(0, size + 1))) == size, name
                assert bytes(await handle.read(size, 4096)) == b"", name
                assert bytes(await handle.read(size + 1000, 4096)) == b"", name
                middle = bytes(await handle.read(size // 2, 7))
                assert middle == bytes(await handle.read(0, size))[size // 2 :][:7], name
                await handle.flush()
            finally:
                await handle.release()

    async def test_what_is_forgotten_is_found_again(self, directory: Directory) -> None:
        before = await nodes(directory)
        for name, node in before:
            if name != b".":
                node.forgotten()
        after = await nodes(directory)
        assert [(name, node.ino) for name, node in after] == [(n, x.ino) for n, x in before]

    async def test_what_it_watches_are_absolute_paths(self, directory: Directory) -> None:
        for path in directory.watched():
            assert type(path) is str
            assert os.path.isabs(path)

    async def test_every_name_shows_changes_as_names(self, directory: Directory) -> None:
        for name in (*self.strange_names, b"x.meta", b".tmp"):
            for shown in directory.shown_as(name):
                assert type(shown) is bytes
                assert shown


class ReadOnlyDirectorySuite(DirectorySuite):
    """What holds of a directory in which nothing can be changed."""

    async def test_nothing_can_be_made(self, directory: Directory) -> None:
        new = b"new name"
        flags = os.O_WRONLY | os.O_CREAT
        assert await refusal(directory.create(new, 0o644, flags, CALLER)) == errno.EROFS
        assert await refusal(directory.mknod(new, 0o644 | stat.S_IFREG, 0, CALLER)) == errno.EROFS
        assert await refusal(directory.mkdir(new, 0o755, CALLER)) == errno.EROFS
        assert await refusal(directory.symlink(new, b"target", CALLER)) == errno.EROFS
        assert await find(directory, new) is None

    async def test_nothing_can_be_linked(self, directory: Directory) -> None:
        for _name, node in await nodes(directory):
            assert await refusal(directory.link(b"new name", node, CALLER)) in (
                errno.EPERM,
                errno.EROFS,
            )

    async def test_nothing_can_be_removed_or_renamed(self, directory: Directory) -> None:
        before = await nodes(directory)
        for name, node in before[1:]:
            remove = directory.rmdir if isinstance(node, Directory) else directory.unlink
            assert await refusal(remove(name, CALLER)) == errno.EROFS, name
            moved = directory.rename(name, directory, b"new name", 0, CALLER)
            assert await refusal(moved) == errno.EROFS, name
        after = await nodes(directory)
        assert [(name, node.ino) for name, node in after] == [(n, x.ino) for n, x in before]

    async def test_sizes_and_attributes_stay(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            before = node.attr()
            if isinstance(node, File):
                cut = node.setattr(AttrChange(size=before.size + 1), CALLER)
                assert await refusal(cut) == errno.EROFS, name
            named = node.setxattr(b"user.test", b"x")
            assert await refusal(named) in (errno.EROFS, errno.EPERM), name
            if node.constant:
                assert node.attr() == before, name

    async def test_no_file_opens_for_writing(self, directory: Directory) -> None:
        for name, node in await nodes(directory):
            if not isinstance(node, File):
                continue
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
                try:
                    handle = await node.open(flags, CALLER)
                except Published:
                    answer = await directory.rewrite(name, node, flags, CALLER)
                    assert answer is None, name
                except (OSError, RossfsError) as error:
                    assert error.errno == errno.EROFS, name  # noqa: PT017 - Published is right too
                else:
                    await handle.release()
                    pytest.fail(f"{name!r} can be opened with flags {flags:#o}")
