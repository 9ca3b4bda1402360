import random

import pytest

from rossfs.oci.digest import Digest
from rossfs.store.digestset import DigestList, DigestSet
from tests.builders import digest_of


def some(count: int) -> list[Digest]:
    """Digests of both algorithms, a sha512 among every five."""
    return [
        digest_of(str(number).encode(), "sha512" if number % 5 == 3 else "sha256")
        for number in range(count)
    ]


def test_a_list_keeps_order_and_duplicates() -> None:
    digests = [*some(20), *some(5)]
    packed = DigestList()
    for digest in digests:
        packed.append(digest)
    assert len(packed) == 25
    assert list(packed) == digests
    assert packed[3] == digests[3]
    assert packed[-1] == digests[-1]
    assert packed[2:21:3] == digests[2:21:3]
    assert list(reversed(packed)) == digests[::-1]


@pytest.mark.parametrize("index", [0, 1, -1, 5])
def test_an_index_outside_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        DigestList()[index]


def test_a_set_is_like_the_set_of_python() -> None:
    digests = some(5_000)
    chosen = random.Random(1).choices(digests, k=6_000)
    packed = DigestSet()
    known: dict[Digest, int] = {}
    for digest in chosen:
        assert packed.add(digest) == (digest not in known)
        known.setdefault(digest, len(known))
    assert len(packed) == len(known)
    assert list(packed) == list(known)
    for digest in digests:
        assert (digest in packed) == (digest in known)
        assert packed.number(digest) == known.get(digest, -1)


def test_digests_that_differ_in_one_bit_are_two() -> None:
    packed = DigestSet()
    digest = digest_of(b"")
    raw = bytearray(digest.raw)
    packed.append(digest)
    for bit in range(256):
        raw[bit // 8] ^= 1 << bit % 8
        other = Digest.from_raw("sha256", bytes(raw))
        assert other not in packed
        assert packed.add(other)
        raw[bit // 8] ^= 1 << bit % 8
    assert len(packed) == 257


def test_what_is_no_digest_is_in_no_set() -> None:
    packed = DigestSet()
    packed.add(digest_of(b""))
    anything: object = str(digest_of(b""))
    assert anything not in packed


def test_a_set_may_grow_while_it_is_walked() -> None:
    packed = DigestSet()
    for digest in some(3):
        packed.append(digest)
    walked = []
    for digest in packed:
        walked.append(digest)
        if len(packed) < 2_000:
            packed.append(digest_of(str(digest).encode()))
    assert len(walked) == len(set(walked)) == len(packed) == 2_000
