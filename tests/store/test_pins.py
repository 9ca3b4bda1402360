import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.errors import Damaged, RossfsError
from rossfs.oci.digest import Digest
from rossfs.store import arrivals
from rossfs.store.access import Access
from rossfs.store.pins import Hold, Pins
from rossfs.store.store import Store
from tests.builders import digest_of

ONE = digest_of(b"one")
TWO = digest_of(b"two")
LONG = digest_of(b"long", "sha512")


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access.create(str(tmp_path / "store"))


@pytest.fixture
def pins(access: Access) -> Pins:
    return Pins(access)


def files(access: Access) -> list[str]:
    return sorted(os.listdir(access.paths.pins)) if os.path.isdir(access.paths.pins) else []


# Holding


def test_what_is_held_is_live_until_it_is_released(access: Access, pins: Pins) -> None:
    with pins.hold(ONE, LONG) as hold:
        assert list(pins.live()) == [ONE, LONG]
        hold.add(TWO)
        assert set(pins.live()) == {ONE, LONG, TWO}
        assert pins.is_held(TWO)
    assert list(pins.live()) == []
    assert not pins.is_held(TWO)
    assert files(access) == []


def test_holds_are_counted(pins: Pins) -> None:
    first = pins.hold(ONE)
    second = pins.hold(ONE)
    first.release()
    assert pins.is_held(ONE)
    first.release()
    assert pins.is_held(ONE)
    second.release()
    assert not pins.is_held(ONE)


def test_a_hold_of_nothing_leaves_no_file(access: Access, pins: Pins) -> None:
    with pins.hold() as hold:
        hold.add()
        assert files(access) == []


def test_a_released_hold_cannot_be_added_to(pins: Pins) -> None:
    hold = pins.hold(ONE)
    hold.release()
    with pytest.raises(RossfsError, match="released"):
        hold.add(TWO)
    assert list(pins.live()) == []


def test_a_hold_survives_an_error_only_until_the_end_of_the_with(pins: Pins) -> None:
    with pytest.raises(ZeroDivisionError), pins.hold(ONE):
        raise ZeroDivisionError
    assert list(pins.live()) == []


def test_a_hold_on_a_store_for_reading_does_nothing(access: Access) -> None:
    reading = Pins(Access.open(access.paths.root, read_only=True))
    with reading.hold(ONE) as hold:
        hold.add(TWO)
        assert list(reading.live()) == []
    assert files(access) == []


def test_another_opening_of_the_store_sees_holds(access: Access, pins: Pins) -> None:
    with pins.hold(ONE):
        other = Pins(Access.open(access.paths.root, read_only=True))
        assert list(other.live()) == [ONE]


