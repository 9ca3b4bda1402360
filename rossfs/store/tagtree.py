"""The directories of tags/: repositories, and what lies in them, without reading any tag.

A repository is a directory and may hold others; a tag is a regular file in one.  Anything else, and
names outside the grammar of the distribution specification, are passed over.  Symbolic links below
tags/ are never followed.  Listings stream: a hundred thousand tags in one repository cost no
memory.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator

from rossfs.errors import Conflict, InvalidReference, TagConflict
from rossfs.oci.quotation import quote
from rossfs.oci.reference import check_repository, check_repository_prefix, check_tag
from rossfs.store.descriptors import again
from rossfs.store.paths import Paths

_log = logging.getLogger("rossfs.store")

_WARNED = 1000
"""Names that are warned of; a log does not grow with a broken store for ever."""


class TagTree:
    """What lies where in tags/.  Paths are relative to it; "" is tags/ itself.  Thread safe."""

    __slots__ = ("_paths", "_warned")

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._warned: set[str] = set()

    def files(self, *, shown: bool, top: str = "") -> Iterator[tuple[str, str]]:
        """(directory below tags/, name) of the regular files; *shown*: only in directories that the
        grammar allows.  Those of one directory come together."""
        pending = [top]
        while pending:
            directory = pending.pop()
            above = f"{directory}/" if directory else ""
            for name, is_directory in self.scan(directory):
                if not is_directory:
                    yield directory, name
                elif not shown or is_prefix(above + name):
                    pending.append(above + name)

    def scan(self, directory: str) -> Iterator[tuple[str, bool]]:
        """(name, whether it is a directory) of files and directories; none if it is not there."""
        try:
            with again(lambda: os.scandir(f"{self._paths.tags}/{directory}")) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.name, True
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.name, False
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            self.warn(f"{self._paths.tags}/{quote(directory, 40)} lies too deep")

    def mode(self, path: str) -> int:
        """The mode of *path* below tags/ without following links, 0 if it is not there."""
        try:
            return os.lstat(f"{self._paths.tags}/{path}").st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def lexists(self, path: str) -> bool:
        """Whether anything at all is there."""
        return self.mode(path) != 0

    def is_directory(self, path: str) -> bool:
        """Whether each component of *path* is a directory, and no link to one."""
        if not path:
            return os.path.isdir(self._paths.tags)
        return all(stat.S_ISDIR(self.mode(above)) for above in _upwards(path))

    def is_tag_file(self, repository: str, tag: str) -> bool:
        """Whether the tag is there, readable or not."""
        return self.is_directory(repository) and stat.S_ISREG(self.mode(f"{repository}/{tag}"))

    def make_way(self, repository: str) -> None:
        """TagConflict if a component of *repository* is a tag, Conflict if it is a link or the
        like.

        Requires `Access.naming`.
        """
        for above in reversed([*_upwards(repository)]):
            mode = self.mode(above)
            if not mode:
                return
            if stat.S_ISREG(mode):
                raise conflict(above, repository)
            if not stat.S_ISDIR(mode):
                raise Conflict(f"{self._paths.repository(above)} is no directory")

    def warn(self, text: str) -> None:
        """Log *text*, once."""
        if text not in self._warned and len(self._warned) < _WARNED:
            self._warned.add(text)
            _log.warning("%s", text)


def _upwards(path: str) -> Iterator[str]:
    """*path* and the directories above it: a/b/c, a/b, a."""
    while path:
        yield path
        path, _, _ = path.rpartition("/")


def conflict(path: str, repository: str = "") -> TagConflict:
    """The error for the repository *repository* where *path* is a tag."""
    above, _, tag = path.rpartition("/")
    there = f"a tag {above}:{tag}" if above else f"a file {tag}"
    return TagConflict(f"cannot make the repository {repository or path}: there is {there}")


def conflict_of_tag(repository: str, tag: str) -> TagConflict:
    """The error for the tag *tag* of *repository* where a repository is."""
    return TagConflict(
        f"cannot make the tag {repository}:{tag}: there is a repository {repository}/{tag}"
    )


def is_tag(name: str) -> bool:
    """Whether *name* is a tag of the grammar."""
    try:
        check_tag(name)
    except InvalidReference:
        return False
    return True


def is_repository(name: str) -> bool:
    """Whether *name* is a complete repository name of the grammar."""
    try:
        check_repository(name)
    except InvalidReference:
        return False
    return True


def is_prefix(path: str) -> bool:
    """Whether *path* may be a directory of tags/; "" is."""
    if not path:
        return True
    try:
        check_repository_prefix(path)
    except InvalidReference:
        return False
    return True
