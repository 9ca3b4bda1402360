from __future__ import annotations

from typing import Any

import pytest

from rossfs.errors import InvalidDocument
from rossfs.oci.index import Index
from rossfs.oci.mediatype import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from rossfs.oci.platform import Platform
from tests import builders

ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


def entry(name: str, platform: str | None = None, **more: Any) -> dict[str, Any]:
    """The descriptor of a manifest whose content is *name*."""
    described = builders.descriptor(name.encode(), more.pop("of_type", OCI_MANIFEST), **more)
    if platform is not None:
        parts = platform.split("/")
        described["platform"] = dict(zip(("os", "architecture", "variant"), parts, strict=False))
    return described


def index(*entries: dict[str, Any], **more: Any) -> Index:
    """Parse an index of *entries*."""
    return Index.parse(
        builders.compact({"schemaVersion": 2, "manifests": list(entries)} | more), None
    )


def chosen(found: Index, platform: str) -> dict[str, Any] | None:
    """What is chosen for *platform*, as a descriptor."""
    descriptor = found.choose(Platform.parse(platform))
    return None if descriptor is None else descriptor.as_json()


@pytest.mark.parametrize("docker", [False, True])
def test_an_index_lists_its_manifests(docker: bool) -> None:
    listed = [(b"one", "linux/amd64"), (b"two", "linux/arm64/v8")]
    found = Index.parse(builders.index(listed, docker=docker))
    assert found.media_type == (DOCKER_LIST if docker else OCI_INDEX)
    assert [item.digest for item in found.references()] == [
        builders.digest_of(data) for data, _ in listed
    ]
    assert [str(item.platform) for item in found.manifests] == [name for _, name in listed]


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 2, "manifests": None},
        {"schemaVersion": 2, "manifests": []},
        {"schemaVersion": 2, "mediaType": OCI_INDEX},
    ],
)
def test_an_index_may_be_empty(document: dict[str, Any]) -> None:
    found = Index.parse(builders.compact(document))
    assert found.manifests == ()
    assert found.choose(Platform("linux", "amd64")) is None


def test_subject_and_annotations_are_kept() -> None:
    subject = entry("subject")
    found = index(subject=subject, annotations={"a": "b"}, artifactType="a/b")
    assert found.subject is not None
    assert found.subject.as_json() == subject
    assert (found.annotations, found.artifact_type) == ({"a": "b"}, "a/b")


def test_the_exact_platform_is_chosen() -> None:
    entries = [
        entry("attestation", "linux/amd64", annotations=ATTESTATION),
        entry("windows", "windows/amd64"),
        entry("arm", "linux/arm/v7"),
        entry("amd", "linux/amd64"),
        entry("arm64", "linux/arm64/v8"),
    ]
    found = index(*entries)
    assert chosen(found, "linux/amd64") == entries[3]
    assert chosen(found, "linux/arm64") == entries[4]
    assert chosen(found, "windows/amd64") == entries[1]
    assert chosen(found, "linux/riscv64") is None


def test_the_nearest_lower_variant_is_chosen() -> None:
    entries = [entry(f"v{number}", f"linux/arm/v{number}") for number in (5, 8, 6)]
    found = index(*entries)
    assert chosen(found, "linux/arm/v7") == entries[2]
    assert chosen(found, "linux/arm/v5") == entries[0]
    assert chosen(found, "linux/arm/v8") == entries[1]


def test_the_first_of_two_that_fit_is_chosen() -> None:
    first, second = entry("first", "linux/arm64/v8"), entry("second", "linux/arm64")
    assert chosen(index(first, second), "linux/arm64") == first
    assert chosen(index(second, first), "linux/arm64") == second


def test_what_cannot_run_is_never_chosen() -> None:
    found = index(
        entry("a", "unknown/unknown"),
        entry("b", "linux/amd64", annotations=ATTESTATION),
        entry("c", "linux/amd64", of_type="application/vnd.example"),
    )
    assert chosen(found, "linux/amd64") is None
    assert chosen(found, "unknown/unknown") is None


def test_a_single_manifest_without_platform_is_chosen() -> None:
    alone = entry("alone")
    assert chosen(index(alone), "linux/s390x") == alone
    assert chosen(index(entry("a", "unknown/unknown"), alone), "linux/s390x") == alone
    assert chosen(index(alone, entry("other")), "linux/s390x") is None
    assert chosen(index(alone, entry("other", "linux/amd64")), "linux/s390x") is None


def test_a_single_manifest_of_another_platform_is_not_chosen() -> None:
    assert chosen(index(entry("alone", "linux/amd64")), "linux/arm64") is None


def test_an_index_in_an_index_can_be_chosen() -> None:
    nested = entry("nested", of_type=OCI_INDEX)
    assert chosen(index(nested), "linux/amd64") == nested


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"manifests": {}}, "manifests is a JSON object, not an array"),
        ({"manifests": [[]]}, "manifest 0 is no descriptor"),
        ({"manifests": [entry("a") | {"size": -1}]}, "manifest 0: size is out of range"),
        ({"manifests": [entry("a")] * 16_385}, "manifests has 16385 items"),
        ({"manifests": [], "layers": [entry("a")]}, "has layers too"),
        ({"manifests": [], "config": entry("a")}, "has config too"),
        ({"manifests": [], "schemaVersion": 1}, "Docker schema 1"),
        ({"manifests": [], "schemaVersion": 2.0}, "not of schemaVersion 2"),
        ({"manifests": [], "mediaType": OCI_MANIFEST}, "the media type of another thing"),
        ({"manifests": [], "subject": 1}, "subject is no descriptor"),
    ],
)
def test_a_hostile_index_is_refused(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDocument, match=reason):
        Index.parse(builders.compact(document))