def test_many_threads_may_share_a_hold(pins: Pins) -> None:
    digests = [digest_of(bytes([number])) for number in range(120)]
    with pins.hold() as hold:
        threads = [
            threading.Thread(target=add_each, args=(hold, part))
            for part in (digests[:40], digests[40:80], digests[80:])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert Counter(pins.live()) == Counter(digests)


def add_each(hold: Hold, digests: list[Digest]) -> None:
    for digest in digests:
        hold.add(digest)


# Dying

_HOLDER = """
import sys
from rossfs.oci.digest import Digest
from rossfs.store.access import Access
from rossfs.store.pins import Pins
hold = Pins(Access.open(sys.argv[1])).hold(Digest.parse(sys.argv[2]))
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(access: Access) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLDER, access.paths.root, str(ONE)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_process_holds_until_it_is_killed(
    access: Access, pins: Pins, holder: subprocess.Popen[str]
) -> None:
    pins.tidy()
    assert list(pins.live()) == [ONE]
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    assert list(pins.live()) == []
    assert len(files(access)) == 1
    pins.tidy()
    assert files(access) == []


def test_a_torn_last_record_is_passed_over(access: Access, pins: Pins) -> None:
    with pins.hold(ONE) as hold:
        (name,) = files(access)
        with open(f"{access.paths.pins}/{name}", "ab") as file:
            file.write(arrivals.pack(TWO)[:-1])
        assert list(pins.live()) == [ONE]
        del hold


@pytest.mark.parametrize("data", [b"\xc0", b"\x01", b"\x92\xa6sha256\xc4\x01x", b"\xc1"])
def test_a_held_file_of_something_else_is_damaged_and_named(
    access: Access, pins: Pins, data: bytes
) -> None:
    with pins.hold(ONE):
        (name,) = files(access)
        path = f"{access.paths.pins}/{name}"
        with open(path, "ab") as file:
            file.write(data)
        with pytest.raises(Damaged, match=path):
            list(pins.live())


def test_stray_things_among_the_pins_hang_nobody(access: Access, pins: Pins) -> None:
    with pins.hold(ONE):
        os.mkfifo(f"{access.paths.pins}/fifo")
        os.mkdir(f"{access.paths.pins}/directory")
        os.symlink("nowhere", f"{access.paths.pins}/link")
        assert list(pins.live()) == [ONE]
        pins.tidy()
        assert list(pins.live()) == [ONE]


def test_tidying_never_takes_a_hold_away(access: Access, pins: Pins) -> None:
    """Whatever the moment at which somebody tidies: a file that is made and not locked yet is made
    again."""
    stop = threading.Event()

    def tidy() -> None:
        while not stop.is_set():
            pins.tidy()

    tidier = threading.Thread(target=tidy)
    tidier.start()
    try:
        for number in range(300):
            digest = digest_of(str(number).encode())
            with pins.hold(digest):
                assert list(pins.live()) == [digest]
    finally:
        stop.set()
        tidier.join(60)
    assert files(access) == []


# Arrivals


def test_nothing_is_noted_while_no_collection_runs(access: Access, pins: Pins) -> None:
    with access.writing():
        arrivals.note(access.paths, ONE)
    assert files(access) == []


def test_what_is_noted_arrives_once_and_in_order(access: Access) -> None:
    with arrivals.collecting(access) as arrived:
        assert list(arrived.new()) == []
        with access.writing():
            arrivals.note(access.paths, ONE, TWO)
            arrivals.note(access.paths, LONG)
        assert list(arrived.new()) == [ONE, TWO, LONG]
        assert list(arrived.new()) == []
        with access.writing():
            arrivals.note(access.paths, ONE)
        assert list(arrived.new()) == [ONE]
    assert files(access) == []


def test_what_is_held_arrives_too(access: Access, pins: Pins) -> None:
    with arrivals.collecting(access) as arrived, pins.hold(ONE):
        assert list(arrived.new()) == [ONE]


def test_a_torn_record_arrives_when_it_is_whole(access: Access) -> None:
    record = arrivals.pack(ONE)
    path = Path(access.paths.pins, arrivals.NAME)
    with arrivals.collecting(access) as arrived, path.open("ab") as file:
        file.write(arrivals.pack(TWO) + record[:7])
        file.flush()
        assert list(arrived.new()) == [TWO]
        file.write(record[7:])
        file.flush()
        assert list(arrived.new()) == [ONE]


def test_a_writer_removes_what_a_dead_collection_left(access: Access) -> None:
    os.makedirs(access.paths.pins)
    left = Path(access.paths.pins, arrivals.NAME)
    left.write_bytes(arrivals.pack(TWO))
    with access.writing():
        arrivals.note(access.paths, ONE)
    assert files(access) == []


def test_a_collection_does_not_hear_what_a_dead_one_was_told(access: Access) -> None:
    os.makedirs(access.paths.pins)
    Path(access.paths.pins, arrivals.NAME).write_bytes(arrivals.pack(TWO))
    with arrivals.collecting(access) as arrived:
        assert list(arrived.new()) == []


def test_collections_follow_one_another(access: Access) -> None:
    running = 0
    most = 0
    guard = threading.Lock()

    def collect() -> None:
        nonlocal running, most
        other = Access.open(access.paths.root)
        for _ in range(20):
            with arrivals.collecting(other):
                with guard:
                    running += 1
                    most = max(most, running)
                with other.writing():
                    arrivals.note(other.paths, ONE)
                with guard:
                    running -= 1

    threads = [threading.Thread(target=collect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1
    assert files(access) == []


def test_no_note_is_lost_between_collections(access: Access) -> None:
    """A writer that meets the file of a collection that just ended does not remove that of the
    next one."""
    stop = threading.Event()

    def write() -> None:
        other = Access.open(access.paths.root)
        while not stop.is_set():
            with other.writing():
                arrivals.note(other.paths, TWO)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for number in range(150):
            digest: Digest = digest_of(str(number).encode())
            with arrivals.collecting(access) as arrived:
                with access.writing():
                    arrivals.note(access.paths, digest)
                assert digest in list(arrived.new())
    finally:
        stop.set()
        for writer in writers:
            writer.join(60)


def test_a_file_that_cannot_be_locked_is_not_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with store.access.writing():
        before = sorted(os.listdir("/proc/self/fd"))
        monkeypatch.setattr(fcntl, "flock", refuse)
        with pytest.raises(OSError, match="No locks"):
            store.pins.hold(digest_of(b"content"))
        monkeypatch.undo()
        assert os.listdir(store.paths.pins) == []
        assert sorted(os.listdir("/proc/self/fd")) == before
