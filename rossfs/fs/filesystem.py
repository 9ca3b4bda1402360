"""The kernel's side of one mount, put together.

`open_filesystem` makes the handlers over a tree and watches the store for as long as they are
used.  It neither mounts nor serves: session.py gives the handlers to pyfuse3.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import NamedTuple

import trio

from rossfs.fs.attributes import Attributes
from rossfs.fs.notify import Watcher
from rossfs.fs.operations import Operations
from rossfs.fs.statfs import Statfs
from rossfs.tree.node import Directory
from rossfs.tree.trees import Trees

log = logging.getLogger("rossfs.fs")

CLOSING = 20.0
"""Seconds for releasing what was open when the mount ended; what close() accepted is carried out by
the next opening of the store if this is not enough."""


class FilesystemOptions(NamedTuple):
    """What the mount options say of the whole filesystem."""

    uid: int
    """Owner of nodes that name none (option uid=)."""

    gid: int
    umask: int = 0
    """Permission bits that nothing here has (option umask=)."""

    read_only: bool = False
    """Refuse every change with EROFS, whatever the nodes would say."""


@asynccontextmanager
async def open_filesystem(
    root: Directory,
    options: FilesystemOptions,
    statfs_path: str,
    forget: Callable[[int, bytes], None],
    trees: Trees | None = None,
) -> AsyncIterator[Operations]:
    """The handlers for what is below *root*, and for the nodes of *trees*; statfs(2) speaks of the
    filesystem of *statfs_path*.

    While the block runs, *forget* is called with the number of a directory and a name in it that
    other processes changed.  At its end open files
    are released and nodes forgotten.
    """
    attributes = Attributes(options.uid, options.gid, options.umask)
    with closing(Watcher(root, forget)) as watcher:
        operations = Operations(
            root, attributes, Statfs(statfs_path), watcher, options.read_only, trees
        )
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watcher.run)
                try:
                    yield operations
                finally:
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None  # the nursery's wrapping says nothing
            raise
        finally:
            with trio.move_on_after(CLOSING, shield=True) as scope:
                await operations.close()
            if scope.cancelled_caught:
                log.error("files were still being released after %d s", CLOSING)
