"""A store against a dictionary: whatever is done, both say the same."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from rossfs.errors import BlobNotFound, Damaged, DigestMismatch, RangeError
from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from tests.builders import OCTET_STREAM, RossStore, digest_of, ross_store

DATA = st.one_of(
    st.binary(max_size=40),
    # From 4 MiB on, a second thread hashes.
    st.integers(1, 3).map(lambda number: bytes([number]) * ((4 << 20) + number)),
)
ALGORITHMS = st.sampled_from(["sha256", "sha512"])


class ContentMachine(RuleBasedStateMachine):
    """Writes through the store, behind its back as Ross, and behind its back as nobody should."""

    digests: Bundle[Digest] = Bundle("digests")

    @initialize()
    def create(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="rossfs-test-"))
        self.ross = RossStore(self.root)
        self.store = Store.open(str(self.root))
        self.model: dict[Digest, bytes] = {}
        self.damaged: set[Digest] = set()

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.store.close()
            shutil.rmtree(self.root)

    @rule(target=digests, data=DATA, algorithm=ALGORITHMS)
    def put(self, data: bytes, algorithm: str) -> Digest:
        expected = digest_of(data, algorithm)
        assert self.store.put_blob(OCTET_STREAM, data, expected) == (expected, len(data))
        self.model[expected] = data
        self.damaged.discard(expected)
        return expected

    @rule(target=digests, pieces=st.lists(DATA, max_size=4))
    def put_in_pieces(self, pieces: list[bytes]) -> Digest:
        whole = b"".join(pieces)
        digest, size = self.store.put_blob(None, iter(pieces))
        assert (digest, size) == (digest_of(whole), len(whole))
        self.model[digest] = whole
        self.damaged.discard(digest)
        return digest

    @rule(
        target=digests,
        writes=st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=30)), max_size=6),
        cut=st.none() | st.integers(0, 60),
    )
    def write_anywhere(self, writes: list[tuple[int, bytes]], cut: int | None) -> Digest:
        whole = bytearray()
        with self.store.ingest() as ingest:
            for offset, data in writes:
                ingest.write_at(offset, data)
                # As write(2): no bytes lengthen nothing.
                if data:
                    whole.extend(b"\0" * (offset - len(whole)))
                    whole[offset : offset + len(data)] = data
            if cut is not None:
                ingest.truncate(cut)
                whole = whole[:cut].ljust(cut, b"\0")
            stored = ingest.commit()
        assert stored.digest == digest_of(bytes(whole))
        self.model[stored.digest] = bytes(whole)
        self.damaged.discard(stored.digest)
        return stored.digest

    @rule(data=DATA, other=DATA)
    def put_wrong(self, data: bytes, other: bytes) -> None:
        if data != other:
            with pytest.raises(DigestMismatch):
                self.store.put_blob(OCTET_STREAM, data, digest_of(other))

    @rule(target=digests, data=DATA, meta=st.booleans())
    def put_by_ross(self, data: bytes, meta: bool) -> Digest:
        digest = self.ross.put_blob(OCTET_STREAM, data, meta=meta)
        self.model[digest] = data
        self.damaged.discard(digest)
        return digest

    @rule(digest=digests)
    def lose_meta(self, digest: Digest) -> None:
        if digest in self.model and digest not in self.damaged:
            self.ross.meta_path(digest).unlink(missing_ok=True)

    @rule(digest=digests)
    def damage(self, digest: Digest) -> None:
        if self.model.get(digest):
            # With its .meta in place, so that the content stays visible.
            assert self.store.stat_blob(digest) is not None
            data = bytearray(self.model[digest])
            data[-1] ^= 1
            with self.ross.path(digest).open("r+b") as file:
                file.write(data)
            self.damaged.add(digest)

    @rule(digest=digests)
    def delete(self, digest: Digest) -> None:
        assert self.store.delete_blob(digest) == (digest in self.model)
        self.model.pop(digest, None)
        self.damaged.discard(digest)

    @rule(digest=digests, offset=st.integers(-1, 50), length=st.integers(-1, 50))
    def read(self, digest: Digest, offset: int, length: int) -> None:
        if digest not in self.model:
            with pytest.raises(BlobNotFound):
                self.store.get_blob(digest, offset, length)
            return
        data = self.model[digest]
        end = offset + length if length > 0 else len(data)
        if digest in self.damaged:
            with pytest.raises(Damaged):
                self.store.get_blob(digest, offset, length)
        elif not 0 <= offset <= end <= len(data):
            with pytest.raises(RangeError):
                self.store.get_blob(digest, offset, length)
        else:
            assert self.store.get_blob(digest, offset, length) == data[offset:end]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(str(self.root))

    @rule()
    def collect(self) -> None:
        self.store.garbage_collect()
        self.model.clear()
        self.damaged.clear()

    @invariant()
    def both_list_the_same(self) -> None:
        if hasattr(self, "root"):
            assert set(self.store.list_blobs()) == self.model.keys()

    @invariant()
    def both_know_the_same(self) -> None:
        if hasattr(self, "root"):
            for digest, data in self.model.items():
                info = self.store.stat_blob(digest)
                assert info is not None
                assert info.size == len(data)

    @invariant()
    def nothing_is_left_behind(self) -> None:
        if hasattr(self, "root") and os.path.isdir(self.store.paths.scratch):
            assert os.listdir(self.store.paths.scratch) == []


ContentMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestContent = ContentMachine.TestCase


def test_the_machine_itself_sees_damage(tmp_path: Path) -> None:
    # Guards the rules above: a change of one byte must be one that the store can notice.
    ross = ross_store(tmp_path)
    digest = ross.put_blob(OCTET_STREAM, b"right")
    ross.path(digest).write_bytes(b"wrong")
    with Store.open(str(tmp_path)) as store:
        assert list(store.contents.digests(Area.BLOBS)) == [digest]
        with pytest.raises(Damaged):
            store.get_blob(digest)
