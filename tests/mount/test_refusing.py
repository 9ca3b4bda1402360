"""Files of incoming/ whose name is a digest, and manifests: what close(2) refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests import builders, mounts
from tests.builders import image_parts
from tests.mount.inbox import Inbox, failure, run, sha256, shell, some_bytes

pytestmark = pytest.mark.fuse

OTHER = b"what hashes to something else"


def forms(data: bytes) -> list[str]:
    """The names that *data* may have as a digest."""
    hexes = {name: hashlib.new(name, data).hexdigest() for name in ("sha256", "sha512")}
    return [f"{name}:{text}" for name, text in hexes.items()] + list(hexes.values())


FORMS = range(4)


@pytest.mark.parametrize("form", FORMS)
def test_the_right_digest_as_a_name_is_accepted(inbox: Inbox, tmp_path: Path, form: int) -> None:
    source = tmp_path / "source"
    data = some_bytes(("right", form))
    source.write_bytes(data)
    target = inbox / forms(data)[form]
    run("cp", source, target)
    algorithm = "sha512" if form % 2 else "sha256"
    digest = hashlib.new(algorithm, data).hexdigest()
    assert inbox.pin(target) == f"../blobs/{algorithm}/{digest}"
    assert target.read_bytes() == data


WRITERS = {
    "cp": 'cp "$1" "$2"',
    "cp -p": 'cp -p "$1" "$2"',
    "install": 'install "$1" "$2"',
    "cat >": 'cat "$1" > "$2"',
    "tee": 'tee "$2" < "$1" > /dev/null',
    "dd": 'dd if="$1" of="$2" status=none',
    "dd conv=fsync": 'dd if="$1" of="$2" conv=fsync status=none',
    "mv": 'cp "$1" "$1.moved"; mv "$1.moved" "$2"',
    "tar": 'd=${1%/*}; f=${2##*/}; cp "$1" "$d/$f"; tar -C "$d" -c "$f" | tar -C "${2%/*}" -x',
}


@pytest.mark.parametrize("writer", WRITERS)
def test_programs_hear_that_the_digest_is_wrong(inbox: Inbox, tmp_path: Path, writer: str) -> None:
    source = tmp_path / "source"
    data = some_bytes(("wrong", writer))
    source.write_bytes(data)
    target = inbox / f"sha256:{sha256(OTHER)}"
    printed = shell(f"if {{ {WRITERS[writer]}; }}; then exit 9; fi", source, target)
    assert os.strerror(errno.EBADMSG) in printed
    inbox.require_waiting(target, data, sha256(data))
    assert not inbox.has(OTHER)


def test_a_redirection_is_silent_but_nothing_is_committed(inbox: Inbox) -> None:
    target = inbox / sha256(OTHER)
    shell('echo hello > "$1" || true', target)
    inbox.require_waiting(target, b"hello\n", sha256(b"hello\n"))


def test_rsync_hears_at_the_rename(inbox: Inbox, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"rsync has this")
    target = inbox / sha256(OTHER)
    assert os.strerror(errno.EBADMSG) in run("rsync", source, target, status=23)
    assert not os.path.lexists(target)
    assert not inbox.has(b"rsync has this")
    source.write_bytes(OTHER)
    run("rsync", source, target)
    inbox.require(target, OTHER)


@pytest.mark.parametrize("form", FORMS)
def test_close_and_fsync_report_it(inbox: Inbox, form: int) -> None:
    data = some_bytes(("close", form), 5000)
    target = inbox / forms(OTHER)[form]
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, data)
    assert failure(os.fsync, descriptor) == "EBADMSG"
    assert failure(os.fdatasync, descriptor) == "EBADMSG"
    assert failure(os.close, os.dup(descriptor)) == "EBADMSG"
    assert failure(os.close, descriptor) == "EBADMSG"
    inbox.require_waiting(
        target, data, hashlib.new("sha256", data).hexdigest() if form % 2 == 0 else "sha512"
    )


def test_fsync_of_half_a_file_says_that_it_is_wrong_so_far(inbox: Inbox) -> None:
    data = some_bytes("half", 50_000)
    target = inbox / sha256(data)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, data[:20_000])
    assert failure(os.fsync, descriptor) == "EBADMSG"
    os.write(descriptor, data[20_000:])
    os.fsync(descriptor)
    os.close(descriptor)
    inbox.require(target, data)


def test_the_log_of_the_mount_has_the_reason(inbox: Inbox) -> None:
    target = inbox / sha256(b"never written")
    assert failure(target.write_bytes, b"written instead") == "EBADMSG"
    log = (inbox.mounted.path / ".ross/log").read_text()
    (line,) = [line for line in log.splitlines() if target.name in line]
    assert sha256(b"written instead") in line
    assert f"incoming/{target.name}" in line


def test_a_refused_file_can_be_mended(inbox: Inbox) -> None:
    data = some_bytes("mended", 30_000)
    target = inbox / sha256(data)
    assert failure(target.write_bytes, data[:-1]) == "EBADMSG"
    inbox.require_waiting(target, data[:-1], "hash")
    with open(target, "ab") as file:
        file.write(data[-1:])
    inbox.require(target, data)


def test_a_refused_file_can_be_renamed_and_is_then_closed_again(inbox: Inbox) -> None:
    data = some_bytes("renamed", 30_000)
    wrong = inbox / sha256(OTHER)
    assert failure(wrong.write_bytes, data) == "EBADMSG"
    os.rename(wrong, inbox / "name")
    assert failure(os.stat, wrong) == "ENOENT"
    inbox.require(inbox / "name", data)


def test_a_refused_file_can_be_removed(inbox: Inbox) -> None:
    wrong = inbox / sha256(OTHER)
    assert failure(wrong.write_bytes, b"some data") == "EBADMSG"
    wrong.unlink()
    assert os.listdir(inbox.path) == []
    wrong.write_bytes(OTHER)
    inbox.require(wrong, OTHER)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["pin", "waiting", "temporary"])
def test_a_rename_to_the_wrong_digest_is_refused(inbox: Inbox, kind: str, form: int) -> None:
    data = b"" if kind == "waiting" else some_bytes(("rename", kind, form), 2000)
    before = inbox / (".name.a1B2c3" if kind == "temporary" else "name")
    before.write_bytes(data)
    target = inbox / forms(OTHER)[form]
    right = inbox / forms(data)[form]
    if data:
        assert failure(os.rename, before, target) == "EBADMSG"
        assert not os.path.lexists(target)
        os.rename(before, right)
        assert not os.path.lexists(before)
        assert right.read_bytes() == data
        # A pin goes on naming what it named; a temporary file is committed as its name asks.
        algorithm = "sha512" if form % 2 and kind == "temporary" else "sha256"
        assert inbox.pin(right).endswith(f"/{hashlib.new(algorithm, data).hexdigest()}")


def test_a_rename_to_a_digest_over_equal_content_keeps_old_descriptors_right(inbox: Inbox) -> None:
    data = some_bytes("equal", 40_000)
    target = inbox / sha256(data)
    target.write_bytes(data)
    with open(target, "rb") as reader:
        (inbox / ".name.a1B2c3").write_bytes(data)
        os.rename(inbox / ".name.a1B2c3", target)
        (inbox / "name").write_bytes(data)
        os.rename(inbox / "name", target)
        assert reader.read() == data
    inbox.require(target, data)
    assert os.listdir(inbox.path) == [target.name]


def test_a_committed_digest_is_not_replaced_by_other_bytes(inbox: Inbox) -> None:
    data = some_bytes("kept", 40_000)
    target = inbox / sha256(data)
    target.write_bytes(data)
    assert failure(target.write_bytes, b"other bytes") == "EBADMSG"
    # What was written is there to be looked at, and so is what was committed.
    inbox.require_waiting(target, b"other bytes", sha256(b"other bytes"))
    assert (inbox.mounted.path / "blobs/sha256" / sha256(data)).read_bytes() == data


def test_names_that_are_almost_digests_are_just_names(inbox: Inbox) -> None:
    text = sha256(OTHER)
    for number, name in enumerate(
        [
            text[:-1],
            text + "0",
            text.upper(),
            f"sha256-{text}",
            f"sha1:{text[:40]}",
            f"x:{text}",
            f"sha256:{text[:-1]}",
            f"{text}.tar",
            f" {text}",
        ]
    ):
        data = b"content %d" % number
        (inbox / name).write_bytes(data)
        inbox.require(inbox / name, data)


def test_the_digest_of_nothing_is_committed_empty(inbox: Inbox) -> None:
    target = inbox / sha256(b"")
    target.touch()
    inbox.require(target, b"")
    assert failure((inbox / sha256(OTHER)).touch) == ""
    inbox.require(target, b"")
    assert not inbox.pin(inbox / sha256(OTHER))


# --- manifests ---


def put(inbox: Inbox, name: str, *blobs: bytes) -> None:
    """Write *blobs* into incoming/, as name0, name1..."""
    for number, data in enumerate(blobs):
        (inbox / f"{name}{number}").write_bytes(data)
        inbox.require(inbox / f"{name}{number}", data)


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_a_manifest_with_all_its_blobs_is_filed_as_one(
    inbox: Inbox, tmp_path: Path, docker: bool
) -> None:
    parts = image_parts(f"filed {docker}", docker=docker)
    put(inbox, "blob", parts.config, *parts.layers)
    source = tmp_path / "manifest.json"
    source.write_bytes(parts.manifest)
    run("cp", source, inbox.path)
    inbox.require_manifest(inbox / "manifest.json", parts.manifest)
    image = inbox.mounted.path / "images/sha256" / parts.digest.hex
    assert (image / "manifest.json").read_bytes() == parts.manifest
    assert (image / "config.json").read_bytes() == parts.config
    assert len(os.listdir(image / "layers")) >= len(parts.layers)
    name = os.fsencode(image)
    assert (
        os.getxattr(name + b"/manifest.json", "user.ross.media_type").decode() == parts.media_type
    )
    # And it can be tagged at once.
    tag = inbox.mounted.path / "tags" / ("docker" if docker else "oci") / "v1"
    tag.parent.mkdir()
    os.rename(inbox / "manifest.json", tag)
    assert os.readlink(tag).endswith(f"/images/sha256/{parts.digest.hex}")
    assert not os.path.lexists(inbox / "manifest.json")


def test_an_index_is_filed_as_one_though_manifests_are_missing(inbox: Inbox) -> None:
    here, absent = image_parts("here"), image_parts("absent", architecture="arm64")
    put(inbox, "blob", here.config, *here.layers)
    (inbox / "m.json").write_bytes(here.manifest)
    data = builders.index([(here.manifest, "linux/amd64"), (absent.manifest, "linux/arm64")])
    (inbox / "index.json").write_bytes(data)
    inbox.require_manifest(inbox / "index.json", data, "indexes")


def test_a_manifest_with_missing_blobs_is_refused_at_close(inbox: Inbox, tmp_path: Path) -> None:
    parts = image_parts("missing")
    put(inbox, "blob", parts.config, parts.layers[0])
    source = tmp_path / "manifest.json"
    source.write_bytes(parts.manifest)
    target = inbox / "manifest.json"
    missing = sha256(parts.layers[1])
    printed = run("cp", source, target, status=1)
    assert os.strerror(errno.ENOENT) in printed
    inbox.require_waiting(target, parts.manifest, missing)
    assert missing in (inbox.mounted.path / ".ross/log").read_text()
    # With all there, writing it once more is enough.
    put(inbox, "more", parts.layers[1])
    run("cp", source, target)
    inbox.require_manifest(target, parts.manifest)


def test_a_refused_manifest_can_be_renamed_to_a_tag_once_its_blobs_are_there(
    inbox: Inbox,
) -> None:
    parts = image_parts("late")
    put(inbox, "blob", parts.config)
    target = inbox / "manifest.json"
    tag = inbox.mounted.path / "tags/late"
    assert failure(target.write_bytes, parts.manifest) == "ENOENT"
    os.mkdir(tag)
    assert failure(os.rename, target, tag / "v1") == "ENOENT"
    put(inbox, "more", *parts.layers)
    os.rename(target, tag / "v1")
    assert os.readlink(tag / "v1").endswith(parts.digest.hex)
    assert failure(os.lstat, target) == "ENOENT"


def test_json_that_is_no_manifest_is_a_blob(inbox: Inbox) -> None:
    for number, data in enumerate(
        [b"{}", b"[]", b'{"schemaVersion":2}', b'{"config":', b'{"layers":[]}', b"\xff{}"]
    ):
        target = inbox / f"file{number}.json"
        target.write_bytes(data)
        inbox.require(target, data)


def test_what_was_refused_persists_with_its_reason(mount: object, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(*mounts.ROSSFS, "--store", store, "init")
    parts = image_parts("kept")
    names = {sha256(OTHER): b"not that", "manifest.json": parts.manifest}
    assert callable(mount)
    first = Inbox(mount(store), store)
    for name, data in names.items():
        assert failure((first / name).write_bytes, data)
    (first / "empty").touch()
    (first / ".name.a1B2c3").write_bytes(b"temporary")
    first.mounted.end()
    second = Inbox(mount(store), store)
    for name, data in names.items():
        second.require_waiting(second / name, data, "sha256:")
    second.require_waiting(second / "empty", b"")
    second.require_waiting(second / ".name.a1B2c3", b"temporary")
    with open(second / "empty", "wb") as file:
        file.write(b"now")
    second.require(second / "empty", b"now")
    os.rename(second / ".name.a1B2c3", second / "name")
    second.require(second / "name", b"temporary")
    shutil.rmtree(second.path, ignore_errors=True)
    assert os.listdir(second.path) == []
    second.mounted.end()
    second.require_sound()
