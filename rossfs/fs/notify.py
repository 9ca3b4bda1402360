"""What other processes change in the store, told to the kernel.

A directory of the mount is watched (inotify(7)) on the disk paths that it names, from the first
request inside it until the kernel forgets it.  An event becomes "forget this name".  Nothing is
sent

 - while a handler for that directory waits: the kernel would have to wait for its lock (see fs/);
 - for a name that this mount changed itself within the last second: the kernel knows.  Where names
   are cached for longer than that, it is sent when the second is over, for it may have been
   somebody else;
 - for a name that appears where no answer "absent" was cached and nothing can be replaced.

If events were lost (IN_Q_OVERFLOW) or a watched directory was moved, the names at the root are
invalidated, and with each of them the kernel forgets all below it; places with ttl 0 are left out.

Watching only shortens cache times, so a failure here is logged and ends no request; a directory
that cannot be watched is told to remember nothing.  All methods run in trio's thread; only `run`
waits.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from inotify_simple import INotify, flags, parse_events

from rossfs.tree.node import Directory, Rows

log = logging.getLogger("rossfs.fs")

ECHO = 1.0
"""Seconds for which a change is taken for our own.  As long as the ttl of what can be replaced:
were it another process's after all, the kernel asks again then anyway."""

RETRY = 1.0
"""Seconds until a path that is not there, or could not be watched, is tried again."""

_GOES = flags.DELETE | flags.MOVED_FROM
_COMES = flags.CREATE | flags.MOVED_TO | flags.CLOSE_WRITE
_MASK = _GOES | _COMES | flags.MOVE_SELF | flags.DELETE_SELF | flags.ONLYDIR

_READ = 1 << 16
"""Bytes of events taken at once: about a thousand, so that requests are served in between."""

_MANY = 4096
"""With more expected echoes than this, those that are over are looked for."""


class _Watch:
    """One watched path and the directories of the mount that show it, by inode number."""

    __slots__ = ("path", "showing")

    def __init__(self, path: str) -> None:
        self.path = path
        self.showing: dict[int, Directory] = {}


