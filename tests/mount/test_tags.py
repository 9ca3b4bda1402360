"""tags/ through real mounts: made, moved and removed by the usual programs."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import builders
from tests.mount.tagging import DEADLINE, Tagging, run
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse

OUTSIDE_THE_GRAMMAR = (
    "-dash",
    ".dot",
    "a b",
    "a\nb",
    "a\tb",
    "a\x1b[31m",
    "a:b",
    "a@b",
    "é",
    "t" * 129,
    os.fsdecode(b"\xff\xfe"),
)
"""What no tag can be called."""


# --- making ---


@pytest.mark.parametrize(
    "target",
    [
        "../../../images/sha256/{}",
        "{mount}/images/sha256/{}",
        "{mount}/images/sha256/{}/",
        "{mount}/blobs/sha256/{}",
        "{mount}/manifests/sha256/{}",
        "/anything/at/all/sha256/{}",
        "sha256/{}",
        "sha256:{}",
        "x/sha256:{}",
    ],
)
def test_ln_makes_a_tag(tagging: Tagging, target: str) -> None:
    link = tagging.app / "v2"
    run("ln", "-s", target.format(tagging.two.manifest.hex, mount=tagging.mount), link)
    assert tagging.names(link, tagging.two)
    assert os.readlink(link) == f"../../../images/sha256/{tagging.two.manifest.hex}"
    assert set(os.listdir(tagging.app)) == {"v1", "v2"}


def test_a_tag_in_a_new_repository(tagging: Tagging) -> None:
    new = tagging.mount / f"tags/localhost:5000/{tagging.name}/web"
    run("mkdir", "-p", new)
    assert os.listdir(new) == []
    run("ln", "-s", tagging.image(tagging.two), new / "v1.0_a-b")
    assert tagging.names(new / "v1.0_a-b", tagging.two)


def test_ln_tags_by_what_another_tag_names(tagging: Tagging) -> None:
    os.symlink(os.readlink(tagging.app / "v1"), tagging.app / "v2")
    assert tagging.names(tagging.app / "v2", tagging.one)


def test_there_is_one_tag_of_a_name(tagging: Tagging) -> None:
    assert refused(os.symlink, tagging.image(tagging.two), tagging.app / "v1") == "EEXIST"
    assert tagging.names(tagging.app / "v1", tagging.one)


def test_an_index_is_tagged(tagging: Tagging) -> None:
    data = builders.index([(tagging.one.parts.manifest, "linux/amd64")])
    digest, _ = tagging.store.put_index(data, builders.OCI_INDEX)
    run("ln", "-s", tagging.mount / "indexes/sha256" / digest.hex, tagging.app / "all")
    assert (tagging.app / "all/index.json").read_bytes() == data


# --- replacing and renaming ---


@pytest.mark.parametrize("options", ["-sfn", "-sfT", "-sfnv"])
def test_ln_moves_a_tag(tagging: Tagging, options: str) -> None:
    link = tagging.app / "v1"
    assert tagging.names(link, tagging.one)
    for image in (tagging.two, tagging.one, tagging.two):
        done = subprocess.run(
            ["ln", options, tagging.image(image), link],
            timeout=DEADLINE,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        assert done.returncode == 0
        assert tagging.names(link, image)
    assert os.listdir(tagging.app) == ["v1"]


def test_a_moved_tag_is_another_inode(tagging: Tagging) -> None:
    link = tagging.app / "v1"
    before = os.lstat(link)
    run("ln", "-sfn", tagging.image(tagging.two), link)
    assert os.lstat(link).st_ino != before.st_ino


def test_mv_renames_a_tag(tagging: Tagging) -> None:
    run("mv", tagging.app / "v1", tagging.app / "v2")
    assert tagging.names(tagging.app / "v2", tagging.one)
    assert tagging.is_gone(tagging.app / "v1")


def test_mv_renames_a_tag_over_another(tagging: Tagging) -> None:
    run("ln", "-s", tagging.image(tagging.two), tagging.app / "v2")
    run("mv", "-T", tagging.app / "v2", tagging.app / "v1")
    assert tagging.names(tagging.app / "v1", tagging.two)
    assert tagging.is_gone(tagging.app / "v2")


def test_mv_moves_a_tag_to_another_repository(tagging: Tagging) -> None:
    deep = tagging.top / "other/deep/er"
    run("mkdir", "-p", deep)
    run("mv", tagging.app / "v1", deep)
    assert os.readlink(deep / "v1").startswith("../../../../../images/sha256/")
    assert tagging.names(deep / "v1", tagging.one)
    assert tagging.is_gone(tagging.app / "v1")


def test_a_rename_that_shall_not_replace(tagging: Tagging) -> None:
    run("ln", "-s", tagging.image(tagging.two), tagging.app / "v2")
    run("mv", "-nT", tagging.app / "v2", tagging.app / "v1")
    assert tagging.names(tagging.app / "v1", tagging.one)
    assert tagging.names(tagging.app / "v2", tagging.two)


def test_mv_renames_a_repository(tagging: Tagging) -> None:
    for n in range(5):
        os.symlink(tagging.image(tagging.two), tagging.app / f"n{n}")
    os.makedirs(tagging.app / "sub")
    os.symlink(tagging.image(tagging.two), tagging.app / "sub/s")
    list(os.walk(tagging.mount / "tags"))
    new = tagging.top / "new"
    run("mv", "-T", tagging.app, new)
    assert not tagging.app.exists()
    assert os.listdir(tagging.top) == ["new"]
    assert set(os.listdir(new)) == {"v1", "sub", *(f"n{n}" for n in range(5))}
    assert tagging.names(new / "v1", tagging.one)
    assert tagging.names(new / "n0", tagging.two)
    assert tagging.names(new / "sub/s", tagging.two)
    above = tagging.mount / f"tags/{tagging.name}-above"
    run("mv", "-T", new, above)  # its links are shorter by one directory
    assert tagging.names(above / "v1", tagging.one)
    assert tagging.names(above / "sub/s", tagging.two)
    run("mkdir", tagging.app)
    assert os.listdir(tagging.app) == []


# --- removing ---


def test_rm_removes_a_tag_and_nothing_else(tagging: Tagging) -> None:
    run("rm", tagging.app / "v1")
    assert tagging.is_gone(tagging.app / "v1")
    assert (tagging.image(tagging.one) / "manifest.json").exists()
    assert os.listdir(tagging.app) == []
    run("ln", "-s", tagging.image(tagging.one), tagging.app / "v1")
    assert tagging.names(tagging.app / "v1", tagging.one)


def test_rm_r_removes_repositories(tagging: Tagging) -> None:
    (tagging.app / "sub").mkdir()
    os.symlink(tagging.image(tagging.two), tagging.app / "sub/s")
    run("rm", "-r", tagging.top)
    assert tagging.name not in os.listdir(tagging.mount / "tags")
    assert not any(
        name.startswith(f"{tagging.name}/") for name in tagging.store.tags.repositories()
    )


def test_rmdir_takes_empty_repositories_only(tagging: Tagging) -> None:
    assert refused(os.rmdir, tagging.app) == "ENOTEMPTY"
    assert refused(os.rmdir, tagging.app.parent) == "ENOTEMPTY"
    assert refused(os.rmdir, tagging.app / "v1") == "ENOTDIR"
    assert refused(os.unlink, tagging.app) == "EISDIR"
    assert refused(os.unlink, tagging.app / "none") == "ENOENT"
    run("rm", tagging.app / "v1")
    run("rmdir", tagging.app, tagging.top)
    assert not tagging.top.exists()


# --- what cannot be ---


def test_names_outside_the_grammar_are_refused(tagging: Tagging) -> None:
    for name in OUTSIDE_THE_GRAMMAR:
        link = tagging.app / name
        assert refused(os.symlink, tagging.image(tagging.two), link) == "EINVAL", name
        assert refused(os.rename, tagging.app / "v1", link) == "EINVAL", name
        assert refused(os.open, link, os.O_WRONLY | os.O_CREAT) == "EINVAL", name
        assert not os.path.lexists(link)
    for name in (*OUTSIDE_THE_GRAMMAR, "Upper", "a__b__", "x-"):
        if len(name) < 128:  # a repository may be longer
            assert refused(os.mkdir, tagging.app / name) == "EINVAL", name
    assert refused(os.symlink, tagging.image(tagging.two), tagging.mount / "tags/x") == "EINVAL"
    assert tagging.names(tagging.app / "v1", tagging.one)
    assert not any(c in tagging.log() for c in "\x1b\xff")


def test_what_names_no_image_is_no_target(tagging: Tagging) -> None:
    for target in (
        "nowhere",
        "../v1",
        "images/sha256/abc",
        "sha256/" + "0" * 63,
        "md5/" + "0" * 32,
    ):
        assert refused(os.symlink, target, tagging.app / "v2") == "EINVAL", target
    absent = "0" * 64
    assert refused(os.symlink, f"images/sha256/{absent}", tagging.app / "v2") == "ENOENT"
    layer = tagging.one.layers[0]
    assert refused(os.symlink, f"blobs/sha256/{layer.hex}", tagging.app / "v2") == "ENOENT"
    assert tagging.is_gone(tagging.app / "v2")
    assert f"no manifest or index {layer}" in tagging.log()
    assert "a tag is made by ln -s" in tagging.log()


def test_a_path_is_a_tag_or_a_repository(tagging: Tagging) -> None:
    (tagging.app / "sub").mkdir()
    assert refused(os.symlink, tagging.image(tagging.two), tagging.app / "sub") == "EEXIST"
    assert refused(os.mkdir, tagging.app / "v1") == "EEXIST"
    assert refused(os.rename, tagging.app / "v1", tagging.app / "sub") == "EISDIR"
    assert refused(os.rename, tagging.app / "sub", tagging.app / "v1") == "ENOTDIR"
    assert refused(os.rename, tagging.app, tagging.app / "sub" / "in") == "EINVAL"
    assert tagging.names(tagging.app / "v1", tagging.one)


def test_where_a_tag_and_a_repository_meet_both_are_named(tagging: Tagging) -> None:
    """The kernel is told of another process's repository a moment later: we refuse all the same."""
    assert refused(os.lstat, tagging.app / "late") == "ENOENT"
    tagging.store.tags.make_repository(f"{tagging.name}/app/late")
    assert refused(os.rename, tagging.app / "v1", tagging.app / "late") in {"EEXIST", "EISDIR"}
    manifest = tagging.two.parts.manifest
    fd = os.open(tagging.app / "wins", os.O_WRONLY | os.O_CREAT)
    try:
        os.write(fd, manifest)
        tagging.store.tags.make_repository(f"{tagging.name}/app/wins")
    finally:
        assert refused(os.close, fd) == "EEXIST"
    app = f"{tagging.name}/app"
    assert f"the tag {app}:wins: there is a repository {app}/wins" in tagging.log()
    tagging.mounted.expect_log(f"{app}:wins")
    assert (tagging.app / "wins").is_dir()


def test_tags_stay_in_their_place(tagging: Tagging) -> None:
    for target in ("images/v1", "blobs/sha256/v1", "v1"):
        assert refused(os.rename, tagging.app / "v1", tagging.mount / target) == "EROFS", target
    assert refused(os.rename, tagging.app / "v1", tagging.mount / "incoming/v1") in {
        "EROFS",
        "EXDEV",
    }
    assert refused(os.link, tagging.app / "v1", tagging.app / "v2") == "EPERM"
    assert refused(os.mkfifo, tagging.app / "v2") in {"EROFS", "EPERM"}
    assert tagging.names(tagging.app / "v1", tagging.one)
