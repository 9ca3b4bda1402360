"""Tags: names of manifests and indexes, as Ross keeps them.

tags/<repository>/<tag> is a JSON file {"digest_algorithm","digest_hash","updated_at"}; a repository
is a directory, and may hold others.  So one path is a tag or a repository, never both: the file
system sees to that, and whoever comes second gets TagConflict.

Each change is one rename, mkdir, rmdir or unlink: readers see the old state or the new.  rossfs
changes tags under `Access.naming`, so that looking and changing are one step among all processes.
Names are checked before anything is written; files outside the grammar are not shown, but hold what
they name all the same (`roots`), for Ross checks no names.  Symbolic links are never followed below
tags/.

A crash leaves the old tag or the new one, and perhaps an empty repository.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rossfs.errors import (
    Conflict,
    Damaged,
    InvalidReference,
    ManifestNotFound,
    RepositoryNotFound,
    TagNotFound,
)
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.oci.reference import check_repository, check_repository_prefix, check_tag
from rossfs.store import arrivals, durable, tagfile
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.paths import Area
from rossfs.store.tagtree import (
    TagTree,
    conflict,
    conflict_of_tag,
    is_prefix,
    is_repository,
    is_tag,
)


class TagInfo(NamedTuple):
    """One tag.  `updated_at` is in Unix seconds."""

    tag: str
    digest: Digest
    updated_at: int


class TagEntry(NamedTuple):
    """One name in a directory of tags/."""

    name: str
    is_repository: bool
    """A directory: a repository, or the first components of one."""


class TagName(NamedTuple):
    """Which tag."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class Tags:
    """The tags of one store.  Thread safe."""

    __slots__ = ("_access", "_contents", "_tree")

    def __init__(self, access: Access, contents: Contents) -> None:
        self._access = access
        self._contents = contents
        self._tree = TagTree(access.paths)

    # Looking

    def get(self, repository: str, tag: str) -> TagInfo:
        """The tag.  InvalidReference for names outside the grammar, TagNotFound, Damaged."""
        check_repository(repository)
        check_tag(tag)
        found = self._read(repository, tag)
        if found is None:
            raise TagNotFound(f"no tag {repository}:{tag}")
        return found

    def find(self, repository: str, tag: str) -> TagInfo | None:
        """As `get`, but None for what is absent or cannot be a name.  Damaged."""
        try:
            check_repository(repository)
            check_tag(tag)
        except InvalidReference:
            return None
        return self._read(repository, tag)

    def is_tag(self, repository: str, tag: str) -> bool:
        """Whether there is this tag, damaged or not."""
        return self._tree.is_tag_file(repository, tag)

    def is_repository(self, path: str) -> bool:
        """Whether *path* is a repository, empty ones too, or the first components of one.  ""
        is."""
        return is_prefix(path) and self._tree.is_directory(path)

    def list(self, repository: str) -> Iterator[TagInfo]:
        """All tags of *repository*, in no order.  RepositoryNotFound, InvalidReference at once.

        Damaged ones are left out, with a warning in the log.
        """
        check_repository(repository)
        self._require_directory(repository)
        return self._list(repository)

    def entries(self, prefix: str = "") -> Iterator[TagEntry]:
        """The names in one directory of tags/, in no order; "" is the top, which has repositories
        only.  RepositoryNotFound at once."""
        if not (is_prefix(prefix) and self._tree.is_directory(prefix)):
            if not prefix:
                return iter(())
            raise RepositoryNotFound(f"no repository {quote(prefix)}")
        return self._entries(prefix)

    def names(self) -> Iterator[TagName]:
        """All tags of the store, in no order, none of them read."""
        for repository, name in self._tree.files(shown=True):
            if is_tag(name) and is_repository(repository):
                yield TagName(repository, name)

    def repositories(self) -> Iterator[str]:
        """All repositories that hold a tag, in no order."""
        previous = None
        for repository, _ in self.names():
            if repository != previous:
                yield repository
            previous = repository

    def roots(self) -> Iterator[tuple[str, Digest]]:
        """(path below tags/, digest) of every file that names one, also outside the grammar.

        Damaged for a tag that cannot be read: what it names must not be lost.
        """
        for repository, name in self._tree.files(shown=False):
            path = f"{repository}/{name}"
            try:
                yield path, tagfile.read(f"{self._access.paths.tags}/{path}").digest
            except FileNotFoundError:
                continue
            except (Damaged, OSError):
                if is_tag(name) and is_repository(repository):
                    raise

    # Changing

    def set(self, repository: str, tag: str, digest: Digest) -> Digest | None:
        """Make the tag name *digest*; return what it named before, None also for what was damaged.

        ManifestNotFound unless *digest* is a stored manifest or index; TagConflict where a
        repository is, or where a tag is a directory of this one's path; InvalidReference.
        """
        check_repository(repository)
        check_tag(tag)
        path = self._access.paths.tag(repository, tag)
        with self._access.writing():
            found = self._contents.settle(digest)
            if found is None or found.area is Area.BLOBS:
                raise ManifestNotFound(
                    f"cannot tag {repository}:{tag}: no manifest or index {digest} in the store"
                )
            with self._access.naming(), self._conflicts(TagName(repository, tag)):
                self._tree.make_way(repository)
                previous = self._named(repository, tag)
                data = tagfile.encode(digest, int(time.time()))
                durable.replace_file(path, data, self._access.paths.scratch, "tag")
                arrivals.note(self._access.paths, digest)
        return previous

    def delete(self, repository: str, tag: str) -> bool:
        """Remove the tag, damaged or not; False if it was not there.  InvalidReference."""
        check_repository(repository)
        check_tag(tag)
        with self._access.naming():
            if not self._tree.is_tag_file(repository, tag):
                return False
            return durable.remove(self._access.paths.tag(repository, tag), "tag")

    def require_free(self, repository: str, tags: Iterable[str]) -> None:
        """TagConflict if one of *tags* cannot be made in *repository* because of a directory, or
        the repository because of a tag.  Requires `Access.naming`."""
        self._tree.make_way(repository)
        for tag in tags:
            if self._tree.is_directory(f"{repository}/{tag}"):
                raise conflict_of_tag(repository, tag)

    def change(self, repository: str, named: Mapping[str, Digest], gone: Iterable[str]) -> None:
        """Make all tags of *named*, and then remove those of *gone*.

        Requires `Access.naming`, `require_free`, names of the grammar, and that each digest is a
        stored manifest or index.
        """
        for tag, digest in named.items():
            data = tagfile.encode(digest, int(time.time()))
            path = self._access.paths.tag(repository, tag)
            durable.replace_file(path, data, self._access.paths.scratch, "tag")
            arrivals.note(self._access.paths, digest)
        for tag in gone:
            durable.remove(self._access.paths.tag(repository, tag), "tag")

    def rename(self, old: tuple[str, str], new: tuple[str, str], *, replace: bool = True) -> None:
        """Give the tag *old* (repository, tag) the name *new*, atomically over an existing one.

        TagNotFound; TagConflict as `set`; Conflict if *replace* is False and there is one.
        """
        old, new = TagName(*old), TagName(*new)
        for repository, tag in (old, new):
            check_repository(repository)
            check_tag(tag)
        with self._access.naming(), self._conflicts(new):
            if not self._tree.is_tag_file(*old):
                raise TagNotFound(f"no tag {old}")
            if not replace and self._tree.is_tag_file(*new):
                raise Conflict(f"there is a tag {new} already")
            if self._tree.is_directory(f"{new.repository}/{new.tag}"):
                # rename(2) has another error for it where the old name lies inside.
                raise IsADirectoryError
            self._tree.make_way(new.repository)
            durable.make_directory(self._access.paths.repository(new.repository), "repository")
            digest = self._named(*old)
            durable.rename(self._access.paths.tag(*old), self._access.paths.tag(*new), "tag")
            if digest is not None:
                arrivals.note(self._access.paths, digest)

    def make_repository(self, path: str) -> None:
        """Make an empty repository.  Conflict if it is there, TagConflict where a tag is."""
        check_repository_prefix(path)
        with self._access.naming():
            self._tree.make_way(path)
            if self._tree.is_directory(path):
                raise Conflict(f"there is a repository {path} already")
            durable.make_directory(self._access.paths.repository(path), "repository")

    def remove_repository(self, path: str) -> None:
        """Remove an empty repository.  RepositoryNotFound; OSError ENOTEMPTY, ENOTDIR."""
        check_repository_prefix(path)
        with self._access.naming():
            if not self._tree.lexists(path):
                raise RepositoryNotFound(f"no repository {path}")
            durable.remove_directory(self._access.paths.repository(path), "repository")

    def rename_repository(self, old: str, new: str) -> None:
        """Give the directory *old*, with all in it, the path *new*; an empty one there is replaced.

        What its layout has beside tags goes along, unless there is such at the new place.
        RepositoryNotFound, TagConflict, InvalidReference (also when a name inside would become too
        long); OSError as rename(2) has it: ENOTEMPTY, EINVAL into itself.
        """
        check_repository_prefix(old)
        check_repository_prefix(new)
        with self._access.naming():
            self._require_directory(old)
            if new.startswith(f"{old}/"):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), new)
            for repository, name in self._tree.files(shown=False, top=old):
                if is_tag(name) and is_repository(repository):
                    check_repository(new + repository.removeprefix(old))
                # A collection that reads the tags now may come to the new place before the move and
                # to the old one after it.
                with contextlib.suppress(Damaged, OSError):
                    path = f"{self._access.paths.tags}/{repository}/{name}"
                    arrivals.note(self._access.paths, tagfile.read(path).digest)
            parent, _, _ = new.rpartition("/")
            if parent:
                self._tree.make_way(parent)
                durable.make_directory(self._access.paths.repository(parent), "repository")
            source, target = map(self._access.paths.repository, (old, new))
            try:
                with self._moving_layout(old, new):
                    durable.rename(source, target, "repository")
            except NotADirectoryError:
                raise conflict(new) from None

    # Inside

    def _require_directory(self, repository: str) -> None:
        if not self._tree.is_directory(repository):
            raise RepositoryNotFound(f"no repository {repository}")

    def _read(self, repository: str, tag: str) -> TagInfo | None:
        if not self._tree.is_directory(repository):
            return None
        path = self._access.paths.tag(repository, tag)
        try:
            record = tagfile.read(path)
        except FileNotFoundError:
            return None
        return TagInfo(tag, record.digest, record.updated_at)

    def _list(self, repository: str) -> Iterator[TagInfo]:
        for entry in self._entries(repository):
            if entry.is_repository:
                continue
            try:
                record = tagfile.read(self._access.paths.tag(repository, entry.name))
            except FileNotFoundError:
                continue
            except Damaged as error:
                self._tree.warn(str(error))
                continue
            yield TagInfo(entry.name, record.digest, record.updated_at)

    def _entries(self, prefix: str) -> Iterator[TagEntry]:
        above = f"{prefix}/" if prefix else ""
        taggable = is_repository(prefix)
        for name, is_directory in self._tree.scan(prefix):
            if is_directory:
                if is_prefix(above + name):
                    yield TagEntry(name, True)
            elif taggable and is_tag(name):
                yield TagEntry(name, False)

    def _named(self, repository: str, tag: str) -> Digest | None:
        """What a tag names, as far as it can be told."""
        try:
            found = self._read(repository, tag)
        except (Damaged, OSError):
            return None
        return None if found is None else found.digest

    @contextlib.contextmanager
    def _moving_layout(self, old: str, new: str) -> Iterator[None]:
        """Move what the layout of *old* has beside tags, and back if the tags cannot be moved.

        It goes first: after a crash, moving the tags again completes it.
        """
        source, target = map(self._access.paths.layout, (old, new))
        if not os.path.isdir(source) or os.path.lexists(target):
            yield
            return
        durable.make_directory(os.path.dirname(target), "layout directory")
        durable.rename(source, target, "layout directory")
        try:
            yield
        except BaseException:
            durable.rename(target, source, "layout directory")
            raise

    @contextlib.contextmanager
    def _conflicts(self, name: TagName) -> Iterator[None]:
        """Say what the file system refuses: a directory where the tag is to be, or a file where its
        repository is."""
        try:
            yield
        except IsADirectoryError:
            raise conflict_of_tag(*name) from None
        except NotADirectoryError:
            raise conflict(name.repository) from None
