"""What is printed parses to the same value, and nothing else parses."""

from __future__ import annotations

import contextlib
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.errors import InvalidName
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import HEX_LENGTHS, Digest
from rossfs.oci.index import Index
from rossfs.oci.layout import new_index
from rossfs.oci.platform import Platform
from rossfs.oci.quotation import quote
from rossfs.oci.reference import Reference, check_repository, parse_digest_or_reference

# Other work on the machine must not decide whether a test passes.
ordinary = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

digests = st.sampled_from(sorted(HEX_LENGTHS)).flatmap(
    lambda algorithm: st.binary(
        min_size=HEX_LENGTHS[algorithm] // 2, max_size=HEX_LENGTHS[algorithm] // 2
    ).map(lambda raw: Digest.from_raw(algorithm, raw))
)
components = st.from_regex(r"[a-z0-9]{1,9}((\.|_|__|-{1,3})[a-z0-9]{1,9}){0,2}", fullmatch=True)
hosts = st.from_regex(r"(localhost|[a-z0-9]{1,9}\.[A-Za-z]{2,5})(:[0-9]{1,5})?", fullmatch=True)
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
repositories = paths | st.tuples(hosts, paths).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
near_names = st.text(alphabet=string.ascii_lowercase[:3] + "0A./:@_-[]\n", max_size=40)
parts = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True)
optional_parts = st.just("") | parts
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
platforms = st.builds(
    Platform, parts, optional_parts, optional_parts, texts, st.lists(texts, max_size=3).map(tuple)
)
media_types = st.from_regex(r"[a-z]{1,9}/[a-z.+-]{1,20}", fullmatch=True)
descriptors = st.builds(
    Descriptor,
    media_types,
    digests,
    st.integers(0, 2**63 - 1),
    st.none() | platforms,
    st.dictionaries(texts, texts, max_size=3),
    st.lists(texts, max_size=3).map(tuple),
    st.none() | media_types,
    st.none() | st.binary(max_size=50),
)


@ordinary
@given(digests)
def test_a_digest_prints_and_parses(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest
    assert Digest.parse(str(digest).encode()) == digest
    assert Digest.from_raw(digest.algorithm, digest.raw) == digest
    assert parse_digest_or_reference(str(digest)) == digest


@ordinary
@given(st.text() | st.from_regex(r"(sha256|sha512|blake3):[0-9a-fA-F]{62,66}"))
def test_a_text_is_a_digest_only_if_it_prints_the_same(text: str) -> None:
    with contextlib.suppress(InvalidName):
        assert str(Digest.parse(text)) == text


@ordinary
@given(repositories, st.none() | tags, st.none() | digests)
def test_a_reference_prints_and_parses(
    repository: str, tag: str | None, digest: Digest | None
) -> None:
    text = repository + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = Reference.parse(text)
    assert reference.digest == digest
    assert reference.tag == (tag if tag or digest else "latest")
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar()) == reference
    assert parse_digest_or_reference(reference.familiar()) == reference


@ordinary
@given(st.text() | near_names)
def test_whatever_parses_is_safe_as_a_path(text: str) -> None:
    with contextlib.suppress(InvalidName):
        reference = Reference.parse(text)
        components = reference.repository.split("/")
        assert len(components) >= 2
        assert not {"", ".", ".."} & set(components)
        assert reference.repository.isprintable()
        assert reference.tag is None or "/" not in reference.tag
        check_repository(reference.repository)
        assert Reference.parse(str(reference)) == reference


@ordinary
@given(platforms)
def test_a_platform_prints_and_parses(platform: Platform) -> None:
    assert Platform.from_json(platform.as_json(), "x") == platform
    assert platform.distance(platform) == (0, 0, 0)
    assert "/" not in platform.directory_name
    with contextlib.suppress(InvalidName):
        again = Platform.parse(str(platform))
        assert Platform.parse(str(again)) == again


@ordinary
@given(st.lists(descriptors, max_size=5))
def test_an_index_prints_and_parses(items: list[Descriptor]) -> None:
    found = Index.parse(new_index(items))
    assert found.manifests == tuple(items)
    assert [Descriptor.parse(item.as_json(), "x") for item in items] == items


@ordinary
@given(st.text() | st.binary(), st.integers(0, 40))
def test_a_quotation_is_one_printable_line(text: str | bytes, limit: int) -> None:
    quoted = quote(text, limit)
    assert quoted.isprintable()
    assert quoted[0] == quoted[-1] == '"'
    assert len(quoted) <= 10 * limit + 5
