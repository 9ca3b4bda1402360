from contextlib import ExitStack

import trio
import trio.testing

from rossfs.image import indexer
from rossfs.image.blobindex import SMALL_TAR
from rossfs.store.store import Store
from rossfs.tree.node import File
from rossfs.tree.workers import OPENERS, Workers
from tests.layers import BLOCK, Layer, image_of
from tests.suites.directory_suite import CALLER
from tests.tree.browsing import Browser, walk


async def content(browser: Browser, node: object) -> bytes:
    assert isinstance(node, File)
    return bytes(await (await node.open(0, CALLER)).read(0, 100))


async def test_layers_that_wait_to_be_indexed_keep_nobody_from_other_layers(
    store: Store, browser: Browser
) -> None:
    other = image_of(Layer().file("f", b"the other"), packing="xz").put(store)
    large = [
        image_of(
            Layer().file(f"large{number}", bytes(SMALL_TAR.floor + BLOCK)).file("f", b"large")
        ).put(store)
        for number in range(2)
    ]
    found: list[bytes] = []

    async def look(position: int) -> None:
        found.append(
            await content(browser, await walk(await browser.rootfs(large[position]), b"f"))
        )

    with ExitStack() as free, trio.fail_after(60):
        while indexer._PROCESSES.acquire(blocking=False):
            free.callback(indexer._PROCESSES.release)
        async with trio.open_nursery() as nursery:
            for position in range(len(large)):
                nursery.start_soon(look, position)
            while len(browser.layers.progress()) < len(large):
                await trio.testing.wait_all_tasks_blocked(0.01)
            node = await walk(await browser.rootfs(other), b"f")
            assert await content(browser, node) == b"the other"
            assert not found
            free.close()
    assert found == [b"large", b"large"]


async def test_what_takes_long_leaves_readers_their_threads() -> None:
    workers = Workers()
    answers: list[int] = []

    async def wait() -> None:
        await workers.open(lambda: trio.from_thread.run(gate.wait))
        answers.append(1)

    with trio.fail_after(30):
        gate = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(OPENERS + 1):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert await workers.read(lambda: b"read") == b"read"
            assert not answers
            gate.set()
    assert len(answers) == OPENERS + 1
