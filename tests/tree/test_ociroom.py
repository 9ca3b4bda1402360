"""oci/: how much may be put aside, and what goes when there is no room."""

from __future__ import annotations

import errno

import pytest

from rossfs.store.store import Store
from rossfs.tree.numbers import Numbers
from rossfs.tree.oci import OciDirectory
from rossfs.tree.process import Process
from rossfs.tree.room import Limits
from tests.tree.layouts import Tool, blob, names, top_of
from tests.tree.writing import error_of, scratch

LIMITS = Limits(layout=8, mount=20, process=2, most=24)


@pytest.fixture
def dead() -> set[int]:
    """Numbers of processes that have ended."""
    return set()


@pytest.fixture
async def top(store: Store, numbers: Numbers, dead: set[int]) -> OciDirectory:
    def alive(thread: int) -> Process | None:
        return Process(thread, 0) if thread and thread not in dead else None

    return top_of(store, numbers, alive, LIMITS)


async def fill(tool: Tool, layout: str, count: int, first: int = 0) -> None:
    """Put *count* files aside."""
    await tool.mkdir(layout)
    for number in range(first, first + count):
        await tool.write(f"{layout}/_{number}", b"aside")


def number_of(error: BaseException | None) -> int | None:
    return getattr(error, "errno", None)


async def test_a_layout_that_is_full_stops_no_other(
    top: OciDirectory, expects_warnings: list[object]
) -> None:
    greedy = Tool(top)
    await fill(greedy, "full", 8)
    assert number_of(await error_of(greedy.write("full/_more", b""))) == errno.ENOSPC
    assert number_of(await error_of(greedy.mkdir("full/.more"))) == errno.ENOSPC
    await fill(greedy, "other", 8)
    modest = Tool(top)
    await fill(modest, "full", 2, 100)
    await modest.unlink("full/_100")
    await modest.mkdir("full/.more")
    assert number_of(await error_of(modest.write("full/_102", b""))) == errno.ENOSPC
    await fill(Tool(top), "third", 2)


async def test_directories_count(top: OciDirectory, expects_warnings: list[object]) -> None:
    tool = Tool(top)
    await tool.mkdir("app")
    path = "app"
    for number in range(8):
        path += f"/.{number}"
        await tool.mkdir(path)
    assert number_of(await error_of(tool.mkdir(f"{path}/deeper"))) == errno.ENOSPC
    assert number_of(await error_of(tool.mkdir("app/blobs"))) is None
    assert number_of(await error_of(tool.mkdir("app/blobs/sha256/_1"))) == errno.ENOSPC
    await tool.rmdir(path)
    await tool.mkdir("app/.again")


async def test_all_have_no_room_in_the_end(
    top: OciDirectory, expects_warnings: list[object]
) -> None:
    for number in range(12):
        await fill(Tool(top), f"a{number}", 2)
    assert number_of(await error_of(fill(Tool(top), "more", 1))) == errno.ENOSPC


async def test_what_dead_processes_left_makes_room(
    store: Store, top: OciDirectory, dead: set[int]
) -> None:
    gone, alive = Tool(top), Tool(top)
    await gone.mkdir("app/.umoci-1")
    await gone.write("app/.umoci-1/blob", b"left")
    await alive.mkdir("app/.umoci-2")
    await fill(gone, "app", 2)
    await fill(alive, "app", 2, 10)
    handle = await gone.open("app/_open")
    await fill(gone, "elsewhere", 1)
    dead.add(gone.caller.pid)
    await fill(alive, "app", 1, 20)
    assert await names(await alive.directory("app")) == {
        b".umoci-1", b".umoci-2", b"_10", b"_11", b"_20", b"_open",
    }  # fmt: skip
    assert await names(await alive.directory("elsewhere")) == {b"_0"}
    await fill(alive, "app", 3, 30)
    assert b".umoci-1" not in await names(await alive.directory("app"))
    await handle.flush()
    await handle.release()
    assert len(scratch(store)) == 8


async def test_room_is_made_in_all_layouts_when_all_are_full(
    store: Store, top: OciDirectory, dead: set[int]
) -> None:
    gone = [Tool(top) for _ in range(4)]
    for number, tool in enumerate(gone):
        await fill(tool, f"a{number}", 5)
        dead.add(tool.caller.pid)
    await fill(Tool(top), "new", 8)
    assert len(scratch(store)) == 19
    assert await names(await Tool(top).directory("a0")) == set()
    assert len(await names(await Tool(top).directory("a3"))) == 5


async def test_what_another_process_renames_is_its_own(top: OciDirectory, dead: set[int]) -> None:
    first, second = Tool(top), Tool(top)
    await fill(first, "app", 8)
    await second.rename("app/_0", "app/_mine")
    dead.add(first.caller.pid)
    await fill(second, "app", 1, 50)
    assert await second.read("app/_mine") == b"aside"
    await second.mkdir("app/blobs/sha256")
    await second.rename("app/_mine", blob("app", b"aside"))


async def test_what_nobody_knows_whose_it_is_stays_for_long(
    store: Store, top: OciDirectory, expects_warnings: list[object]
) -> None:
    unknown = Tool(top, 0)
    await fill(unknown, "app", 8)
    assert number_of(await error_of(fill(unknown, "app", 1, 9))) == errno.ENOSPC
    await fill(Tool(top), "app", 1, 10)
    assert len(scratch(store)) == 9


async def test_nothing_outlives_the_mount(store: Store, top: OciDirectory) -> None:
    tool = Tool(top)
    await fill(tool, "app", 3)
    await tool.mkdir("app/.umoci-1/deeper")
    await tool.write("app/.umoci-1/deeper/blob", b"left")
    assert len(scratch(store)) == 4
    store.close()
    assert scratch(store) == []
