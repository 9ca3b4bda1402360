"""Tags against a model: a dict of tags and a set of directories."""

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rossfs.errors import Conflict, RepositoryNotFound, RossfsError, TagConflict, TagNotFound
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.tags import TagEntry, TagName, Tags
from tests.builders import image, ross_store

# Few names, the same for tags and repositories, so that they meet.
NAMES = st.sampled_from(["a", "b", "c"])
REPOSITORIES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TAGS = st.builds(TagName, REPOSITORIES, NAMES)
NUMBERS = st.integers(0, 2)


class Refused(NamedTuple):
    """An error, as far as it matters."""

    kind: type[Exception]
    errno: int | None


def refusal(call: Callable[[], object]) -> Refused | None:
    """How *call* is refused, None if it is not."""
    try:
        call()
    except (RossfsError, OSError) as error:
        return Refused(type(error), error.errno)
    return None


def upwards(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def path_of(name: TagName) -> str:
    return f"{name.repository}/{name.tag}"


class TagsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        ross = ross_store(Path(self.directory.name))
        self.digests = [image(ross, f"image{number}").manifest for number in range(3)]
        access = Access.open(self.directory.name)
        self.real = Tags(access, Contents(access))
        self.tags: dict[str, int] = {}
        self.directories: set[str] = set()

    def teardown(self) -> None:
        self.directory.cleanup()

    # The model

    def way_blocked(self, repository: str) -> bool:
        return any(above in self.tags for above in upwards(repository))

    def is_empty(self, directory: str) -> bool:
        return not any(path.startswith(f"{directory}/") for path in (*self.tags, *self.directories))

    def moved(self, path: str, old: str, new: str) -> str:
        return new + path[len(old) :] if path == old or path.startswith(f"{old}/") else path

    # What can be done

    @rule(name=TAGS, number=NUMBERS)
    def set(self, name: TagName, number: int) -> None:
        path = path_of(name)
        refused = self.way_blocked(name.repository) or path in self.directories
        try:
            previous = self.real.set(*name, self.digests[number])
        except TagConflict:
            assert refused
            return
        assert not refused
        before = self.tags.get(path)
        assert previous == (None if before is None else self.digests[before])
        self.tags[path] = number
        self.directories |= set(upwards(name.repository))

    @rule(name=TAGS)
    def delete(self, name: TagName) -> None:
        assert self.real.delete(*name) == (self.tags.pop(path_of(name), None) is not None)

    @rule(old=TAGS, new=TAGS, replace=st.booleans())
    def rename(self, old: TagName, new: TagName, replace: bool) -> None:
        expected: Refused | None = None
        if path_of(old) not in self.tags:
            expected = Refused(TagNotFound, errno.ENOENT)
        elif path_of(new) in self.tags and not replace:
            expected = Refused(Conflict, errno.EEXIST)
        elif path_of(new) in self.directories or self.way_blocked(new.repository):
            expected = Refused(TagConflict, errno.EEXIST)
        assert refusal(lambda: self.real.rename(old, new, replace=replace)) == expected
        if expected is not None:
            return
        self.tags[path_of(new)] = self.tags.pop(path_of(old))
        self.directories |= set(upwards(new.repository))

    @rule(path=REPOSITORIES)
    def make_repository(self, path: str) -> None:
        expected: Refused | None = None
        if self.way_blocked(path):
            expected = Refused(TagConflict, errno.EEXIST)
        elif path in self.directories:
            expected = Refused(Conflict, errno.EEXIST)
        assert refusal(lambda: self.real.make_repository(path)) == expected
        if expected is not None:
            return
        self.directories |= set(upwards(path))

    @rule(path=REPOSITORIES)
    def remove_repository(self, path: str) -> None:
        expected: Refused | None = None
        if path in self.tags:
            expected = Refused(NotADirectoryError, errno.ENOTDIR)
        elif path not in self.directories:
            expected = Refused(RepositoryNotFound, errno.ENOENT)
        elif not self.is_empty(path):
            expected = Refused(OSError, errno.ENOTEMPTY)
        assert refusal(lambda: self.real.remove_repository(path)) == expected
        if expected is not None:
            return
        self.directories.remove(path)

    @rule(old=REPOSITORIES, new=REPOSITORIES)
    def rename_repository(self, old: str, new: str) -> None:
        expected: Refused | None = None
        if old not in self.directories:
            expected = Refused(RepositoryNotFound, errno.ENOENT)
        elif new.startswith(f"{old}/"):
            expected = Refused(OSError, errno.EINVAL)
        elif self.way_blocked(new):
            expected = Refused(TagConflict, errno.EEXIST)
        elif new != old and new in self.directories and not self.is_empty(new):
            expected = Refused(OSError, errno.ENOTEMPTY)
        assert refusal(lambda: self.real.rename_repository(old, new)) == expected
        if expected is not None:
            return
        self.tags = {self.moved(path, old, new): tag for path, tag in self.tags.items()}
        self.directories = {self.moved(path, old, new) for path in self.directories}
        self.directories |= set(upwards(new))

    # What always holds

    @invariant()
    def names_are_those_of_the_model(self) -> None:
        assert sorted(map(path_of, self.real.names())) == sorted(self.tags)
        repositories = {path.rpartition("/")[0] for path in self.tags}
        assert sorted(self.real.repositories()) == sorted(repositories)

    @invariant()
    def each_directory_lists_what_is_in_it(self) -> None:
        for directory in ("", *self.directories):
            assert self.real.is_repository(directory)
            expected = [
                TagEntry(name, path in self.directories)
                for path in (*self.tags, *self.directories)
                for above, _, name in [path.rpartition("/")]
                if above == directory
            ]
            assert sorted(self.real.entries(directory)) == sorted(expected)

    @invariant()
    def each_tag_names_its_digest(self) -> None:
        for path, number in self.tags.items():
            repository, _, tag = path.rpartition("/")
            assert self.real.get(repository, tag).digest == self.digests[number]


TagsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestTags = TagsMachine.TestCase
