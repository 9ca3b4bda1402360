"""Names of entries as paths inside the root."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rossfs.image.tarname import PATH_LIMIT, clean

COMPONENTS = st.sampled_from([b"", b".", b"..", b"a", b".a", b"..a", b"...", b"\xff\n"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a/b", b"a/b"),
        (b"./a/b", b"a/b"),
        (b"/a/b", b"a/b"),
        (b"a/b/", b"a/b"),
        (b"a/b//", b"a/b"),
        (b"a//./b///", b"a/b"),
        (b"a/../b", b"b"),
        (b"./", b""),
        (b".", b""),
        (b"/", b""),
        (b"", b""),
        (b"a/..", b""),
        (b".//a", b"a"),
        (b".wh.a", b".wh.a"),
        (b"a/.wh..wh..opq", b"a/.wh..wh..opq"),
        (b"n" * 255, b"n" * 255),
        (b"a/" + b"n" * 255 + b"/b", b"a/" + b"n" * 255 + b"/b"),
    ],
)
def test_a_name_becomes_a_path_inside_the_root(name: bytes, path: bytes) -> None:
    assert clean(name) == path


@pytest.mark.parametrize("name", [b"..", b"../a", b"/../a", b"a/../../b", b"./..", b"a/b/../../.."])
def test_a_name_that_leads_out_has_no_path(name: bytes) -> None:
    with pytest.raises(ValueError, match="leads out of the root"):
        clean(name)


def test_a_component_has_at_most_255_bytes() -> None:
    with pytest.raises(ValueError, match="has a name of 256 bytes"):
        clean(b"a/" + b"n" * 256)


def test_the_whiteout_of_a_long_name_is_longer() -> None:
    name = b"a/.wh." + b"n" * 255
    assert clean(name) == name
    with pytest.raises(ValueError, match="has a name of 260 bytes"):
        clean(name + b"n")


def test_a_path_may_be_longer_than_the_kernel_takes_at_once_but_not_endless() -> None:
    deep = b"d/" * (PATH_LIMIT // 2 - 1) + b"f"
    assert clean(deep) == deep
    with pytest.raises(ValueError, match=f"has a path of {PATH_LIMIT + 1} bytes"):
        clean(b"d/" * (PATH_LIMIT // 2) + b"f")


@given(st.lists(COMPONENTS, max_size=8))
@example([b".", b"", b"a"])
def test_paths_are_those_of_normpath(components: list[bytes]) -> None:
    name = b"/".join(components)
    expected = posixpath.normpath(name.lstrip(b"/"))
    if expected.split(b"/")[0] == b"..":
        with pytest.raises(ValueError, match="leads out of the root"):
            clean(name)
    else:
        assert clean(name) == (b"" if expected == b"." else expected)
