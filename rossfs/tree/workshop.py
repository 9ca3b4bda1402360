"""What all directories of oci/ share."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from rossfs.errors import RepositoryNotFound
from rossfs.store import settings
from rossfs.store.store import Store
from rossfs.tree.aside import Aside
from rossfs.tree.contentfile import ContentFiles
from rossfs.tree.node import Caller
from rossfs.tree.numbers import Numbers
from rossfs.tree.readings import Base, Readings
from rossfs.tree.removals import Removals
from rossfs.tree.room import Limits, Room
from rossfs.tree.staged import Staged
from rossfs.tree.uploads import Uploads

if TYPE_CHECKING:
    from rossfs.tree.oci import OciDirectory

_REFUSALS = 256
_NEW = 60.0


class Workshop:
    """The layouts of one mount."""

    __slots__ = (
        "__weakref__",
        "_refusals",
        "_serials",
        "directories",
        "files",
        "number",
        "readings",
        "removals",
        "room",
        "store",
        "unmade",
        "uploads",
        "writable",
    )

    def __init__(
        self,
        store: Store,
        uploads: Uploads,
        files: ContentFiles,
        numbers: Numbers,
        *,
        writable: bool,
        readings: Readings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        self.uploads = uploads
        self.files = files
        self.writable = writable
        self.number = numbers.family(b"oci")
        self.readings = Readings() if readings is None else readings
        self.directories: WeakValueDictionary[str, OciDirectory] = WeakValueDictionary()
        self.removals = Removals(self.readings.process)
        self.room = Room(self.readings.process, self._pin_age, limits)
        store.at_close(self._tidy)
        self.unmade = Unmade()
        self._serials = itertools.count(1)
        self._refusals: OrderedDict[tuple[str, str], str] = OrderedDict()

    def require_writable(self) -> None:
        """ReadOnlyStore."""
        self.store.access.require_writable()

    def count_directory(self) -> int:
        """The number of a directory that is put aside."""
        return self.number(b"aside %d" % next(self._serials))

    # Refusals

    def teller(self, repository: str, name: str) -> Callable[[str | None], None]:
        """What a part of a layout is to call when it was refused, or published."""

        def tell(reason: str | None) -> None:
            if reason is None:
                self._refusals.pop((repository, name), None)
                return
            self._refusals[repository, name] = reason
            if len(self._refusals) > _REFUSALS:
                self._refusals.popitem(last=False)

        return tell

    def refusal(self, repository: str, name: str | None = None) -> bytes | None:
        """Why *name* was refused the last time, None if it was not; without *name*, the last
        refusal in the layout."""
        for (other, refused), reason in reversed(tuple(self._refusals.items())):
            if other == repository and name in (refused, None):
                return reason.encode("utf-8", "surrogateescape")
        return None

    # index.json

    def text_now(self, repository: str) -> bytes | None:
        """index.json as it is now; None if there is none.  For a worker thread."""
        try:
            return self.store.layouts.index(repository)[0]
        except RepositoryNotFound:
            return None

    async def base(self, repository: str, caller: Caller) -> tuple[Base, Callable[[bytes], None]]:
        """What *caller* had read of index.json, and what to call with what it wrote."""
        readings = self.readings
        who = readings.who(caller.pid)
        base = readings.base(who, repository)
        if not base.known:
            base = Base(False, await self.uploads.work(self.text_now, repository))
        return base, lambda wrote: readings.wrote(who, repository, wrote)

    def _tidy(self) -> None:
        """The mount ended: nobody can rename what was put aside any more."""
        for place in self.room.holding:
            for node in place.aside.values():
                if isinstance(node, Staged) and isinstance(node.place, Aside):
                    node.place.discard()

    def _pin_age(self) -> float:
        return settings.read(self.store.paths).pin_age


class Unmade:
    """Names that a layout lacks for a minute, for its maker is about to make them: whoever makes a
    layout step by step wants each step to succeed."""

    __slots__ = ("_lacking",)

    def __init__(self) -> None:
        self._lacking: dict[str, tuple[float, set[bytes]]] = {}

    def add(self, repository: str, *names: bytes) -> None:
        """*names* of the layout *repository* are not there."""
        now = time.monotonic()
        self._lacking = {key: item for key, item in self._lacking.items() if item[0] > now}
        _, before = self._lacking.get(repository, (0.0, set()))
        self._lacking[repository] = now + _NEW, before | set(names)

    def lacks(self, repository: str, name: bytes) -> bool:
        """Whether *name* is not there."""
        if not self._lacking:
            return False
        until, names = self._lacking.get(repository, (0.0, ()))
        return name in names and time.monotonic() < until

    def made(self, repository: str, *names: bytes) -> None:
        """*names* are there; without any, everything is."""
        until, before = self._lacking.pop(repository, (0.0, set()))
        left = before - set(names) if names else set()
        if left:
            self._lacking[repository] = until, left
