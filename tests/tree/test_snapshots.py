import trio

from rossfs.tree.node import Entries, Entry, Listing
from rossfs.tree.snapshots import Snapshots


class Place:
    """Lists as a directory does whose listings take long."""

    def __init__(self) -> None:
        self.names = [b"old"]
        self.snapshots = Snapshots()
        self.made = 0

    def snapshot(self) -> Listing:
        self.made += 1
        return Entries(Entry(name, None) for name in self.names)

    def entries(self) -> list[bytes] | None:
        listing = self.snapshots.take()
        if listing is None:
            self.snapshots.want()
            return None
        return [entry.name for entry in listing if entry is not None]

    async def settle(self) -> None:
        if self.snapshots.wanted:
            await self.snapshots.make(self.snapshot)


async def test_who_waited_gets_the_listing_once() -> None:
    place = Place()
    assert place.entries() is None
    await place.settle()
    assert place.entries() == [b"old"]
    assert place.entries() is None
    assert place.made == 1


async def test_nobody_gets_a_listing_that_was_made_for_somebody_else_before() -> None:
    place = Place()
    made, go_on = trio.Event(), trio.Event()
    seen: list[list[bytes] | None] = []

    async def early() -> None:
        assert place.entries() is None
        await place.settle()
        made.set()
        await go_on.wait()
        seen.append(place.entries())

    async def late() -> None:
        assert place.entries() is None
        await place.settle()
        seen.append(place.entries())
        go_on.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(early)
        await made.wait()
        place.names.append(b"new")
        nursery.start_soon(late)
    assert seen == [[b"old", b"new"], [b"old"]]


async def test_who_waits_for_nothing_makes_nothing() -> None:
    place = Place()
    await place.settle()
    assert place.made == 0
