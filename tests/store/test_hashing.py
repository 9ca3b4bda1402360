import hashlib
import random
import threading
from pathlib import Path

import pytest

from rossfs.errors import InvalidDigest
from rossfs.store.hashing import BUFFER, StreamHasher, hash_file
from tests.builders import digest_of

DATA = random.Random(1).randbytes(9 * BUFFER + 12345)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [0, 1, BUFFER, BUFFER + 1, len(DATA)])
def test_a_file_is_hashed_whole(tmp_path: Path, algorithm: str, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA[:size])
    with path.open("rb") as file:
        file.seek(7)
        assert hash_file(file.fileno(), algorithm) == (digest_of(DATA[:size], algorithm), size)
        assert file.tell() == 7


@pytest.mark.parametrize("piece", [1000, 65536, BUFFER, 3 * BUFFER + 1, len(DATA)])
def test_a_stream_is_hashed_as_it_arrives(piece: int) -> None:
    hasher = StreamHasher()
    for start in range(0, len(DATA), piece):
        hasher.update(DATA[start : start + piece])
    assert hasher.digest() == digest_of(DATA)


def test_more_may_follow_after_the_digest_was_asked_for() -> None:
    hasher = StreamHasher("sha512")
    expected = hashlib.sha512()
    for start in range(0, len(DATA), BUFFER):
        hasher.update(DATA[start : start + BUFFER])
        expected.update(DATA[start : start + BUFFER])
        assert hasher.digest().hex == expected.hexdigest()


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    for finish in (StreamHasher.digest, StreamHasher.close):
        hasher = StreamHasher()
        for _ in range(3):
            hasher.update(DATA)
        assert threading.active_count() == before + 1
        finish(hasher)
        assert threading.active_count() == before


def test_what_cannot_be_hashed_is_refused() -> None:
    with pytest.raises(InvalidDigest):
        StreamHasher("blake3")
