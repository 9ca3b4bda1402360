"""One mount's life: from the store to the last request.

Order: the store is opened (which carries out what a crash left), libfuse mounts, requests are
served, a thread asks the mount something and thereby proves that it answers, and only then is
anybody told that it is ready.

The end has three causes: somebody unmounts (the kernel ends the connection), a signal (the mount is
taken out of the tree at once, whoever uses it gets a moment to close his files, then the
connection is cut), or an error.  In each the mount is gone from the tree before the process ends,
and files that were closed are committed.  After kill -9 the mount stays, dead, until somebody
unmounts it or mounts again; what close() accepted is committed when the store is opened next.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing

import pyfuse3
import trio

from rossfs import __version__
from rossfs.errors import MountFailed, RossfsError
from rossfs.fs import turns, unmount
from rossfs.fs.capture import standard_error
from rossfs.fs.daemon import leave_standard_error
from rossfs.fs.device import Device, Handlers
from rossfs.fs.filesystem import FilesystemOptions, open_filesystem
from rossfs.fs.log import Log
from rossfs.fs.mountinfo import mounts_on
from rossfs.fs.notices import Notices
from rossfs.fs.operations import Operations
from rossfs.fs.options import MountOptions, for_libfuse
from rossfs.fs.presence import Presence
from rossfs.fs.readiness import Readiness
from rossfs.fs.wakefulness import Wakefulness
from rossfs.image.cachelocation import layer_cache
from rossfs.image.layers import Layers
from rossfs.oci.platform import Platform
from rossfs.store import settings
from rossfs.store.settings import Settings
from rossfs.store.store import Store
from rossfs.tree.root import build_root
from rossfs.tree.state import LogBuffer
from rossfs.tree.trees import Trees
from rossfs.tree.view import View

log = logging.getLogger(__name__)

ANSWER = 30.0
"""Seconds for a new mount to answer."""

CLOSING = 2.0
"""Seconds that users of a mount get to close their files after a signal."""

FINISHING = 10.0
"""Seconds for requests under way after the connection was told to end."""

GIVE_UP = 30.0
"""Seconds after which a server that was told to end is ended, whatever it waits for."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Session:
    """One mount, in the process that serves it."""

    def __init__(
        self, store: str, mountpoint: str, options: MountOptions, buffer: LogBuffer, output: Log
    ) -> None:
        self._store = store
        self._mountpoint = mountpoint
        self._options = options
        self._buffer = buffer
        self._output = output
        self._minor: int | None = None
        self._presence: Presence | None = None
        self._began = time.time()
        self._operations: Operations | None = None
        self._failure: BaseException | None = None

    async def serve(self, readiness: Readiness) -> None:
        """Mount, serve until the end, and unmount.  Errors of the store, or MountFailed."""
        with Store.open(self._store, read_only=self._options.read_only) as store:
            options = self._options._replace(read_only=not store.writable)
            if options.pin_age is not None and store.writable:
                settings.write(store.access, Settings(pin_age=options.pin_age))
            layers = Layers(
                store, layer_cache(store, options.user_cache, options.cache, options.cache_size)
            )
            trees = Trees()
            root = build_root(store, self._view(options, layers), trees)
            kernel = _filesystem_options(options)
            notices = Notices()
            async with open_filesystem(
                root, kernel, store.paths.root, notices.forget_name, trees
            ) as operations:
                self._operations = operations
                device = Device(
                    operations.direct.answers(), operations.failure, notices, operations.ahead
                )
                # Before mounting: a signal that came between would leave a dead mount.
                with (
                    closing(device),
                    closing(Wakefulness(self._options.wakeful)) as wakefulness,
                    trio.open_signal_receiver(*_SIGNALS) as signals,
                ):
                    self._mount(Handlers(operations, device), options)
                    turns.attach(device, wakefulness)
                    try:
                        await self._answer_requests(device, signals, readiness)
                    finally:
                        await self._unmount()
        if self._failure is not None:
            raise self._failure

    def _view(self, options: MountOptions, layers: Layers) -> View:
        return View(
            platform=options.platform or Platform.host(),
            log=self._buffer,
            stats=self._stats,
            read_only=options.read_only,
            layers=layers,
        )

    def _stats(self) -> Mapping[str, object]:
        """What .ross/stats shows."""
        return {
            "version": __version__,
            "store": self._store,
            "mountpoint": self._mountpoint,
            "pid": os.getpid(),
            "mounted_at": int(self._began),
            "uptime": int(time.time() - self._began),
            **(self._operations.stats() if self._operations else {}),
        }

    def _mount(self, handlers: Handlers, options: MountOptions) -> None:
        with standard_error() as captured:
            try:
                pyfuse3.init(
                    handlers,  # type: ignore[arg-type]  # all that is ever done is to ask for one
                    self._mountpoint,
                    for_libfuse(options, self._store, root=os.geteuid() == 0),
                )
            except RuntimeError as error:
                reason = "; ".join(captured.lines()) or str(error)
                raise MountFailed(
                    f"mounting {self._store} on {self._mountpoint} failed: {reason}"
                ) from error
        there = mounts_on(self._mountpoint)
        if there:
            self._minor = there[-1].minor

    async def _answer_requests(
        self, device: Device, signals: AsyncIterator[int], readiness: Readiness
    ) -> None:
        """Serve until the connection ends."""
        async with trio.open_nursery() as nursery:
            device.answer_in(nursery)
            ended = trio.Event()
            nursery.start_soon(self._loop, nursery.cancel_scope, ended)
            nursery.start_soon(self._announce, readiness)
            async for number in signals:
                log.info("ending: %s", signal.Signals(number).name)
                readiness.stopping()
                _give_up_after(GIVE_UP)
                await self._end(ended)
                nursery.cancel_scope.cancel()
                break

    async def _loop(self, scope: trio.CancelScope, ended: trio.Event) -> None:
        """pyfuse3's loop; its end is the end of everything else."""
        # What was imported stays: the collector of garbage need not look at it again and again.
        gc.freeze()
        try:
            await pyfuse3.main()
        except OSError as error:  # the connection was cut
            log.warning("the connection to the kernel ended: %s", error)
        ended.set()
        scope.cancel()

    async def _announce(self, readiness: Readiness) -> None:
        """Tell that the mount answers, once it does."""
        try:
            with trio.fail_after(ANSWER):
                status = await trio.to_thread.run_sync(
                    os.stat, self._mountpoint, abandon_on_cancel=True
                )
                await trio.to_thread.run_sync(os.statvfs, self._mountpoint, abandon_on_cancel=True)
        except trio.TooSlowError:
            self._fail(MountFailed(f"{self._mountpoint} does not answer after {ANSWER:.0f} s"))
        except OSError as error:
            self._fail(MountFailed(f"{self._mountpoint} does not answer: {error.strerror}"))
        else:
            self._minor = os.minor(status.st_dev)
            self._read_ahead()
            self._presence = Presence(self._minor)
            readiness.ready()
            if not self._options.foreground:
                self._output.leave_terminal()
                leave_standard_error()

    def _fail(self, error: RossfsError) -> None:
        self._failure = error
        pyfuse3.terminate()

    def _read_ahead(self) -> None:
        """Let the kernel read ahead further than its default; root only."""
        path = f"/sys/class/bdi/0:{self._minor}/read_ahead_kb"
        try:
            with open(path, "w") as file:
                file.write(str(self._options.readahead))
        except OSError as error:
            log.info("read-ahead stays as it is: %s: %s", path, error.strerror)

    async def _end(self, ended: trio.Event) -> None:
        """Take the mount out of the tree, wait for its users a moment, cut the connection."""
        await self._detach()
        with trio.move_on_after(CLOSING):
            await ended.wait()
        if not ended.is_set():
            log.info("cutting the connection: the mount is in use")
            pyfuse3.terminate()
            with trio.move_on_after(FINISHING):
                await ended.wait()

    async def _detach(self) -> None:
        """Unmount lazily, if the mount is still there.  Requests are served meanwhile: unmounting
        makes some."""
        there = mounts_on(self._mountpoint)
        if there and there[-1].minor == self._minor:
            try:
                await trio.to_thread.run_sync(unmount.detach, self._mountpoint)
            except (RossfsError, OSError) as error:
                log.warning("%s", error)

    async def _unmount(self) -> None:
        """After the last request: leave no dead mount behind."""
        with trio.CancelScope(shield=True):
            await self._detach()
        if self._presence is not None:
            self._presence.withdraw()
        # Not close(unmount=True): it unmounts whatever is on the mount point by now.
        pyfuse3.close(unmount=False)


def _filesystem_options(options: MountOptions) -> FilesystemOptions:
    """What the kernel's side needs to know; who mounts owns what nobody else does."""
    return FilesystemOptions(
        uid=os.geteuid() if options.uid is None else options.uid,
        gid=os.getegid() if options.gid is None else options.gid,
        umask=options.umask or 0,
        read_only=options.read_only,
    )


def _give_up_after(seconds: float) -> None:
    """End this process then, whatever its threads wait for."""

    def give_up() -> None:
        log.error("not ended after %d s: giving up", seconds)
        faulthandler.dump_traceback()
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


def run(session: Session, readiness: Readiness) -> None:
    """Serve *session* until it ends; raises what ended it, without the groups that trio wraps
    errors in."""
    try:
        trio.run(session.serve, readiness)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group
