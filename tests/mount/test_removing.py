"""rm in the places of content: what nothing needs goes, and everything else says who needs it."""

from __future__ import annotations

import os

import pytest

from tests import builders
from tests.builders import digest_of
from tests.mount.tagging import Tagging, fails, run
from tests.mount.waiting import eventually, is_gone
from tests.mounts import rossfs
from tests.suites.mount_suite import refused

pytestmark = pytest.mark.fuse


def test_a_blob_that_nothing_needs_is_removed(tagging: Tagging) -> None:
    data = tagging.name.encode()
    digest, _ = tagging.store.put_blob(builders.OCTET_STREAM, data)
    path = tagging.mount / "blobs/sha256" / digest.hex
    with open(path, "rb") as file:
        run("rm", path)
        assert file.read() == data  # who has it open keeps it
    assert is_gone(path)
    assert digest.hex not in os.listdir(path.parent)
    assert tagging.store.stat_blob(digest) is None
    assert refused(os.unlink, path) == "ENOENT"
    (tagging.mount / "incoming" / tagging.name).write_bytes(data)
    assert path.read_bytes() == data


def test_what_was_removed_here_may_come_and_go_elsewhere(tagging: Tagging) -> None:
    """At once: the mount must not take it for the echo of its own change."""
    data = f"again {tagging.name}".encode()
    digest, _ = tagging.store.put_blob(builders.OCTET_STREAM, data)
    path = tagging.mount / "blobs/sha256" / digest.hex
    os.unlink(path)
    tagging.store.put_blob(builders.OCTET_STREAM, data)
    assert path.read_bytes() == data
    tagging.store.delete_blob(digest)
    eventually(is_gone, path)


def test_what_an_image_needs_is_not_removed(tagging: Tagging) -> None:
    image = tagging.one
    for digest in (image.config, *image.layers):
        path = tagging.mount / "blobs/sha256" / digest.hex
        assert "Device or resource busy" in fails("rm", path)
        assert f"{digest}" in tagging.log()
        assert digest_of(path.read_bytes()) == digest
    assert str(image.manifest) in tagging.log()


def test_what_is_tagged_is_not_removed(tagging: Tagging) -> None:
    hex_digest = tagging.one.manifest.hex
    places = ("manifests", "blobs")
    for place in places:
        assert refused(os.unlink, tagging.mount / place / "sha256" / hex_digest) == "EBUSY"
    assert f"{tagging.name}/app" in tagging.log()
    assert refused(os.rmdir, tagging.mount / "images/sha256" / hex_digest) == "EROFS"
    run("rm", tagging.app / "v1")
    run("rm", tagging.mount / "manifests/sha256" / hex_digest)
    for place in (*places, "images"):
        eventually(is_gone, tagging.mount / place / "sha256" / hex_digest)
        assert hex_digest not in os.listdir(tagging.mount / place / "sha256")
    for layer in tagging.one.layers:
        run("rm", tagging.mount / "blobs/sha256" / layer.hex)


def test_what_an_index_needs_is_not_removed(tagging: Tagging) -> None:
    data = builders.index([(tagging.two.parts.manifest, "linux/amd64")])
    index, _ = tagging.store.put_index(data, builders.OCI_INDEX)
    manifest = tagging.mount / "manifests/sha256" / tagging.two.manifest.hex
    shown = tagging.mount / "indexes/sha256" / index.hex
    assert shown.exists()
    assert refused(os.unlink, manifest) == "EBUSY"
    assert str(index) in tagging.log()
    run("rm", shown)
    assert is_gone(shown)
    eventually(is_gone, tagging.mount / "blobs/sha256" / index.hex)
    run("rm", manifest)
    assert is_gone(manifest)


def test_what_a_name_in_incoming_leads_to_is_not_removed(tagging: Tagging) -> None:
    pin = tagging.mount / "incoming" / tagging.name
    pin.write_bytes(b"pinned by " + tagging.name.encode())
    blob = pin.resolve()
    done = rossfs("--store", tagging.store.paths.root, "gc", "--grace", "0")
    assert done.returncode == 0
    assert blob.exists()
    assert refused(os.unlink, blob) == "EBUSY"
    assert f'name "incoming/{tagging.name}" needs it' in tagging.log()
    assert pin.read_bytes() == blob.read_bytes()
    run("rm", pin)
    run("rm", blob)
    assert is_gone(blob)
