"""Blobs being written: in any order, by anybody, and how that ends."""

import errno
import fcntl
import json
import os
import random
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rossfs.errors import Busy, DigestMismatch, ReadOnlyStore, StoreFull, UsageError
from rossfs.store import durable
from rossfs.store.access import Access
from rossfs.store.content import is_sealed
from rossfs.store.contents import Contents
from rossfs.store.filing import Stored
from rossfs.store.hashing import BUFFER
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area
from tests.builders import (
    OCI_LAYER_GZIP,
    digest_of,
    layer,
)
from tests.store.committing import files, find, put

BIG = random.Random(2).randbytes(6 * BUFFER + 999)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Access.create(str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def contents(root: Path) -> Contents:
    return Contents(Access.open(str(root)))


# Committing


def test_a_commit_makes_what_ross_would_make(root: Path, contents: Contents) -> None:
    before = int(time.time())
    data = layer({"file": b"content"})
    stored = put(contents, data)
    digest = digest_of(data)
    assert stored == Stored(digest, len(data), OCI_LAYER_GZIP, Area.BLOBS)
    path = root / "blobs" / "sha256" / digest.hex
    assert files(root) == {f"blobs/sha256/{digest.hex}", f"blobs/sha256/{digest.hex}.meta"}
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    record = json.loads(path.with_suffix(".meta").read_bytes())
    assert record.keys() == {"media_type", "size", "created_at", "accessed_at"}
    assert record["media_type"] == OCI_LAYER_GZIP
    assert record["size"] == len(data)
    assert before <= record["created_at"] == record["accessed_at"] <= time.time()


def test_content_comes_before_its_meta(contents: Contents, steps: list[str]) -> None:
    put(contents, b"blob")
    assert steps == [
        "ingest: synced",
        "blob: renamed",
        "blob: directory synced",
        "blob meta: written",
        "blob meta: synced",
        "blob meta: renamed",
        "blob meta: directory synced",
    ]


def test_committed_content_is_proven(contents: Contents) -> None:
    content = find(contents, put(contents, BIG).digest)
    assert content.proven
    assert not contents.verifier.needs_check(content)
    assert is_sealed(content.digest, os.stat(content.path).st_mtime_ns)
    assert abs(content.modified_ns / 1e9 - time.time()) < 60


def test_an_empty_blob_is_stored(contents: Contents) -> None:
    assert put(contents, b"").digest == digest_of(b"")
    assert find(contents, digest_of(b"")).size == 0


def test_sha512_names_are_kept(root: Path, contents: Contents) -> None:
    expected = digest_of(b"blob", "sha512")
    for algorithm in ("sha256", "sha512"):
        with Ingest.create(contents, algorithm) as ingest:
            ingest.append(b"blob")
            assert ingest.commit(expected).digest == expected
    assert (root / "blobs" / "sha512" / expected.hex).read_bytes() == b"blob"


def test_a_wrong_digest_leaves_nothing(root: Path, contents: Contents) -> None:
    with pytest.raises(DigestMismatch, match=f"expected {digest_of(b'other')}, but the 4 bytes"):
        put(contents, b"blob", expected=digest_of(b"other"))
    assert files(root) == set()


def test_an_abort_leaves_nothing(root: Path, contents: Contents) -> None:
    ingest = Ingest.create(contents)
    ingest.append(BIG)
    ingest.abort()
    ingest.abort()
    assert ingest.closed
    assert files(root) == set()
    with pytest.raises(ValueError, match="closed"):
        ingest.append(b"more")


def test_a_store_open_for_reading_takes_nothing(root: Path) -> None:
    contents = Contents(Access.open(str(root), read_only=True))
    with pytest.raises(ReadOnlyStore):
        Ingest.create(contents)
    assert files(root) == set()


@pytest.mark.parametrize("media_type", ["a\nb", "é", "x" * 1000])
def test_what_is_no_media_type_is_refused(contents: Contents, media_type: str) -> None:
    with pytest.raises(UsageError, match="no media type"):
        put(contents, b"blob", media_type)


# Writing in any order


def test_bytes_may_come_in_any_order(contents: Contents) -> None:
    pieces = [(start, BIG[start : start + 300_000]) for start in range(0, len(BIG), 300_000)]
    random.Random(3).shuffle(pieces)
    with Ingest.create(contents) as ingest:
        for start, piece in pieces:
            ingest.write_at(start, piece)
        assert ingest.commit().digest == digest_of(BIG)


def test_overwriting_counts(contents: Contents) -> None:
    model = bytearray(BIG)
    with Ingest.create(contents) as ingest:
        ingest.append(BIG)
        for start in (0, 5, len(BIG) - 1, BUFFER):
            ingest.write_at(start, b"new")
            model[start : start + 3] = b"new"
            assert ingest.finish().digest == digest_of(bytes(model))
        assert ingest.size == len(model)


def test_a_gap_reads_as_zeros(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        ingest.write_at(10, b"end")
        assert ingest.size == 13
        assert ingest.read_at(0, 100) == b"\0" * 10 + b"end"
        assert ingest.commit().digest == digest_of(b"\0" * 10 + b"end")


def test_truncating_counts(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        ingest.append(b"0123456789")
        ingest.truncate(4)
        assert ingest.finish().digest == digest_of(b"0123")
        ingest.truncate(6)
        assert ingest.finish().digest == digest_of(b"0123\0\0")
        ingest.append(b"x")
        assert ingest.commit().digest == digest_of(b"0123\0\0x")


def test_a_later_write_withdraws_what_was_finished(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        ingest.append(b"one")
        assert ingest.finish().digest == digest_of(b"one")
        ingest.append(b"two")
        with pytest.raises(DigestMismatch):
            ingest.finish(digest_of(b"one"))
        assert ingest.commit(digest_of(b"onetwo")).size == 6


def test_finishing_again_does_nothing(contents: Contents, steps: list[str]) -> None:
    with Ingest.create(contents) as ingest:
        ingest.append(b"blob")
        ingest.finish()
        ingest.finish(digest_of(b"blob"))
        ingest.commit()
    assert steps.count("ingest: synced") == 1


# Unfinished files


def test_an_unfinished_file_is_locked(contents: Contents) -> None:
    with Ingest.create(contents) as ingest:
        fd = os.open(ingest.path, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(fd)
        with pytest.raises(Busy, match="is being written"):
            Ingest.adopt(contents, ingest.path)


def test_a_file_that_was_left_can_be_gone_on_with(root: Path, contents: Contents) -> None:
    ingest = Ingest.create(contents)
    ingest.append(b"one")
    path = ingest.detach()
    assert ingest.closed
    with Ingest.adopt(contents, path) as ingest:
        assert ingest.size == 3
        ingest.append(b"two")
        assert ingest.commit().digest == digest_of(b"onetwo")
    assert not Path(path).exists()


def test_only_a_file_can_be_gone_on_with(root: Path, contents: Contents, tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("none", "link", "fifo", "."):
        with pytest.raises(OSError):  # noqa: PT011 - each has its own errno
            Ingest.adopt(contents, str(tmp_path / name))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    # In a mount namespace of its own, which ends with the process.
    script = """
        import os, subprocess, sys
        from rossfs.errors import StoreFull
        from rossfs.store.access import Access
        from rossfs.store.contents import Contents
        from rossfs.store.ingest import Ingest
        root = sys.argv[1]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=True)
        contents = Contents(Access.create(root))
        with Ingest.create(contents) as ingest:
            ingest.append(b"a" * 600_000)
            try:
                ingest.append(b"b" * 600_000)
            except StoreFull as error:
                assert "no room to write" in str(error), error
            else:
                raise SystemExit("was written")
            assert ingest.size == 600_000
            for attempt in (ingest.finish, ingest.commit):
                try:
                    attempt()
                except StoreFull as error:
                    assert "when byte 600000 was to be written" in str(error), error
                else:
                    raise SystemExit("a part was committed for the whole")
            # What was there before can be committed by who says that it is all.
            ingest.truncate(600_000)
            stored = ingest.commit()
        assert os.stat(f"{root}/blobs/sha256/{stored.digest.hex}").st_size == 600_000
        try:
            with Ingest.create(contents) as ingest:
                ingest.append(b"c" * 600_000)
        except StoreFull:
            pass
        assert os.listdir(contents.access.paths.scratch) == []
    """
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


def test_a_write_that_failed_is_to_be_repeated(root: Path) -> None:
    # A limit of the process: the error is EFBIG, and no disk is full.
    script = """
        import errno, resource, signal, sys
        from rossfs.store.access import Access
        from rossfs.store.contents import Contents
        from rossfs.store.ingest import Ingest
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        contents = Contents(Access.open(sys.argv[1]))
        ingest = Ingest.create(contents)
        ingest.append(b"a" * 1000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
        for offset in (1000, 5000):
            try:
                ingest.write_at(offset, b"b" * 100)
            except OSError as error:
                assert error.errno == errno.EFBIG
            else:
                raise SystemExit("was written")
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        for again in range(2):
            ingest.write_at(1100, b"c" * 10)  # not what is missing
            try:
                ingest.finish()
            except OSError as error:
                assert error.errno == errno.EFBIG
                assert "byte 1000" in str(error)
            else:
                raise SystemExit("was committed")
            path = ingest.detach()
            ingest = Ingest.adopt(contents, path)
        ingest.write_at(1000, b"b" * 100)
        try:
            ingest.finish()
        except OSError as error:
            assert "byte 5000" in str(error)
        else:
            raise SystemExit("was committed")
        ingest.truncate(1110)
        stored = ingest.commit()
        print(stored.digest.hex)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(root)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    whole = b"a" * 1000 + b"b" * 100 + b"c" * 10
    assert result.stdout.strip() == digest_of(whole).hex
    assert os.listxattr(root / "blobs/sha256" / result.stdout.strip()) == []


def test_many_processes_may_commit_the_same_at_once(root: Path) -> None:
    script = """
        import sys
        from rossfs.store.access import Access
        from rossfs.store.contents import Contents
        from rossfs.store.ingest import Ingest
        contents = Contents(Access.open(sys.argv[1]))
        for number in range(20):
            with Ingest.create(contents) as ingest:
                ingest.append(f"blob {number}".encode() * 1000)
                ingest.commit()
    """
    writers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(root)])
        for _ in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    contents = Contents(Access.open(str(root)))
    stored = list(contents.digests(Area.BLOBS))
    assert len(stored) == 20
    for digest in stored:
        contents.verifier.prove(digest, find(contents, digest).path)
    assert len(files(root)) == 40


def test_of_many_writes_that_failed_each_is_to_be_repeated(
    contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: object, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Ingest.create(contents) as ingest:
        offsets = range(0, 2000, 10)
        monkeypatch.setattr(os, "pwrite", full)
        for offset in offsets:
            with pytest.raises(StoreFull):
                ingest.write_at(offset, b"0123456789")
        monkeypatch.undo()
        for offset in offsets[:-1]:
            ingest.write_at(offset, b"0123456789")
        with pytest.raises(StoreFull, match="when more than can be told"):
            ingest.finish()
        ingest.truncate(0)
        ingest.append(b"all of it")
        assert ingest.commit().digest == digest_of(b"all of it")


# The disk


def test_the_disk_begins_with_what_has_arrived_while_more_does(
    contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(
        durable, "begin_sync", lambda _, offset, length: begun.append((offset, length))
    )
    piece = bytes(BUFFER)
    with Ingest.create(contents) as ingest:
        for _ in range(30):
            ingest.append(piece)
        ingest.rest()
        assert [offset for offset, _ in begun] == [0, begun[0][1], begun[0][1] + begun[1][1]]
        assert sum(length for _, length in begun) <= ingest.size
        assert max(length for _, length in begun) <= 8 * BUFFER

        begun.clear()
        ingest.write_at(0, b"anew")
        ingest.append(piece)
        assert not begun
        stored = ingest.commit()
        assert begun[0][0] == 0, "it is hashed from the beginning, and may go to the disk again"
    assert stored.size == 31 * BUFFER