class Watcher:
    """The watches of one mount.  *forget* is called with the parent's inode number and the name."""

    def __init__(self, root: Directory, forget: Callable[[int, bytes], None]) -> None:
        self.unwatched: set[int] = set()
        """Directories that the kernel knows and that `watch` must be called for, before the next
        lookup in them."""
        self._root = root
        self._forget = forget
        self._by_wd: dict[int, _Watch] = {}
        self._wds: defaultdict[int, set[int]] = defaultdict(set)
        self._again: dict[int, float] = {}
        self._blind: set[int] = set()
        self._busy: defaultdict[int, int] = defaultdict(int)
        self._echoes: dict[tuple[int, bytes], float] = {}
        self._deferred: defaultdict[int, dict[bytes, bool]] = defaultdict(dict)
        self._late: dict[tuple[int, bytes], float] = {}
        self._wake = trio.Event()
        self._complained: set[int | None] = set()
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            self._complain("cannot watch the store for changes by other processes", error)

    def __len__(self) -> int:
        return len(self._by_wd)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self.unwatched.clear()
        self._by_wd.clear()
        self._wds.clear()

    # What is watched

    def appeared(self, directory: Directory) -> None:
        """The kernel knows *directory* from now on."""
        if type(directory).watched is not Directory.watched:
            self.unwatched.add(directory.ino)

    def vanished(self, directory: Directory) -> None:
        """The kernel forgot *directory*."""
        self.unwatched.discard(directory.ino)
        self._again.pop(directory.ino, None)
        self._blind.discard(directory.ino)
        self._deferred.pop(directory.ino, None)
        for wd in self._wds.pop(directory.ino, ()):
            watch = self._by_wd[wd]
            watch.showing.pop(directory.ino, None)
            if not watch.showing:
                self._remove(wd)

    def watch(self, directory: Directory) -> None:
        """Watch what *directory* shows: something in it is about to be looked up."""
        ino = directory.ino
        now = time.monotonic()
        if self._again.get(ino, now) <= now:
            if self._watch(directory):
                self.unwatched.discard(ino)
                self._again.pop(ino, None)
                self._blind.discard(ino)
                return
            self._again[ino] = now + RETRY
        if ino in self._blind:
            directory.changed_by_others(None)  # nobody would tell

    def _watch(self, directory: Directory) -> bool:
        """Whether all that *directory* shows is watched."""
        everything = True
        for path in directory.watched():
            try:
                if self._inotify is None:
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                wd = self._inotify.add_watch(path, _MASK)
            except OSError as error:
                everything = False
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    self._blind.add(directory.ino)
                    self._complain(f"cannot watch {path!r}", error)
            else:
                watch = self._by_wd.setdefault(wd, _Watch(path))
                watch.showing[directory.ino] = directory
                self._wds[directory.ino].add(wd)
        return everything

    def _remove(self, wd: int) -> None:
        """Watch *wd* no longer; whoever shows it must be watched anew."""
        watch = self._by_wd.pop(wd)
        for ino, directory in watch.showing.items():
            directory.changed_by_others(None)
            self._wds[ino].discard(wd)
            self.unwatched.add(ino)
        if self._inotify is not None:
            try:
                self._inotify.rm_watch(wd)
            except OSError as error:
                if error.errno != errno.EINVAL:  # EINVAL: the directory is gone, and its watch
                    self._complain(f"cannot stop watching {watch.path!r}", error)

    def _complain(self, what: str, error: OSError) -> None:
        """Say once for each kind of failure what will be noticed late."""
        if error.errno not in self._complained:
            self._complained.add(error.errno)
            log.warning("%s (%s): they show when cache times end", what, error)

    # What is not sent, or later

    @contextmanager
    def handling(self, ino: int) -> Iterator[None]:
        """While this lasts, a handler for the directory *ino* may wait: what there is to say about
        it waits too."""
        self._busy[ino] += 1
        try:
            yield
        finally:
            self._busy[ino] -= 1
            if not self._busy[ino]:
                del self._busy[ino]
                if ino in self._deferred:
                    self._wake.set()

    @contextmanager
    def suppressed(self, ino: int, name: bytes) -> Iterator[None]:
        """While this lasts the handler changes *name* in the directory *ino*; unless it fails, the
        kernel knows, so echoes of it are held back until a second later."""
        key = (ino, name)
        if len(self._echoes) > _MANY:
            now = time.monotonic()
            self._echoes = {k: expiry for k, expiry in self._echoes.items() if expiry > now}
        self._echoes[key] = float("inf")
        try:
            with self.handling(ino):
                yield
        except BaseException:
            # It changed nothing: who did was somebody else.
            del self._echoes[key]
            raise
        self._echoes[key] = time.monotonic() + ECHO

    def _tell(self, ino: int, name: bytes, lasting: bool) -> None:
        """Let the kernel forget *name* in the directory *ino*: now, later, or not at all if that is
        an echo and what it caches there is not *lasting*."""
        if ino in self._busy:
            self._deferred[ino][name] = lasting
            return
        expiry = self._echoes.get((ino, name))
        if expiry is not None:
            if expiry > time.monotonic():
                if lasting:
                    if not self._late:
                        self._wake.set()
                    self._late[ino, name] = expiry
                return
            del self._echoes[ino, name]
        self._forget(ino, name)

    # Events

    async def run(self) -> None:
        """Tell the kernel until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_deferred)
            if self._inotify is not None:
                nursery.start_soon(self._read_events, self._inotify.fileno())

    async def _send_deferred(self) -> None:
        while True:
            # In the order of their expiry, almost.
            soonest = next(iter(self._late.values()), float("inf"))
            with trio.move_on_after(max(0.0, soonest - time.monotonic())):
                await self._wake.wait()
            # The handler that woke us has sent its reply: it does not wait between the two.
            self._wake = trio.Event()
            for ino in [ino for ino in self._deferred if ino not in self._busy]:
                for name, lasting in self._deferred.pop(ino).items():
                    self._tell(ino, name, lasting)
            now = time.monotonic()
            for (ino, name), expiry in list(self._late.items()):
                if expiry > now:
                    break
                del self._late[ino, name]
                self._tell(ino, name, True)

    async def _read_events(self, fd: int) -> None:
        while True:
            await trio.lowlevel.wait_readable(fd)
            try:
                self._understand(os.read(fd, _READ))
            except BlockingIOError:
                continue
            except OSError as error:
                self._complain("cannot follow changes of the store", error)
                return

    def _understand(self, events: bytes) -> None:
        """Act on a batch of events, on each name once."""
        changed: dict[tuple[int, str], int] = {}
        for wd, mask, _cookie, name in parse_events(events):
            if mask & flags.Q_OVERFLOW:
                log.warning("the store changed faster than it could be followed")
                self._forget_everything()
                return
            if wd not in self._by_wd:
                continue
            if mask & (flags.MOVE_SELF | flags.UNMOUNT):
                self._remove(wd)
                self._forget_everything()
                return
            if mask & flags.IGNORED:
                self._remove(wd)
            elif name:
                changed[wd, name] = changed.get((wd, name), 0) | mask
        for (wd, name), mask in changed.items():
            if watch := self._by_wd.get(wd):
                try:
                    self._changed(watch, name, mask)
                except Exception:
                    log.exception("%s in %s changed: unforeseen error", ascii(name), watch.path)

    def _changed(self, watch: _Watch, changed: str, mask: int) -> None:
        name = os.fsencode(changed)
        if mask & flags.ISDIR and mask & (flags.MOVED_FROM | flags.MOVED_TO):
            self._forget_paths(f"{watch.path}/{changed}")
        for ino, directory in list(watch.showing.items()):
            for shown in directory.shown_as(name):
                directory.changed_by_others(shown)
                # A name that only appears changes what the kernel knows if "absent" was cached, or
                # if it took another's place.
                if (
                    mask & _GOES
                    or directory.negative_ttl
                    or shown != name
                    or (directory.replaces and mask & ~flags.CREATE & _COMES)
                ):
                    self._tell(ino, shown, not directory.replaces)

    def _forget_paths(self, path: str) -> None:
        """A directory at *path* was moved: watches of it and below follow it, their names do
        not."""
        below = path + "/"
        moved = [w for w, watch in self._by_wd.items() if f"{watch.path}/".startswith(below)]
        for wd in moved:
            self._remove(wd)

    def _forget_everything(self) -> None:
        """Start again: no watch, and nothing that the kernel believes."""
        for wd in list(self._by_wd):
            self._remove(wd)
        try:
            listing = self._root.entries()
            assert not isinstance(listing, Rows)
            names = [entry.name for entry in listing if entry is not None]
            places = [(name, self._root.lookup(name)) for name in names]
        except Exception:
            log.exception("listing the root to invalidate it: unforeseen error")
            return
        for name, place in places:
            if place is not None and place.ttl:
                self._tell(self._root.ino, name, True)
