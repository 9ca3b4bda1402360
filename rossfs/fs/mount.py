"""Mounting a store: check what can be checked, then serve, here or in a process of its own.

Nothing heavy is imported at the top: the server is forked first, so that its memory is its own and
the command that waits for it stays small.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import NamedTuple

from rossfs.errors import MountFailed
from rossfs.fs import daemon, mountpoint
from rossfs.fs.options import MountOptions
from rossfs.fs.readiness import Readiness
from rossfs.store.access import Access


class Supervisor(NamedTuple):
    """What systemd told the process about itself."""

    notify_socket: str | None = None
    """NOTIFY_SOCKET of sd_notify(3)."""
    journal: bool = False
    """Standard error is the journal."""


def check(store: str, path: str) -> tuple[str, str]:
    """The absolute path of *store* and the canonical mount point *path*, if the one can be mounted
    on the other; otherwise an error of the store or of mountpoint.prepare."""
    store = os.path.abspath(store)
    Access.open(store, read_only=True)
    return store, mountpoint.prepare(path, store)


def mount(store: str, path: str, options: MountOptions, supervisor: Supervisor) -> None:
    """Mount the store in the directory *store* on the directory *path*.

    Returns when the mount answers, or, with the option foreground, when it has ended.  Errors as of
    `check`, or MountFailed with the kernel's or libfuse's reason.
    """
    store, path = check(store, path)
    if options.foreground:
        _serve(store, path, options, Readiness(None, supervisor.notify_socket), supervisor)
    else:
        daemon.start(lambda readiness: _serve(store, path, options, readiness, Supervisor()))


def _serve(
    store: str, path: str, options: MountOptions, readiness: Readiness, supervisor: Supervisor
) -> None:
    try:
        from rossfs.fs import session
        from rossfs.fs.log import Log
        from rossfs.tree.state import LogBuffer
    except ImportError as error:
        raise MountFailed(f"cannot serve a mount: {error}") from error
    _allow_descriptors()
    buffer = LogBuffer()
    try:
        log = Log(buffer, path=options.log, debug=options.debug, journal=supervisor.journal)
    except OSError as error:
        raise MountFailed(f"cannot write the log: {error.filename}: {error.strerror}") from error
    try:
        session.run(session.Session(store, path, options, buffer, log), readiness)
    finally:
        log.close()


def _allow_descriptors() -> None:
    """Allow as many descriptors as may be had: half of them are for layers (store/descriptors.py),
    and the usual limit, 1,024, is for programs that use select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
