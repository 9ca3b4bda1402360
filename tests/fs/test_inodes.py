from __future__ import annotations

import errno

import pytest
from pyfuse3 import FUSEError

from rossfs.errors import InodeCollision
from rossfs.fs.attributes import Attributes
from rossfs.fs.inodes import ANSWERS, Inodes
from rossfs.tree.node import Attr, Directory
from tests.fs.memory import Constant, Memory, MemoryFile


@pytest.fixture
def root() -> Memory:
    return Memory(ino=1)


@pytest.fixture
def inodes(root: Memory) -> Inodes:
    return Inodes(root, Attributes(0, 0))


def test_the_root_is_known_from_the_start(inodes: Inodes, root: Memory) -> None:
    assert inodes.node(1) is root
    assert inodes.directory(1) is root


def test_the_root_is_never_forgotten(inodes: Inodes, root: Memory) -> None:
    inodes.forget([(1, 1), (1, 5)])
    assert inodes.node(1) is root


def test_a_node_is_known_until_every_lookup_is_taken_back(inodes: Inodes) -> None:
    file = MemoryFile()
    for _ in range(3):
        inodes.remember(file, 1)
    inodes.forget([(file.ino, 2)])
    assert inodes.node(file.ino) is file
    assert file.forgets == 0
    inodes.forget([(file.ino, 1)])
    assert file.forgets == 1
    with pytest.raises(FUSEError) as unknown:
        inodes.node(file.ino)
    assert unknown.value.errno == errno.ESTALE
    assert len(inodes) == 1


def test_a_node_can_come_back(inodes: Inodes) -> None:
    file = MemoryFile()
    inodes.remember(file, 1)
    inodes.forget([(file.ino, 1)])
    inodes.remember(file, 1)
    assert inodes.node(file.ino) is file


@pytest.mark.expects_warnings
def test_forget_never_raises(inodes: Inodes, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryFile):
        def forgotten(self) -> None:
            raise RuntimeError("bug")

    broken, file = Broken(), MemoryFile()
    inodes.remember(broken, 1)
    inodes.remember(file, 1)
    inodes.forget([(424242, 1), (broken.ino, 1), (file.ino, 1), (file.ino, 1)])
    assert len(inodes) == 1
    assert file.forgets == 1
    assert "unforeseen" in caplog.text


def test_the_first_of_two_objects_stays(inodes: Inodes) -> None:
    first, second = MemoryFile(b"1", ino=50), MemoryFile(b"12345", ino=50)
    inodes.remember(first, 1)
    assert inodes.remember(second, 1).st_size == 1
    assert inodes.node(50) is first
    inodes.forget([(50, 2)])
    assert len(inodes) == 1


@pytest.mark.expects_warnings
def test_a_number_of_two_places_is_refused(
    inodes: Inodes, caplog: pytest.LogCaptureFixture
) -> None:
    file = MemoryFile(ino=50)
    inodes.remember(file, 1)
    with pytest.raises(InodeCollision):
        inodes.remember(Memory(ino=50), 1)
    assert inodes.node(50) is file
    assert "50" in caplog.text
    inodes.forget([(50, 1)])
    assert len(inodes) == 1


@pytest.mark.expects_warnings
def test_a_node_that_can_compare_its_identity_does(inodes: Inodes) -> None:
    class Hashed(MemoryFile):
        def same(self, other: object) -> bool:
            return isinstance(other, Hashed) and other.data == self.data

    inodes.remember(Hashed(b"a", ino=50), 1)
    inodes.remember(Hashed(b"a", ino=50), 1)
    with pytest.raises(InodeCollision):
        inodes.remember(Hashed(b"b", ino=50), 1)


def test_nothing_is_counted_when_the_attributes_fail(inodes: Inodes) -> None:
    class Unreadable(MemoryFile):
        def attr(self) -> Attr:
            raise OSError(errno.EIO, "bad disk")

    with pytest.raises(OSError, match="bad disk"):
        inodes.remember(Unreadable(), 1)
    assert len(inodes) == 1


def test_a_constant_node_is_asked_at_most_twice(inodes: Inodes) -> None:
    constant = Constant(b"x")
    for _ in range(10):
        inodes.remember(constant, 1)
    assert constant.asked == 2
    answer = inodes.current(inodes.known[constant.ino])
    assert answer.st_ino == constant.ino
    assert constant.asked == 2


def test_a_node_that_changes_is_asked_each_time(inodes: Inodes) -> None:
    file = MemoryFile(b"1")
    assert inodes.remember(file, 1).st_size == 1
    file.data.extend(b"23")
    assert inodes.remember(file, 1).st_size == 3
    assert inodes.current(inodes.known[file.ino]).st_size == 3


def test_what_says_the_same_again_is_not_built_again(inodes: Inodes) -> None:
    file = MemoryFile(b"1")
    inodes.remember(file, 1)
    second = inodes.remember(file, 1)
    assert inodes.remember(file, 1) is second
    file.mtime_ns = 5
    assert inodes.remember(file, 1).st_mtime_ns == 5
    inodes.forget([(file.ino, 4)])
    assert not inodes._last


def test_the_cache_time_of_a_file_may_change(inodes: Inodes) -> None:
    class Settling(MemoryFile):
        ttl = 0.0

    file = Settling()
    for ttl in (0.0, 0.0, 60.0):
        Settling.ttl = ttl
        assert inodes.remember(file, 1).attr_timeout == ttl


def test_a_file_is_no_directory(inodes: Inodes) -> None:
    file = MemoryFile()
    inodes.remember(file, 1)
    with pytest.raises(FUSEError) as refused:
        inodes.directory(file.ino)
    assert refused.value.errno == errno.ENOTDIR
    with pytest.raises(FUSEError) as refused:
        inodes.directory(999)
    assert refused.value.errno == errno.ESTALE


def test_directories_are_announced_and_their_parents_known() -> None:
    came: list[Directory] = []
    went: list[Directory] = []
    root, place, deep = Memory(ino=1), Memory(), Memory()
    inodes = Inodes(root, Attributes(0, 0), came.append, went.append)
    inodes.remember(place, 1)
    inodes.remember(place, 1)
    inodes.remember(deep, place.ino)
    inodes.remember(MemoryFile(), place.ino)
    assert came == [root, place, deep]
    assert inodes.parents[deep.ino] == place.ino
    inodes.forget([(deep.ino, 1)])
    assert went == [deep]
    assert deep.ino not in inodes.parents


def test_at_the_end_everything_is_forgotten(inodes: Inodes) -> None:
    files = [MemoryFile() for _ in range(3)]
    for file in files:
        inodes.remember(file, 1)
    inodes.forget_all()
    assert [file.forgets for file in files] == [1, 1, 1]
    assert len(inodes) == 0


def test_there_is_an_end_to_the_answers_that_are_kept(inodes: Inodes) -> None:
    nodes = [Constant() for _ in range(ANSWERS + 10)]
    for _ in range(3):
        for node in nodes:
            assert inodes.remember(node, 1).st_ino == node.ino
    kept = [node for node in nodes if inodes.known[node.ino].answer is not None]
    assert len(kept) == ANSWERS
    inodes.forget([(node.ino, 3) for node in kept[:10]])
    for node in nodes:
        inodes.remember(node, 1)
        inodes.remember(node, 1)
    assert sum(inodes.known[node.ino].answer is not None for node in nodes) == ANSWERS
