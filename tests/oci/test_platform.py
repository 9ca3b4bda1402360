from __future__ import annotations

import os
from itertools import pairwise

import pytest

from rossfs.errors import InvalidDocument, InvalidPlatform
from rossfs.oci.platform import Platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("Linux/AMD64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/aarch64", Platform("linux", "arm64")),
        ("linux/armhf", Platform("linux", "arm", "v7")),
        ("linux/armel", Platform("linux", "arm", "v6")),
        ("linux/i686", Platform("linux", "386")),
        ("macos/arm64", Platform("darwin", "arm64")),
        ("plan9/riscv64", Platform("plan9", "riscv64")),
    ],
)
def test_a_platform_is_read_in_the_words_of_go(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "linux/",
        "/amd64",
        "linux/amd64/",
        "a/b/c/d",
        "linux/../x",
        "linux/a b",
        "l\n/a",
    ],
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatform, match="no platform such as"):
        Platform.parse(text)


def test_a_platform_names_a_directory() -> None:
    assert Platform("linux", "arm64", "v8").directory_name == "linux-arm64-v8"
    assert Platform("linux", "amd64").directory_name == "linux-amd64"
    assert Platform("", "amd64").directory_name == "unknown-amd64"


def test_the_host_is_this_machine() -> None:
    host = Platform.host()
    assert host.os == os.uname().sysname.lower()
    assert host.distance(host) == (0, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "best_first"),
    [
        ("linux/arm64", ["linux/arm64"]),
        ("linux/arm64", ["linux/arm64/v8"]),
        ("linux/arm64/v8", ["linux/arm64"]),
        ("linux/arm64/v9", ["linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64/v8"]),
        ("linux/arm/v7", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm", ["linux/arm/v7", "linux/arm/v6"]),
        ("linux/arm/v6", ["linux/arm/v6", "linux/arm/v5", "linux/arm"]),
        ("linux/arm/v8", ["linux/arm/v8", "linux/arm/v7", "linux/arm/v6"]),
        ("linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"]),
        ("linux/amd64", ["linux/amd64/v1"]),
        ("linux/ppc64le/power9", ["linux/ppc64le/power9", "linux/ppc64le"]),
    ],
)
def test_the_nearest_lower_variant_fits_best(wanted: str, best_first: list[str]) -> None:
    distances = [Platform.parse(wanted).distance(Platform.parse(text)) for text in best_first]
    known = [distance for distance in distances if distance is not None]
    assert len(known) == len(distances)
    assert all(near < far for near, far in pairwise(known))


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        ("linux/amd64", "linux/amd64/v2"),
        ("linux/amd64", "linux/arm64"),
        ("linux/amd64", "windows/amd64"),
        ("linux/amd64", "linux/386"),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v8"),
        ("linux/arm64", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64/v9"),
        ("linux/ppc64le", "linux/ppc64le/power9"),
        ("linux/mips64le/hardfloat", "linux/mips64le/softfloat"),
    ],
)
def test_what_cannot_run_does_not_fit(wanted: str, offered: str) -> None:
    assert Platform.parse(wanted).distance(Platform.parse(offered)) is None


def test_other_words_in_a_document_mean_the_same() -> None:
    offered = Platform("Linux", "aarch64", "8")
    assert Platform("linux", "arm64").distance(offered) == (0, 0, 0)
    assert Platform("linux", "arm", "v7").distance(Platform("linux", "armhf")) == (0, 0, 0)


def test_the_members_of_a_descriptor_are_kept() -> None:
    fields = {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.17763.1234",
        "os.features": ["win32k"],
        "variant": "v2",
    }
    platform = Platform.from_json(fields | {"features": ["sse4"]}, "x")
    assert platform == Platform("windows", "amd64", "v2", "10.0.17763.1234", ("win32k",))
    assert platform.as_json() == fields


@pytest.mark.parametrize("fields", [{}, {"os": "", "architecture": ""}, {"os": None}])
def test_a_platform_that_says_nothing_is_none(fields: dict[str, object]) -> None:
    assert Platform.from_json(fields, "x") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"os": "../../etc", "architecture": "amd64"},
        {"os": "linux", "architecture": ".."},
        {"os": "linux", "architecture": "a/b"},
        {"os": "linux", "architecture": "a\0"},
        {"os": "linux", "architecture": "a" * 65},
        {"os": "linux", "architecture": "arm", "variant": "v7\n"},
        {"os": 1},
        {"os": "linux", "architecture": ["amd64"]},
        {"os": "linux", "os.version": {}},
        {"os": "linux", "os.features": "win32k"},
        {"os": "linux", "os.features": [1]},
        {"os": "linux", "os.features": ["x"] * 257},
    ],
)
def test_a_hostile_platform_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument, match=r"^index: manifest 0"):
        Platform.from_json(fields, "index: manifest 0")
