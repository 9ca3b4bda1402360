"""What is written to a full disk: told, and not lost."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
import trio

from rossfs.errors import StoreFull
from rossfs.store import durable
from rossfs.store.store import Store
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.numbers import Numbers
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of
from tests.mounts import ROOT
from tests.suites.directory_suite import CALLER, find
from tests.tree.writing import (
    close,
    content,
    create,
    error_of,
    pinned,
    reason,
    scratch,
    waiting,
    write,
)

DATA = b"bytes of a file\n" * 300


@pytest.fixture
async def directory(store: Store, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, Uploads(store), numbers)


@pytest.fixture
def failing() -> Iterator[set[str]]:
    """Steps at which the disk is full."""
    steps: set[str] = set()

    def reached(step: str) -> None:
        if step in steps:
            raise StoreFull(f"no room at {step}")

    durable.reached = reached
    yield steps
    durable.reached = None


async def test_what_is_refused_for_want_of_room_can_be_closed_again(
    directory: IncomingDirectory, failing: set[str], expects_warnings: list[object]
) -> None:
    _, handle = await create(directory, b"name")
    await handle.write(0, DATA)
    failing.add("commit record: written")
    with pytest.raises(StoreFull):
        await handle.flush()
    failing.clear()
    await handle.flush()
    await handle.release()
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_what_was_never_accepted_for_want_of_room_waits(
    directory: IncomingDirectory, failing: set[str], expects_warnings: list[object]
) -> None:
    failing.add("commit record: written")
    assert isinstance(await error_of(write(directory, b"name", DATA)), StoreFull)
    node = await waiting(directory, b"name")
    assert await content(node) == DATA
    assert b"no room" in reason(node)
    failing.clear()
    handle = await node.open(os.O_WRONLY, CALLER)
    await close(handle)
    assert await pinned(directory, b"name") == digest_of(DATA)


async def test_what_was_accepted_is_committed_once_there_is_room(
    directory: IncomingDirectory,
    store: Store,
    failing: set[str],
    expects_warnings: list[object],
) -> None:
    failing.add("blob meta: written")
    await write(directory, b"name", DATA)
    node = await waiting(directory, b"name")
    assert b"no room" in reason(node)
    assert node.attr().size == len(DATA)
    failing.clear()
    with trio.fail_after(30):
        while directory.find(b"name") is node:
            await trio.sleep(0.05)
            await find(directory, b"name")
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert scratch(store) == []


def test_a_full_disk_is_told_by_write_or_close_and_loses_nothing(
    tmp_path: os.PathLike[str],
) -> None:
    # In a mount namespace of its own, which ends with the process.
    script = """
        import subprocess, sys
        import trio
        from rossfs.errors import StoreFull
        from rossfs.store.store import Store
        from rossfs.tree.incoming import incoming_directory
        from rossfs.tree.numbers import Numbers
        from rossfs.tree.uploads import Uploads
        from tests.tree.writing import close, create, pinned, waiting, write

        root = sys.argv[1]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=True)

        async def main():
            store = Store.create(root)
            directory = incoming_directory(store, Uploads(store), Numbers())
            await write(directory, b"before", b"b" * 300_000)
            node, handle = await create(directory, b"large")
            written = 0
            try:
                while True:
                    written += await handle.write(written, b"x" * 50_000)
            except StoreFull:
                pass
            assert 300_000 < written < 900_000, written
            assert node.attr().size == written
            try:
                await close(handle)
            except StoreFull:
                node = await waiting(directory, b"large")
                assert node.attr().size == written
                await directory.unlink(b"large", None)
            else:
                await pinned(directory, b"large")
                await directory.unlink(b"large", None)
                store.garbage_collect()
            await write(directory, b"after", b"a" * 300_000)
            for name, data in ((b"before", b"b"), (b"after", b"a")):
                assert store.get_blob(await pinned(directory, name)) == data * 300_000
            assert list(store.fsck()) == []

        trio.run(main)
    """
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
