"""Closing a file of incoming/ in processes that die at each step of it, one after the other.

    python -m tests.store.dying DIRECTORY DATA

makes stores DIRECTORY/0, 1, ...: in store n the file `name` with the bytes of the file DATA was
accepted and carried out by a process that died after step n.  Prints each step on a line, with
"accepted" where close(2) would have returned.  A program of its own, because only a process with a
single thread may fork.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rossfs.store import commit, durable
from rossfs.store.ingest import Ingest
from rossfs.store.store import Store

DIED = 9


def close(root: str, data: bytes, reached: Callable[[str], None]) -> None:
    """What the server does from the first write(2) to the end of RELEASE."""
    with Store.open(root) as store:
        durable.reached = reached
        ingest = Ingest.create(store.contents)
        ingest.append(data)
        stored = ingest.finish()
        promise = commit.accept(store.contents, store.incoming, ingest, b"name", stored)
        reached("accepted")
        commit.carry_out(store.contents, store.incoming, ingest, promise)
        durable.reached = None


def main(directory: str, source: str) -> None:
    with open(source, "rb") as file:
        data = file.read()
    steps: list[str] = []
    root = f"{directory}/whole"
    Store.create(root).close()
    close(root, data, steps.append)
    for number in range(len(steps)):
        root = f"{directory}/{number}"
        Store.create(root).close()
        child = os.fork()
        if not child:
            left = number

            def reached(_step: str) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(DIED)

            close(root, data, reached)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DIED, number
    print("\n".join(steps))


if __name__ == "__main__":
    main(*sys.argv[1:])
