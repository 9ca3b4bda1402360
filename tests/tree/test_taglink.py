import errno
import os

import pytest

from rossfs.errors import InvalidReference
from rossfs.tree.taglink import digest_of_link, link_text
from tests.builders import digest_of


@pytest.mark.parametrize(
    ("name", "up"),
    [("app", 2), ("library/app", 3), ("localhost:5000/team/app", 4), ("a/b/c/d/e", 6)],
)
def test_a_link_leads_up_to_the_top_and_down_to_the_image(name: str, up: int) -> None:
    digest = digest_of(b"x")
    path = os.path.normpath(f"/mnt/tags/{name}/" + link_text(name, digest).decode())
    assert path == f"/mnt/images/sha256/{digest.hex}"
    assert link_text(name, digest).count(b"../") == up


def test_the_last_two_components_of_a_link_are_the_digest() -> None:
    digest = digest_of(b"x")
    longer = digest_of(b"x", "sha512")
    for text in (
        f"../../../images/sha256/{digest.hex}",
        f"sha256/{digest.hex}",
        f"/mnt/ross/blobs/sha256/{digest.hex}/",
        f"sha256:{digest.hex}",
        f"../anything/sha256:{digest.hex}",
        f"//sha256/{digest.hex}//",
    ):
        assert digest_of_link(text.encode()) == digest
    assert digest_of_link(f"blobs/sha512/{longer.hex}".encode()) == longer


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"/",
        b"latest",
        b"../other",
        b"sha256/abc",
        b"md5/" + b"0" * 32,
        b"sha256/" + b"F" * 64,
        b"\xff/\xfe",
        b"sha256/" + b"0" * 64 + b"/manifest.json",
    ],
)
def test_a_link_without_a_digest_is_no_tag(text: bytes) -> None:
    with pytest.raises(InvalidReference, match="sha256/HEX") as raised:
        digest_of_link(text)
    assert raised.value.errno == errno.EINVAL
    assert "\n" not in str(raised.value)
