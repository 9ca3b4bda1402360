"""The words for sources and destinations."""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.errors import UsageError
from rossfs.image.transport import Place, Transport, parse_destination, parse_source


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("-", Place(None, "-", "")),
        ("dir/app", Place(None, "dir/app", "")),
        ("a:b", Place(None, "a:b", "")),
        ("oci:dir", Place(Transport.OCI, "dir", "")),
        ("oci:dir:v1", Place(Transport.OCI, "dir", "v1")),
        ("oci-archive:f.tar:@0", Place(Transport.OCI_ARCHIVE, "f.tar", "@0")),
        (
            "docker-archive:f:localhost:5000/x:v1",
            Place(Transport.DOCKER_ARCHIVE, "f", "localhost:5000/x:v1"),
        ),
        ("docker-archive:-", Place(Transport.DOCKER_ARCHIVE, "-", "")),
        ("dir:x", Place(Transport.DIRECTORY, "x", "")),
    ],
)
def test_a_source_is_a_transport_a_path_and_a_choice(text: str, place: Place) -> None:
    assert parse_source(text) == place


def test_a_colon_in_a_path_that_exists_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert parse_source(f"oci:{tmp_path}/a:b").path == f"{tmp_path}/a:b"


@pytest.mark.parametrize("text", ["", "oci:", "oci::v1", "a\0b"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no file"):
        parse_source(text)


@pytest.mark.parametrize(
    ("text", "docker", "transport"),
    [
        ("out", None, Transport.OCI),
        ("out", False, Transport.OCI),
        ("out", True, Transport.DOCKER_ARCHIVE),
        ("out.tar", None, Transport.OCI_ARCHIVE),
        ("out.tar", True, Transport.DOCKER_ARCHIVE),
        ("-", None, Transport.OCI_ARCHIVE),
        ("-", True, Transport.DOCKER_ARCHIVE),
        ("oci:out.tar", None, Transport.OCI),
        ("oci-archive:out", False, Transport.OCI_ARCHIVE),
        ("docker-archive:out", True, Transport.DOCKER_ARCHIVE),
    ],
)
def test_a_destination_is_a_layout_or_an_archive(
    text: str, docker: bool | None, transport: Transport
) -> None:
    assert parse_destination(text, docker=docker).transport is transport


@pytest.mark.parametrize(
    ("text", "docker"),
    [
        ("oci:out", True),
        ("docker-archive:out", False),
        ("dir:out", None),
        ("out.tar.gz", None),
        ("out.tgz", True),
    ],
)
def test_a_destination_that_cannot_be_is_refused(text: str, docker: bool | None) -> None:
    with pytest.raises(UsageError):
        parse_destination(text, docker=docker)


def test_what_lies_behind_a_network_is_not_looked_for_on_disk() -> None:
    with pytest.raises(UsageError, match="skopeo copy"):
        parse_source("docker://debian")
    with pytest.raises(UsageError, match="skopeo copy"):
        parse_destination("docker://registry.example/app:v1")
