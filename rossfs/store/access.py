"""Opening a store: is there one, may this rossfs read it, may it write.

Opening writes nothing.  The directories of rossfs and the file `format` appear with the first
change (`Access.writing`), so that a store of Ross that is only looked at stays as Ross left it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from rossfs.errors import Conflict, ReadOnlyStore, StoreNotFound
from rossfs.oci.layout import LAYOUT_FILE
from rossfs.store import durable, formatfile
from rossfs.store.lock import StoreLock
from rossfs.store.paths import Area, Paths

_MARKS = ("format", *(area.value for area in Area), "tags")


class Access:
    """One opened store directory: its paths, whether it can be written, and the lock.  Thread
    safe."""

    __slots__ = ("_lock", "_prepared", "paths", "writable")

    def __init__(self, paths: Paths, *, writable: bool, prepared: bool) -> None:
        self.paths = paths
        self.writable = writable
        self._prepared = prepared
        self._lock = StoreLock(paths.lock)

    @classmethod
    def open(cls, root: str, *, read_only: bool = False) -> Access:
        """Open the store in directory *root*.

        StoreNotFound if there is none, UnknownFormat if this rossfs must not open it, OSError if
        it cannot be looked at.  A store that this process may not write is opened for reading.
        """
        paths = Paths(root)
        _require_directory(paths.root)
        if _exists(f"{paths.root}/{LAYOUT_FILE}"):
            # It has blobs/ too.
            raise StoreNotFound(
                f"no store at {paths.root}: it is an OCI layout, for `rossfs import`"
            )
        if not any(_exists(f"{paths.root}/{mark}") for mark in _MARKS):
            raise StoreNotFound(f"no store at {paths.root}: make one with `rossfs init`")
        prepared = formatfile.check(paths)
        writable = not read_only and os.access(paths.root, os.W_OK | os.X_OK, effective_ids=True)
        return cls(paths, writable=writable, prepared=prepared)

    @classmethod
    def create(cls, root: str) -> Access:
        """Make an empty store in *root*, which must be missing, empty, or a store already (which
        stays as it is).

        Conflict where something else is, ReadOnlyStore where this process may not write.
        """
        paths = Paths(root)
        try:
            with contextlib.suppress(StoreNotFound):
                return cls.open(root)
            durable.make_directory(paths.root, "store")
            if os.listdir(paths.root):
                raise Conflict(f"{paths.root} is not empty and is no store")
            for area in Area:
                durable.make_directory(paths.area(area), "store")
            durable.make_directory(paths.tags, "store")
            formatfile.write(paths)
        except NotADirectoryError as error:
            raise Conflict(f"cannot make a store in {paths.root}: {error.strerror}") from error
        except PermissionError as error:
            raise ReadOnlyStore(f"cannot make a store in {paths.root}: {error.strerror}") from error
        return cls(paths, writable=True, prepared=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store lock with other writers for a change.  May be nested.  ReadOnlyStore if it
        cannot be."""
        self.require_writable()
        with self._lock.shared():
            if not self._prepared:
                formatfile.write(self.paths)
                self._prepared = True
            yield

    @contextlib.contextmanager
    def sweeping(self) -> Iterator[None]:
        """Hold the store lock alone, so that nothing is committed meanwhile.  ReadOnlyStore if it
        cannot be."""
        self.require_writable()
        with self._lock.exclusive():
            yield

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """As `writing`, and alone among those who change tags.  May not be nested."""
        with self.writing(), self._lock.naming():
            yield

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Keep others from changing tags, for a look at several of them at one moment.  Not within
        `naming`, and with nothing in it that takes the store lock.  Writes nothing."""
        with self._lock.looking():
            yield

    @contextlib.contextmanager
    def idle(self) -> Iterator[bool]:
        """Whether nobody changes the store now; then nobody does before this is left.  Never waits
        and writes nothing."""
        with self._lock.idle() as free:
            yield free

    def require_writable(self) -> None:
        """ReadOnlyStore unless changes are possible."""
        if not self.writable:
            raise ReadOnlyStore(f"the store {self.paths.root} is open for reading only")


def _require_directory(path: str) -> None:
    """StoreNotFound unless *path* is a directory; OSError (EACCES) if nobody can say."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise StoreNotFound(
            f"no store at {path}: no such directory; `rossfs init` makes one"
        ) from None
    except NotADirectoryError as error:
        raise StoreNotFound(f"no store at {path}: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise StoreNotFound(f"no store at {path}: it is not a directory")


def _exists(path: str) -> bool:
    """Whether there is something at *path*; OSError (EACCES) if nobody can say."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True
