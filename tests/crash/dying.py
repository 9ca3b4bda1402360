"""One operation, by processes that die at each step of it, and what is then in the store.

The operation is run once to its end, which gives the steps of `durable.py` that it comes through.
Then, for each step, a child does it to a copy of the same store and is killed right after that
step.  Whoever opens the store then must find it valid, everything that was there before and was not
to be changed, and the change wholly there or wholly absent; doing it again must succeed; and a
collection must leave exactly the files that are there when nobody died.

A program of its own, because only a process with a single thread may fork.  From standard input it
reads lines OPERATION DIRECTORY, and answers each, when it is done, with the number of deaths that
went wrong; DIRECTORY/steps and DIRECTORY/wrong say more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from rossfs.store import durable
from rossfs.store.finding import Finding, Kind
from rossfs.store.store import Store
from tests.crash.operations import OPERATIONS, Operation
from tests.crash.picture import files, is_between, picture, without_new_types

DEADLINE = 60

FAILED = 100

LEFT = {Kind.METADATA, Kind.LEFTOVER}
"""What a crash may leave, and a check may note."""


def main() -> None:
    for line in sys.stdin:
        name, directory = line.split()
        child = os.fork()
        if not child:
            status = FAILED
            try:
                status = try_all(name, directory)
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def try_all(name: str, directory: str) -> int:
    """Returns how many deaths went wrong."""
    failures = 0
    template = f"{directory}/template"
    with open(f"{directory}/wrong", "w") as wrong, contextlib.redirect_stderr(wrong):
        try:
            operation = OPERATIONS[name]
            operation.before(template)
            trial = Trial(operation, template, f"{directory}/whole")
        except Exception:
            traceback.print_exc()
            return FAILED
        Path(directory, "steps").write_text("\n".join(trial.steps))
        for number, step in enumerate(trial.steps):
            root = f"{directory}/{number}"
            copy(template, root)
            try:
                trial.die(root, number)
                trial.judge(root, step)
            except Exception:
                failures += 1
                print(f"dead after step {number} ({step}):", file=sys.stderr)
                traceback.print_exc()
            else:
                shutil.rmtree(root)
    return min(failures, FAILED)


class Trial:
    """The operation as it goes when nobody dies, and what is demanded of those that do."""

    def __init__(self, operation: Operation, template: str, root: str) -> None:
        self.operation = operation
        self.before: dict[str, str] = {}
        self.damage: set[str] = set()
        self.noted = set(LEFT)
        if os.path.exists(template):
            # A copy: looking at a store may carry out what was promised in it.
            copy(template, f"{root}.before")
            with Store.open(f"{root}.before", read_only=True) as store:
                self.before = picture(store)
                findings = list(store.fsck())
            self.damage = {named(each) for each in findings if each.is_damage}
            self.noted |= {each.kind for each in findings if not each.is_damage}
        assert bool(self.damage) is operation.repairs, self.damage
        copy(template, root)
        self.steps: list[str] = []
        durable.reached = self.steps.append
        operation.run(root)
        durable.reached = None
        missing = operation.through - {*self.steps}
        assert not missing, f"never came through {missing}, but {self.steps}"
        with Store.open(root) as store:
            self.after = picture(store)
            self.damage |= {named(each) for each in store.fsck() if each.is_damage}
            assert (self.after != self.before) is operation.changes
            self.left = self.clean(store)
        self.files = files(root)

    def die(self, root: str, number: int) -> None:
        """Do it in a child that is killed after step *number*."""
        child = os.fork()
        if not child:
            durable.reached = killer(number)
            try:
                self.operation.run(root)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == -signal.SIGKILL, f"the child ended with {status}"

    def judge(self, root: str, step: str) -> None:
        """Demand that the store is as it should be."""
        operation = self.operation
        opened = Store.open if operation.before.__name__ != "nothing" else Store.create
        with opened(root) as store:
            findings = list(store.fsck())
            damage = {named(each) for each in findings if each.is_damage}
            told = "\n".join(map(str, findings))
            assert damage <= self.damage, told
            assert {each.kind for each in findings if not each.is_damage} <= self.noted, told
            now = without_new_types(picture(store), self.before)
            after = without_new_types(self.after, self.before)
            if operation.in_one:
                assert now in (self.before, after), difference(self.before, now)
            assert is_between(self.before, now, after), difference(self.before, now)
            done = self.steps.index(operation.promised) if operation.promised else len(self.steps)
            if self.steps.index(step) >= done:
                assert now == after, difference(after, now)
        operation.run(root)
        with Store.open(root) as store:
            now = picture(store)
            assert now == self.after, difference(self.after, now)
            left = self.clean(store)
            assert left == self.left, left
        assert files(root) == self.files, difference(self.files, files(root))

    def clean(self, store: Store) -> list[str]:
        """Collect garbage; return what a check finds then."""
        if self.operation.repairs:
            store.fsck(repair=True)
        store.garbage_collect()
        return sorted(map(str, store.fsck()))


def killer(number: int) -> Callable[[str], None]:
    """A hook that kills the process when step *number* is done."""
    left = number

    def reached(_step: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return reached


def copy(source: str, target: str) -> None:
    """Copy a store with its hard links and times; nothing if there is none."""
    if os.path.exists(source):
        subprocess.run(["cp", "-a", source, target], check=True, timeout=DEADLINE)


def named(finding: Finding) -> str:
    """A finding without what may differ from run to run."""
    return re.sub(r"/\S*/", "", f"{finding.kind} {finding.where}")


def difference(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """What differs, on lines."""
    return "\n".join(
        f"{name}: {one.get(name)} -> {other.get(name)}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    )


if __name__ == "__main__":
    main()
