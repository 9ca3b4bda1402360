"""Manifests written, copied and moved into tags/: stored and tagged when they are closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import builders
from tests.builders import Image
from tests.mount.tagging import Tagging, fails, run

pytestmark = pytest.mark.fuse


@pytest.fixture
def written(tagging: Tagging, tmp_path: Path) -> tuple[Path, Image]:
    """A file with a manifest that is not stored yet, of content that is."""
    parts = tagging.one.parts
    data = builders.manifest(parts.config, parts.layers, annotations={"written": "by hand"})
    path = tmp_path / "m.json"
    path.write_bytes(data)
    digest = builders.digest_of(data)
    image = tagging.one._replace(manifest=digest, parts=parts._replace(manifest=data))
    return path, image


@pytest.mark.parametrize(
    "command",
    [
        ["cp", "{source}", "{tag}"],
        ["cp", "-p", "{source}", "{tag}"],
        ["cp", "-a", "{source}", "{tag}"],
        ["mv", "{source}", "{tag}"],
        ["sh", "-c", 'cat "$0" > "$1"', "{source}", "{tag}"],
        ["dd", "status=none", "conv=fsync", "bs=7", "if={source}", "of={tag}"],
        ["sh", "-c", 'tee "$1" < "$0" > /dev/null', "{source}", "{tag}"],
    ],
    ids=["cp", "cp-p", "cp-a", "mv", "cat", "dd", "tee"],
)
def test_a_manifest_written_to_a_tag(
    tagging: Tagging, written: tuple[Path, Image], command: list[str]
) -> None:
    source, image = written
    link = tagging.app / "v2"
    run(*(part.format(source=source, tag=link) for part in command))
    assert link.is_symlink()
    assert tagging.names(link, image)
    assert tagging.store.get_manifest(image.manifest) == (
        image.parts.manifest,
        builders.OCI_MANIFEST,
    )


def test_a_manifest_replaces_what_a_tag_names(
    tagging: Tagging, written: tuple[Path, Image]
) -> None:
    source, image = written
    link = tagging.app / "v1"
    assert "Read-only file system" in fails("cp", source, link / "manifest.json")
    assert "Read-only file system" in fails("cp", source, link)
    assert "ln -sfn, mv -T and cp --remove-destination -T replace a tag" in tagging.log()
    assert tagging.names(link, tagging.one)
    run("cp", "--remove-destination", "-T", source, link)
    assert tagging.names(link, image)


def test_a_manifest_is_moved_from_incoming(tagging: Tagging, written: tuple[Path, Image]) -> None:
    source, image = written
    run("cp", source, tagging.mount / "incoming/m.json")
    assert os.readlink(tagging.mount / "incoming/m.json") == f"../blobs/sha256/{image.manifest.hex}"
    run("mv", tagging.mount / "incoming/m.json", tagging.app / "v2")
    assert tagging.names(tagging.app / "v2", image)
    assert os.listdir(tagging.mount / "incoming") == []
    run("cp", source, tagging.mount / "incoming/again")
    run("mv", "-T", tagging.mount / "incoming/again", tagging.app / "v1")
    assert tagging.names(tagging.app / "v1", image)


def test_what_is_no_manifest_names_nothing(
    tagging: Tagging, written: tuple[Path, Image], tmp_path: Path
) -> None:
    lost = builders.image_parts("lost").manifest
    for number, (data, reason) in enumerate(
        [
            (b"no JSON", "Bad message"),
            (b"{}", "Bad message"),
            (written[1].parts.manifest[:-20], "Bad message"),
            (lost, "No such file or directory"),
        ]
    ):
        source, link = tmp_path / f"bad{number}", tagging.app / f"bad{number}"
        source.write_bytes(data)
        assert reason in fails("cp", source, link)
        assert tagging.is_gone(link)
        assert "cannot" in fails("mv", "-T", source, tagging.app / "v1" / "x")
    assert tagging.names(tagging.app / "v1", tagging.one)
    assert os.listdir(tagging.app) == ["v1"]
    assert str(builders.digest_of(builders.image_parts("lost").config)) in tagging.log()
    tagging.mounted.expect_log("bad[0-9]|lab/app|no manifest|not in the store|is not")


def test_nothing_is_seen_of_a_manifest_that_is_being_written(
    tagging: Tagging, written: tuple[Path, Image]
) -> None:
    _, image = written
    link = tagging.app / "v2"
    with open(link, "wb") as file:
        file.write(image.parts.manifest[:20])
        file.flush()
        assert tagging.store.tags.find(f"{tagging.name}/app", "v2") is None
        assert os.listdir(tagging.app) == ["v1"]
        file.write(image.parts.manifest[20:])
    assert tagging.names(link, image)
