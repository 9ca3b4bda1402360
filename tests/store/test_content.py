from hypothesis import given
from hypothesis import strategies as st

from rossfs.oci.digest import Digest
from rossfs.store.content import is_sealed, seal

SECONDS = st.integers(0, 1 << 34)
DIGESTS = st.binary(max_size=8).map(Digest.of)


@given(DIGESTS, SECONDS)
def test_a_seal_keeps_the_seconds_and_is_known_again(digest: Digest, seconds: int) -> None:
    sealed = seal(digest, seconds)
    assert sealed // 10**9 == seconds
    assert is_sealed(digest, sealed)


@given(DIGESTS, SECONDS, st.integers(1, 10**9 - 1))
def test_any_other_nanosecond_breaks_the_seal(digest: Digest, seconds: int, shift: int) -> None:
    sealed = seal(digest, seconds)
    other = seconds * 10**9 + (sealed + shift) % 10**9
    assert not is_sealed(digest, other)


@given(DIGESTS, SECONDS)
def test_a_file_system_that_keeps_seconds_only_has_no_seals(digest: Digest, seconds: int) -> None:
    assert not is_sealed(digest, seconds * 10**9)


def test_the_seal_of_one_content_is_not_that_of_another() -> None:
    assert not is_sealed(Digest.of(b"a"), seal(Digest.of(b"b"), 1_700_000_000))
