from __future__ import annotations

import pytest

from rossfs.errors import InvalidDigest, InvalidName, InvalidReference
from rossfs.oci.digest import Digest
from rossfs.oci.reference import (
    Reference,
    check_repository,
    check_repository_prefix,
    check_tag,
    is_host,
    normalise,
    parse_digest_or_reference,
)

HEX = "0123456789abcdef" * 4
DIGEST = Digest("sha256", HEX)


@pytest.mark.parametrize(
    ("text", "repository", "tag"),
    [
        ("nginx", "library/nginx", "latest"),
        ("nginx:1.27-alpine", "library/nginx", "1.27-alpine"),
        ("library/nginx", "library/nginx", "latest"),
        ("docker.io/nginx", "library/nginx", "latest"),
        ("docker.io/library/nginx", "library/nginx", "latest"),
        ("index.docker.io/library/nginx:1", "library/nginx", "1"),
        ("docker.io/docker.io/nginx", "library/nginx", "latest"),
        ("docker.io/ross/app", "ross/app", "latest"),
        ("docker.io", "library/docker.io", "latest"),
        ("ross/app:_v1", "ross/app", "_v1"),
        ("a/b/c/d:x", "a/b/c/d", "x"),
        ("localhost:5000/app:1", "localhost:5000/app", "1"),
        ("localhost/app", "localhost/app", "latest"),
        ("localhost", "library/localhost", "latest"),
        ("localhost:5000", "library/localhost", "5000"),
        ("quay.io/team/app", "quay.io/team/app", "latest"),
        ("Registry.Example:443/app", "Registry.Example:443/app", "latest"),
        ("[2001:db8::1]:5000/app:1", "[2001:db8::1]:5000/app", "1"),
        ("a.b_c__d-e---f", "library/a.b_c__d-e---f", "latest"),
        ("app:" + "t" * 128, "library/app", "t" * 128),
    ],
)
def test_a_name_is_normalised(text: str, repository: str, tag: str) -> None:
    reference = Reference.parse(text)
    assert reference == Reference(repository, tag, None)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar()) == reference


def test_a_digest_takes_the_place_of_the_tag() -> None:
    assert Reference.parse(f"nginx@{DIGEST}") == Reference("library/nginx", None, DIGEST)
    both = Reference.parse(f"localhost:5000/app:1@{DIGEST}")
    assert both == Reference("localhost:5000/app", "1", DIGEST)
    assert str(both) == f"localhost:5000/app:1@{DIGEST}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":tag",
        "/",
        "/nginx",
        "nginx/",
        "a//b",
        "a/../b",
        "..",
        ".",
        "./nginx",
        "Nginx",
        "a/B",
        "localhost/App",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "a..b",
        "a___b",
        "a._b",
        "-a",
        "a-",
        "_a",
        "a/.b",
        "http://localhost/app",
        "docker.io/",
        "docker.io/localhost:5000/app",
        "localhost:/app",
        "localhost:123456/app",
        "-host.example/app",
        "host_name.example:5000/app",
        "app:",
        "app:.hidden",
        "app:-x",
        "app:a/b",
        "app:a b",
        "app:t\n",
        "app:ü",
        "app:" + "t" * 129,
        "a:b:c",
        "a" * 256,
        "library/" + "a" * 248,
        "a" * 248,
        f"sha256:{HEX}",
        f"blake3:{HEX}",
        HEX,
        f"{HEX}:tag",
        f"docker.io/{HEX}",
        f"@{DIGEST}",
        f"A@{DIGEST}",
    ],
)
def test_what_is_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["app@", "app@sha256", f"app@{HEX}", f"app@{DIGEST}@{DIGEST}"])
def test_after_an_at_sign_there_is_a_digest(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("repository", "familiar"),
    [
        ("library/nginx", "nginx:1"),
        ("library/a/b", "library/a/b:1"),
        ("ross/app", "ross/app:1"),
        ("library/sha256", "library/sha256:1"),
        ("localhost:5000/library/nginx", "localhost:5000/library/nginx:1"),
    ],
)
def test_the_familiar_name_leaves_out_library_only(repository: str, familiar: str) -> None:
    reference = Reference(repository, "1", None)
    assert reference.familiar() == familiar
    assert Reference.parse(familiar) == reference


def test_a_familiar_name_never_looks_like_a_digest() -> None:
    reference = Reference("library/sha256", HEX, None)
    assert Reference.parse(reference.familiar()) == reference


def test_a_digest_or_a_reference_is_told_apart() -> None:
    assert parse_digest_or_reference(f"sha256:{HEX}") == DIGEST
    assert parse_digest_or_reference(HEX) == DIGEST
    assert parse_digest_or_reference(f"sha512:{HEX}{HEX}") == Digest("sha512", HEX + HEX)
    assert parse_digest_or_reference("nginx") == Reference("library/nginx", "latest", None)
    assert parse_digest_or_reference("sha256:1") == Reference("library/sha256", "1", None)
    assert parse_digest_or_reference(f"a@{DIGEST}") == Reference("library/a", None, DIGEST)
    with pytest.raises(InvalidName):
        parse_digest_or_reference("../x")


def test_a_repository_has_at_most_255_characters() -> None:
    check_repository("a" * 255)
    check_repository("localhost:5000/" + "a" * 240)
    for text in ("a" * 256, "localhost:5000/" + "a" * 241):
        with pytest.raises(InvalidReference, match="longer than 255"):
            check_repository(text)


def test_a_repository_is_checked_as_it_is() -> None:
    check_repository("nginx")
    check_repository("localhost:5000/a/b")
    for text in ("localhost:5000", "nginx:1", "a@b", "a/localhost:5000/b"):
        with pytest.raises(InvalidReference):
            check_repository(text)


def test_a_host_alone_is_the_beginning_of_a_repository() -> None:
    for text in ("localhost:5000", "localhost", "quay.io", "a", "a/b", "localhost:5000/a"):
        check_repository_prefix(text)
    for text in ("", "A", "..", "localhost:", "a:b:c", "x" * 255 + ".de", "a/localhost:5000"):
        with pytest.raises(InvalidReference):
            check_repository_prefix(text)


def test_normalising_twice_changes_nothing() -> None:
    for text in ("nginx", "docker.io/docker.io/a/b", "localhost:5000/a"):
        assert normalise(normalise(text)) == normalise(text)


def test_hosts_are_recognised_as_docker_does() -> None:
    assert all(map(is_host, ("localhost", "localhost:1", "a.b", "[::1]:80", "h:80")))
    assert not any(map(is_host, ("", "library", "a_b.c", ".", "..", "a.", "[::1", "h:", "a/b.c")))


@pytest.mark.parametrize("text", ["..", ".", "", "a/b", "a:b", "a@b", "a\0"])
def test_a_tag_is_never_a_path(text: str) -> None:
    with pytest.raises(InvalidReference):
        check_tag(text)


def test_a_long_hostile_name_is_refused_quickly() -> None:
    for text in ("a-" * 2_000_000, "a." * 2_000_000 + "/b", "x/" * 2_000_000, ":" * 4_000_000):
        with pytest.raises(InvalidReference):
            Reference.parse(text)
