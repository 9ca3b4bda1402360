"""`rossfs import`."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import mounts
from tests.builders import OCI_MANIFEST, config, digest_of, image_parts, layer, manifest
from tests.cli.conftest import Rossfs
from tests.image.sources import entry, layout, layout_of, tar_of, write_tree
from tests.mounts import ROOT, ROSSFS


def piped(store: Store, data: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    ended = mounts.rossfs("--store", store.paths.root, "import", *arguments, stdin=data)
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
    )


def test_it_says_what_it_imported(rossfs: Rossfs, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts, "v2": parts}))
    ended = rossfs("import", source)
    assert ended.out == f"{parts.digest} app:v1\n{parts.digest} app:v2\n"
    assert ended.err.startswith("imported 2 images: 3 new blobs, ")
    assert rossfs("import", source, "lab/app").err == "imported 2 images: 0 new blobs, 0 B\n"


def test_json_says_it_to_programs(rossfs: Rossfs, tmp_path: Path) -> None:
    parts = image_parts()
    source = write_tree(tmp_path / "app", layout_of({"v1": parts}))
    assert rossfs("import", "--json", source, "lab/app:v7").json == {
        "images": [
            {"digest": str(parts.digest), "media_type": OCI_MANIFEST, "tags": ["lab/app:v7"]}
        ],
        "blobs_copied": 3,
        "bytes_copied": sum(len(data) for _, data in parts.blobs()),
        "warnings": [],
    }


def test_what_is_wrong_inside_layers_is_a_warning(rossfs: Rossfs, tmp_path: Path) -> None:
    config_data = config([f"sha256:{'1' * 64}"])
    data = layer({"a": b"1"})
    manifest_data = manifest(config_data, [data])
    described = entry(manifest_data, OCI_MANIFEST, "v1")
    source = write_tree(tmp_path / "app", layout([described], [manifest_data, config_data, data]))
    ended = rossfs("import", source)
    assert ended.out == f"{digest_of(manifest_data)} app:v1\n"
    warning, imported = ended.err.splitlines()
    assert warning.startswith(f"rossfs: warning: layer {digest_of(data)} of image")
    assert imported.startswith("imported 1 image")


@pytest.mark.parametrize(
    ("break_it", "status", "message"),
    [
        ("nothing there", 3, "No such file"),
        ("no image", 4, "holds no image"),
        ("blob missing", 3, "lacks blob sha256:"),
        ("blob changed", 4, "hash to"),
        ("bad name", 2, "is no repository name"),
    ],
)
def test_errors_are_one_line_and_a_status(
    rossfs: Rossfs, store: Store, tmp_path: Path, break_it: str, status: int, message: str
) -> None:
    parts = image_parts()
    source = tmp_path / "app"
    name = []
    if break_it != "nothing there":
        source.mkdir()
    if break_it not in ("nothing there", "no image"):
        write_tree(source, layout_of({"v1": parts}))
    blob = source / "blobs/sha256" / digest_of(parts.layers[0]).hex
    if break_it == "blob missing":
        blob.unlink()
    elif break_it == "blob changed":
        blob.write_bytes(parts.layers[0][:-1] + b"x")
    elif break_it == "bad name":
        name = ["Not/Good"]
    ended = rossfs("import", source, *name, status=status)
    assert message in ended.err
    assert ended.err.startswith("rossfs: ")
    assert ended.err.count("\n") == 1
    assert not list(store.tags.names())


def test_standard_input_is_read_to_its_end(store: Store) -> None:
    parts = image_parts()
    ended = piped(store, tar_of(layout_of({"lab/app:v1": parts})), "-")
    assert (ended.returncode, ended.stdout) == (0, f"{parts.digest} lab/app:v1\n")


def test_an_image_from_standard_input_needs_a_name(store: Store) -> None:
    data = tar_of(layout_of({"v1": image_parts()}))
    ended = piped(store, data, "-")
    assert ended.returncode == 2
    assert "give it a NAME" in ended.stderr
    assert piped(store, data, "-", "lab/app").returncode == 0


def _await_reader(process: subprocess.Popen[bytes]) -> None:
    """Return when *process* has read what is in its standard input and waits for more."""
    assert process.stdin is not None
    deadline = time.monotonic() + 30
    asleep = 0
    while asleep < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        waiting = struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))[0]
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        asleep = asleep + 1 if not waiting and state == "S" else 0


def test_an_interrupt_while_waiting_for_input_ends_it(store: Store) -> None:
    data = tar_of(layout_of({"lab/app:v1": image_parts()}))
    process = subprocess.Popen(
        [*ROSSFS, "--store", store.paths.root, "import", "-"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(data[:5000])
        process.stdin.flush()
        _await_reader(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b"rossfs: interrupted\n"
    finally:
        process.kill()
        process.wait(30)
        for stream in (process.stdin, process.stderr):
            if stream is not None:
                stream.close()
    assert not os.listdir(store.paths.pins)
    assert not os.listdir(store.paths.scratch)
    # It may come between the content and its .meta, as a crash may: the next reader rebuilds that.
    assert not [found for found in store.fsck(repair=True) if found.is_damage]
