"""`rossfs export`."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import builders, mounts
from tests.builders import OCI_MANIFEST
from tests.cli.conftest import Rossfs
from tests.image.exports import files_in
from tests.image.sources import blob_path
from tests.mounts import ROOT, ROSSFS


def test_it_says_what_it_exported(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    image = builders.image(store, tag="library/app:v1")
    ended = rossfs("export", "app:v1", tmp_path / "out")
    assert ended.out == f"{image.manifest}\n"
    assert ended.err.startswith("exported app:v1: 4 blobs, ")
    again = rossfs("export", "--json", image.manifest.hex, tmp_path / "out").json
    assert again == {
        "digest": str(image.manifest),
        "media_type": OCI_MANIFEST,
        "path": str(tmp_path / "out"),
        "blobs_written": 0,
        "bytes_written": 0,
    }


@pytest.mark.parametrize("form", [[], ["--format", "docker"], ["--json"]])
def test_standard_output_has_the_archive_and_nothing_else(store: Store, form: list[str]) -> None:
    image = builders.image(store, tag="library/app:v1")
    ended = mounts.rossfs("--store", store.paths.root, "export", "app:v1", "-", *form)
    assert ended.returncode == 0
    files = files_in(ended.stdout)
    assert ("manifest.json" in files) == (form == ["--format", "docker"])
    assert files[blob_path(image.parts.layers[0])] == image.parts.layers[0]
    assert ended.stderr.startswith(b"exported app:v1: 4 blobs")


def test_a_reader_that_goes_away_ends_it_quietly(store: Store) -> None:
    layer = builders.layer({"big": os.urandom(3_000_000)})
    config = builders.config(["sha256:" + "0" * 64])
    for data in (layer, config):
        store.put_blob(None, data)
    digest, _ = store.put_manifest(builders.manifest(config, [layer]), OCI_MANIFEST)
    process = subprocess.Popen(
        [*ROSSFS, "--store", store.paths.root, "export", digest.hex, "-"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_full_disk_is_status_7(store: Store) -> None:
    builders.image(store, tag="library/app:v1")
    with open("/dev/full", "wb") as full:
        ended = mounts.rossfs("--store", store.paths.root, "export", "app:v1", "-", stdout=full)
    assert ended.returncode == 7
    assert ended.stderr.startswith(b"rossfs: no room to write standard output")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_half_done(
    store: Store, tmp_path: Path, number: signal.Signals
) -> None:
    builders.image(store, tag="library/app:v1")
    # It waits for the lock of the layout, after the blobs and before index.json.
    out = tmp_path / "out"
    out.mkdir()
    (out / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (out / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[]}')
    before = sorted(os.listdir(out))
    holder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [*ROSSFS, "--store", store.paths.root, "export", "app:v1", str(out)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 30
        while len(list(out.glob("blobs/sha256/*"))) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b"rossfs: interrupted\n"
        process.stderr.close()
    finally:
        os.close(holder)
    assert sorted(os.listdir(out)) == sorted([*before, "blobs"])
    assert (out / "index.json").read_bytes() == b'{"schemaVersion":2,"manifests":[]}'


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["absent", "out"], 3, "no tag library/absent:latest"),
        (["sha256:" + "0" * 64, "out"], 3, "sha256:000"),
        (["app:v1", "oci:out", "--format", "docker"], 2, "format"),
        (["app:v1", "out.tar.gz"], 2, "uncompressed"),
        (["app:v1", "out", "--platform", "nonsense"], 2, "platform"),
        (["app:v1", "none/out"], 3, "No such"),
        (["app:v1", "out", "--format", "zip"], 2, "zip"),
    ],
)
def test_errors_are_one_line_and_a_status(
    rossfs: Rossfs,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    builders.image(store, tag="library/app:v1")
    monkeypatch.chdir(tmp_path)
    ended = rossfs("export", *arguments, status=status)
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["store"]
