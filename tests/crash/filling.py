"""One operation on a disk that fills up at each point of it, and on one that cannot be written.

    unshare -rm python -m tests.crash.filling DIRECTORY OPERATION...

mounts a small tmpfs on DIRECTORY, in a mount namespace of its own, which ends with the process.
For each operation the disk has no page free, one page, two, until the operation succeeds.  Until
then it must say StoreFull, and leave in the store what was there before, and no half of what is
new; with room again it must succeed.  Where nothing can be written at all it must say
ReadOnlyStore.

Prints how often each operation met the end of the disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from rossfs.errors import ReadOnlyStore, StoreFull
from rossfs.store.store import Store
from tests.crash.dying import copy, difference
from tests.crash.operations import OPERATIONS, Operation
from tests.crash.picture import is_between, picture, without_new_types

SIZE = 4 << 20
PAGE = 4096
PAGES = 60
"""More than any operation needs."""

DEADLINE = 60


def main(directory: str, *names: str) -> None:
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", directory)
    for name in names:
        operation = OPERATIONS[name]
        template = f"{directory}/template"
        operation.before(template)
        print(name, fill_up(operation, template, f"{directory}/store"), flush=True)
        if os.path.exists(template):
            refuse(operation, template, directory)
            shutil.rmtree(template)


def fill_up(operation: Operation, template: str, root: str) -> int:
    """Returns how often the disk was full."""
    copy(template, root)
    before = look(root)
    operation.run(root)
    after = look(root)
    for pages in range(PAGES):
        shutil.rmtree(root, ignore_errors=True)
        copy(template, root)
        filler = fill(f"{root}.filler", pages)
        try:
            operation.run(root)
        except StoreFull:
            full = True
        else:
            full = False
        now = look(root)
        os.unlink(filler)
        new = without_new_types(now, before)
        end = without_new_types(after, before)
        assert is_between(before, new, end), difference(before, new)
        # What was promised is kept once there is room.
        if operation.in_one and full and not operation.promised:
            assert new in (before, end), difference(before, new)
        # Opening a store succeeds although what was promised in it has to wait.
        if not full and (now == after or not operation.recovers):
            assert now == after, difference(after, now)
            shutil.rmtree(root)
            return pages
        operation.run(root)
        again = look(root)
        assert again == after, difference(after, again)
    raise AssertionError("is never satisfied")


def refuse(operation: Operation, template: str, directory: str) -> None:
    """Demand that it changes nothing on a disk that cannot be written."""
    before = look(template)
    mount("-o", "remount,ro", directory)
    try:
        operation.run(template)
    except ReadOnlyStore:
        refused = True
    else:
        refused = False
    assert look(template) == before
    mount("-o", "remount,rw", directory)
    # What only looks at the store succeeds.
    assert refused or operation.recovers or not operation.changes


def look(root: str) -> dict[str, str]:
    """What is in the store, which must be valid, unless it is to be repaired."""
    if not os.path.exists(root):
        return {}
    with Store.open(root, read_only=True) as store:
        return picture(store)


def fill(path: str, pages: int) -> str:
    """Leave *pages* of the disk free."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            file.truncate(max(0, os.fstat(file.fileno()).st_size - pages * PAGE))
    return path


def mount(*arguments: str) -> None:
    """mount(8), which answers at once or not at all."""
    subprocess.run(["mount", *arguments], check=True, timeout=DEADLINE)


if __name__ == "__main__":
    main(*sys.argv[1:])
