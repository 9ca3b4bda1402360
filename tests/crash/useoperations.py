"""Uses by podman that begin and end, among the operations that die at every step."""

from __future__ import annotations

from rossfs.store.store import Store
from tests.builders import digest_of
from tests.crash.operations import operation
from tests.crash.stores import LOOSE, some

LAYER = digest_of(LOOSE)


def in_use(root: str) -> None:
    some(root)
    _bring_to(root, 1)


def in_use_twice(root: str) -> None:
    some(root)
    _bring_to(root, 2)


@operation(some, "use: made", "use: written", "use: renamed", "use: directory synced")
def begin_the_first_use(root: str) -> None:
    _bring_to(root, 1)


@operation(in_use, "use: written", "use: renamed", "use: directory synced")
def begin_another_use(root: str) -> None:
    _bring_to(root, 2)


@operation(in_use_twice, "use: written", "use: renamed", "use: directory synced")
def end_one_of_two_uses(root: str) -> None:
    _bring_to(root, 1)


@operation(in_use, "use: removed", "use: directory synced")
def end_the_last_use(root: str) -> None:
    _bring_to(root, 0)


def _bring_to(root: str, times: int) -> None:
    """Begin or end uses until there are so many: what is done again must come to the same."""
    with Store.open(root) as store:
        while (now := _times(store)) != times:
            if now < times:
                store.uses.begin(LAYER, LAYER)
            else:
                store.uses.end(LAYER)


def _times(store: Store) -> int:
    use = store.uses.get(LAYER)
    return 0 if use is None else use.times
