from rossfs.oci.descriptor import Descriptor
from rossfs.oci.mediatype import OCI_MANIFEST
from rossfs.oci.platform import Platform
from rossfs.tree.node import Symlink
from rossfs.tree.numbers import Numbers
from rossfs.tree.platforms import names, platforms_directory
from tests.builders import digest_of


def offer(data: bytes, platform: Platform | None, algorithm: str = "sha256") -> Descriptor:
    return Descriptor.of(data, OCI_MANIFEST, algorithm)._replace(platform=platform)


def test_each_platform_is_named() -> None:
    offers = [
        offer(b"1", Platform("linux", "amd64")),
        offer(b"2", Platform("linux", "arm", "v7")),
        offer(b"3", Platform("windows", "amd64")),
    ]
    assert list(names(offers)) == [b"linux-amd64", b"linux-arm-v7", b"windows-amd64"]


def test_a_platform_that_is_offered_twice_has_two_names() -> None:
    unknown = Platform("unknown", "unknown")
    offers = [offer(data, unknown) for data in (b"1", b"2", b"3")]
    assert list(names(offers)) == [
        b"unknown-unknown",
        b"unknown-unknown-" + digest_of(b"2").short.encode(),
        b"unknown-unknown-" + digest_of(b"3").short.encode(),
    ]


def test_a_manifest_that_is_listed_twice_has_one_name() -> None:
    offers = [offer(b"1", Platform("linux", "amd64"))] * 2
    assert list(names(offers)) == [b"linux-amd64"]


def test_without_a_platform_the_digest_is_the_name() -> None:
    assert list(names([offer(b"1", None)])) == [digest_of(b"1").short.encode()]


def test_hostile_platforms_are_no_file_names() -> None:
    hostile = [
        Platform("..", "/../../etc"),
        Platform("linux\n", "amd64"),
        Platform("", "", "\0"),
        Platform(".", ""),
        Platform("linux", "a" * 500),
        Platform("linux", "\u202eamd64"),
    ]
    for number, platform in enumerate(hostile):
        data = b"%d" % number
        assert list(names([offer(data, platform)])) == [digest_of(data).short.encode()]


def test_a_manifest_of_another_algorithm_lies_in_another_directory() -> None:
    one = offer(b"1", Platform("linux", "amd64"), "sha512")
    directory = platforms_directory(digest_of(b"index"), [one], Numbers().family(b"x"), 0)
    link = directory.lookup(b"linux-amd64")
    assert isinstance(link, Symlink)
    assert link.target() == f"../../../sha512/{digest_of(b'1', 'sha512').hex}".encode()
